// Package deploy_test tests the script that stands before `make run`.
package deploy_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// check runs check.sh where nothing but the given tools exists: each one prints what it is mapped to.
func check(t *testing.T, what string, tools map[string]string, environ ...string) (string, error) {
	t.Helper()
	return checkIn(t, t.TempDir(), what, tools, environ...)
}

func checkIn(t *testing.T, dir, what string, tools map[string]string, environ ...string) (string, error) {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"sh", "sed", "sort", "head"} {
		path, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(bin, name)))
	}
	for name, prints := range tools {
		// What go is asked to run prints what the environment says.
		script := "#!/bin/sh\nif [ \"$1\" = run ]; then echo \"$RUN_PRINTS\"; else echo '" + prints + "'; fi\n"
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755))
	}
	script, err := filepath.Abs("check.sh")
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), script, what)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + bin, "HOME=" + t.TempDir()}, environ...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestCheck_NamesAllThatIsMissingAtOnce(t *testing.T) {
	out, err := check(t, "run", nil)
	require.Error(t, err)
	require.Contains(t, out, "Go 1.26 or newer")
	require.Contains(t, out, "Node.js 20.19 or newer")
	require.Contains(t, out, "MONGODB_URI=")
	require.Contains(t, out, "Python 3.10")

	out, err = check(t, "kafka", nil)
	require.Error(t, err)
	require.Contains(t, out, "Java 17")
	require.Contains(t, out, "Maven")

	for _, what := range []string{"build", "mongodb", "kafka", "caddy"} {
		out, err = check(t, what, nil)
		require.Error(t, err, what)
		require.Contains(t, out, "Go 1.26 or newer", what)
	}
}

// Before anything is built; but a stack that runs has the ports itself, and so has what a crashed one has left.
func TestCheck_PortsThatAreTakenAreToldBeforeTheSlowSteps(t *testing.T) {
	tools := map[string]string{"go": "go1.26.8", "node": "v22.1.0", "npm": "10", "mongod": "db version v8.0.4"}
	const taken = "RUN_PRINTS=port 8080 is taken"
	out, err := check(t, "run", tools, taken)
	require.Error(t, err)
	require.Equal(t, "port 8080 is taken\n", out)
	for _, what := range []string{"test", "build"} {
		out, err = check(t, what, tools, taken)
		require.NoError(t, err, out)
	}
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".orderwire"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".orderwire", "processes.json"), nil, 0o600))
	out, err = checkIn(t, dir, "run", tools, taken)
	require.NoError(t, err, out)
}

func TestCheck_ComparesVersions(t *testing.T) {
	enough := map[string]string{"go": "go1.26.8", "node": "v20.19.0", "npm": "10", "mongod": "db version v8.0.4", "java": `openjdk version "17.0.15"`, "mvn": ""}
	for _, what := range []string{"run", "test", "build", "kafka", "mongodb", "caddy"} {
		out, err := check(t, what, enough)
		require.NoError(t, err, out)
		require.Empty(t, out)
	}
	for name, old := range map[string]struct{ tool, prints, says string }{
		"go without toolchains": {"go", "go1.20.14", "this is 1.20.14"},
		"node, a minor":         {"node", "v20.9.1", "this is 20.9.1"},
		"node, a major":         {"node", "v9.99.0", "this is 9.99.0"},
		"mongod":                {"mongod", "db version v6.0.19", "the mongod on the PATH is 6.0.19"},
		"mongod, of others":     {"mongod", "something else", "the mongod on the PATH is of unknown version"},
	} {
		tools := map[string]string{}
		for k, v := range enough {
			tools[k] = v
		}
		tools[old.tool] = old.prints
		out, err := check(t, "run", tools)
		require.Error(t, err, name)
		require.Contains(t, out, old.says, name)
	}
}

// What make test and the like build by themselves, make run does not: it would take minutes that nobody asked for.
func TestCheck_ToolsToBuildADatabaseAreEnoughForTestsOnly(t *testing.T) {
	tools := map[string]string{"go": "go1.26.8", "node": "v22.1.0", "npm": "10", "cargo": "", "cmake": "", "clang": ""}
	out, err := check(t, "test", tools)
	require.NoError(t, err, out)
	out, err = check(t, "run", tools)
	require.Error(t, err)
	require.Contains(t, out, "make mongodb once")
	for _, missing := range []string{"cargo", "cmake", "clang"} {
		less := maps.Clone(tools)
		delete(less, missing)
		out, err = check(t, "test", less)
		require.Error(t, err, missing)
		require.Contains(t, out, "a MongoDB, any one of", missing)
	}
}

// A database that is named comes before the one on the PATH, whatever that is.
func TestCheck_AMongodThatIsTooOldIsNoMatterWhereADatabaseIsNamed(t *testing.T) {
	tools := map[string]string{"go": "go1.26.8", "node": "v22.1.0", "npm": "10", "mongod": "db version v4.4.29"}
	_, err := check(t, "run", tools)
	require.Error(t, err)
	_, err = check(t, "mongodb", tools)
	require.Error(t, err, "it would be taken")
	out, err := check(t, "run", tools, "MONGODB_URI=mongodb://127.0.0.1")
	require.NoError(t, err, out)
}

// The Makefile asks for what each of its targets needs.
func TestMakefile_ChecksWhatATargetNeeds(t *testing.T) {
	for target, what := range map[string]string{
		"run": "run", "test": "test", "bench": "test", "chaos": "test", "soak": "test",
		"build": "build", "mongodb": "mongodb", "kafka": "kafka", "caddy": "caddy",
	} {
		out, err := exec.CommandContext(t.Context(), "make", "-n", "-C", "..", target).CombinedOutput()
		require.NoError(t, err, string(out))
		before, _, found := strings.Cut(string(out), "deploy/check.sh "+what+"\n")
		require.True(t, found, "%s:\n%s", target, out)
		require.NotContains(t, before, "go ", "%s checks before it builds", target)
		require.NotContains(t, before, "npm ", target)
		require.Equal(t, 1, strings.Count(string(out), "deploy/check.sh "), "%s:\n%s", target, out)
	}
	out, err := exec.CommandContext(t.Context(), "make", "-n", "-C", "..", "mongodb", "kafka").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "deploy/check.sh mongodb\n")
	require.Contains(t, string(out), "deploy/check.sh kafka\n")
}

// The first build is long and tells how far it is; later ones are one call of go, which is faster.
func TestMakefile_BuildsProgramByProgramOnlyTheFirstTime(t *testing.T) {
	makefile, err := filepath.Abs("../Makefile")
	require.NoError(t, err)
	dir := t.TempDir()
	bin, calls := filepath.Join(dir, "bin"), filepath.Join(dir, "calls")
	require.NoError(t, os.Mkdir(bin, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\necho \"$@\" >> calls\n"), 0o755))
	build := func() (says string, called []string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "make", "-f", makefile, "-C", dir, "-o", "deploy/stack/page/index.html", "programs")
		cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		raw, err := os.ReadFile(calls)
		require.NoError(t, err)
		require.NoError(t, os.Remove(calls))
		return string(out), strings.Split(strings.TrimSpace(string(raw)), "\n")
	}
	says, called := build()
	require.Len(t, called, 5)
	require.Equal(t, "build -o bin/ ./services/order-api", called[0])
	require.Contains(t, says, "building deploy/orderctl (5 of 5)")

	require.NoError(t, os.WriteFile(filepath.Join(bin, "order-api"), nil, 0o755))
	_, called = build()
	require.Equal(t, []string{"build -o bin/ ./services/order-api ./services/inventory ./services/shipping ./services/notifier ./deploy/orderctl"}, called)
}
