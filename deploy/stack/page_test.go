package stack

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestPage_DeepLinksAreThePageAndMissingFilesAreNot(t *testing.T) {
	page := pageHandler(fstest.MapFS{
		"index.html":      {Data: []byte("the page")},
		"assets/index.js": {Data: []byte("code")},
		".gitignore":      {Data: []byte("*")},
	})
	for path, want := range map[string]struct {
		status int
		body   string
		cache  string
	}{
		"/":                  {200, "the page", "no-cache"},
		"/orders/0193d2a0":   {200, "the page", "no-cache"},
		"/index.html":        {200, "the page", "no-cache"},
		"/assets/index.js":   {200, "code", "public, max-age=31536000, immutable"},
		"/assets/gone.js":    {404, "not_found", "no-store"},
		"/.gitignore":        {404, "not_found", "no-store"},
		"/../../etc/passwd":  {200, "the page", "no-cache"},
		"/assets/../secret.": {404, "not_found", "no-store"},
	} {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		require.Equal(t, want.status, w.Code, path)
		require.Contains(t, w.Body.String(), want.body, path)
		require.Equal(t, want.cache, w.Header().Get("Cache-Control"), path)
	}
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
}

func TestPage_WithoutABuildSaysSo(t *testing.T) {
	w := httptest.NewRecorder()
	pageHandler(fstest.MapFS{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Contains(t, w.Body.String(), "make build")
}
