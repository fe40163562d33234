package stack

import (
	"bytes"
	"embed"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// pageFiles is the built dashboard, put here by `make build`; without it there is only a .gitignore.
//
//go:embed all:page
var pageFiles embed.FS

// builtPage is the dashboard's directory.
func builtPage() fs.FS {
	sub, err := fs.Sub(pageFiles, "page")
	if err != nil { // the name is a constant
		panic(err)
	}
	return sub
}

// pageHandler serves the page's files. Any other path without an extension is the page itself, which finds its own
// way, so that a reload of a deep link works.
func pageHandler(files fs.FS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeProblem(w, r, problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "the page is only read"})
			return
		}
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
		if name == "" || path.Ext(name) == "" {
			name = "index.html"
		}
		raw, err := fs.ReadFile(files, name)
		switch {
		case strings.HasPrefix(name, "."), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrInvalid):
			detail := "nothing is at " + r.URL.Path
			if name == "index.html" {
				detail = "this orderctl was built without the page: run make build"
			}
			writeProblem(w, r, problem{Status: http.StatusNotFound, Code: "not_found", Detail: detail})
			return
		case err != nil:
			writeProblem(w, r, problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "the page cannot be read"})
			return
		}
		if name == "index.html" {
			w.Header().Set("Cache-Control", "no-cache") // it names the current assets
		} else if strings.HasPrefix(name, "assets/") {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // their names hold a hash
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(raw))
	})
}
