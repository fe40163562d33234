package docker

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// instruction is one line of a Dockerfile, continuations joined.
type instruction struct {
	name string // in capitals
	args string
}

// parseDockerfile reads the instructions, with ARGs replaced by their values.
func parseDockerfile(content string, args map[string]string) (all []instruction, unknown []string) {
	values := map[string]string{}
	declared := map[string]bool{}
	var line string
	lines := bufio.NewScanner(strings.NewReader(content))
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if before, continued := strings.CutSuffix(text, `\`); continued {
			line += before
			continue
		}
		name, rest, _ := strings.Cut(line+text, " ")
		line = ""
		rest = os.Expand(strings.TrimSpace(rest), func(k string) string { return values[k] })
		if name == "ARG" {
			arg, value, _ := strings.Cut(rest, "=")
			declared[arg] = true
			if given, ok := args[arg]; ok {
				value = given
			}
			values[arg] = value
		}
		all = append(all, instruction{strings.ToUpper(name), rest})
	}
	for arg := range args {
		if !declared[arg] {
			unknown = append(unknown, arg)
		}
	}
	return all, unknown
}

// checkDockerfile complains about what an engine would, about an image that runs as root, and, for a Go program, about
// anything that it needs and that is not copied.
func checkDockerfile(t *testing.T, content, context string, args map[string]string) (complaints []string) {
	t.Helper()
	instructions, unknown := parseDockerfile(content, args)
	for _, arg := range unknown {
		complaints = append(complaints, "the Dockerfile has no ARG "+arg)
	}
	ignored := readIgnore(t, context)
	var stages, copied []string
	base, user := "", ""
	for _, i := range instructions {
		switch i.name {
		case "FROM":
			fields := strings.Fields(i.args)
			base, user = fields[0], ""
			if len(fields) == 3 {
				stages = append(stages, fields[2])
			}
		case "USER":
			user = i.args
		case "COPY":
			fields := strings.Fields(i.args)
			if from, ok := strings.CutPrefix(fields[0], "--from="); ok {
				if !slices.Contains(stages, from) {
					complaints = append(complaints, "COPY from "+from+": no such stage")
				}
				continue
			}
			for _, source := range fields[:len(fields)-1] {
				switch {
				case !isThere(filepath.Join(context, source)):
					complaints = append(complaints, "COPY "+source+": not in the build context")
				case ignored(source):
					complaints = append(complaints, "COPY "+source+": .dockerignore keeps it out")
				default:
					copied = append(copied, source)
				}
			}
		}
	}
	asRoot := strings.HasPrefix(user, "0") || strings.HasPrefix(user, "root") || user == "" && !strings.HasSuffix(base, ":nonroot")
	if asRoot {
		complaints = append(complaints, "the image runs as root")
	}
	if module := args["MODULE"]; module != "" && len(complaints) == 0 {
		complaints = append(complaints, checkGoBuild(t, context, copied, module, args["PACKAGE"])...)
	}
	return complaints
}

// checkGoBuild lists, in a copy of what is copied, everything that the program is built from.
func checkGoBuild(t *testing.T, context string, copied []string, module, pkg string) []string {
	t.Helper()
	if c, err := parseTypes(filepath.Join(context, module, pkg)); err != nil || len(c) == 0 {
		return []string{path.Base(pkg) + " is no main package"}
	}
	allowed := []string{"pkg", "proto-events", module}
	for _, c := range copied {
		if !slices.Contains(allowed, c) {
			return []string{"COPY " + c + ": more than pkg, proto-events and the one service"}
		}
	}
	key := strings.Join(append([]string{context, module, pkg}, copied...), " ")
	if done, ok := listed.Load(key); ok {
		return done.([]string)
	}
	complaints := listDependencies(t, context, copied, module, pkg)
	listed.Store(key, complaints)
	return complaints
}

// listed remembers what was listed: a second each, and most broken files are broken elsewhere.
var listed sync.Map

func listDependencies(t *testing.T, context string, copied []string, module, pkg string) []string {
	t.Helper()
	dir := t.TempDir()
	ignored := readIgnore(t, context)
	for _, source := range copied {
		copyTree(t, context, source, dir, ignored)
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./"+pkg)
	cmd.Dir = filepath.Join(dir, module)
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return []string{"go build would fail: " + stderr.String()}
	}
	return nil
}

func copyTree(t *testing.T, context, source, dir string, ignored func(string) bool) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(context, source), func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(context, file)
		if err != nil {
			return err
		}
		if ignored(name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		to := filepath.Join(dir, name)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(to, raw, 0o644)
	})
	require.NoError(t, err)
}

// readIgnore tells what .dockerignore keeps out of a context. It knows the patterns that ours has: a path from the
// top, and **/ before a name with wildcards.
func readIgnore(t *testing.T, context string) func(name string) bool {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(context, ".dockerignore"))
	require.NoError(t, err)
	patterns := strings.Fields(string(raw))
	for _, p := range patterns {
		require.Regexp(t, `^(\*\*/)?[^/!#]+$`, p, "a pattern that this test does not understand")
	}
	return func(name string) bool {
		parts := strings.Split(filepath.ToSlash(name), "/")
		for _, p := range patterns {
			anywhere, deep := strings.CutPrefix(p, "**/")
			for i, part := range parts {
				if i > 0 && !deep {
					break
				}
				if ok, err := path.Match(anywhere, part); err == nil && ok {
					return true
				}
			}
		}
		return false
	}
}

func TestDockerfiles_EveryCheckCanFail(t *testing.T) {
	raw, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	args := map[string]string{"MODULE": "services/inventory"}
	require.Empty(t, checkDockerfile(t, string(raw), root, args))
	for _, broken := range []struct{ what, old, new, complaint string }{
		{"source that is not there", "COPY pkg pkg", "COPY pgk pkg", "COPY pgk: not in the build context"},
		{"source that is kept out", "COPY pkg pkg", "COPY .git .git", "COPY .git: .dockerignore keeps it out"},
		{"stage that is not there", "--from=build", "--from=built", "no such stage"},
		{"root", "static-debian12:nonroot", "static-debian12", "runs as root"},
		{"root by number", "ENTRYPOINT", "USER 0:0\nENTRYPOINT", "runs as root"},
		{"something forgotten", "COPY proto-events proto-events", "", "go build would fail"},
		{"too much", "COPY pkg pkg", "COPY pkg pkg\nCOPY deploy deploy", "more than pkg, proto-events and the one service"},
	} {
		t.Run(broken.what, func(t *testing.T) {
			require.Contains(t, string(raw), broken.old, "there is nothing to break")
			complaints := checkDockerfile(t, strings.ReplaceAll(string(raw), broken.old, broken.new), root, args)
			require.Contains(t, strings.Join(complaints, "\n"), broken.complaint)
		})
	}
}
