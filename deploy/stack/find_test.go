package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// machine is one on which nothing is installed, but for what a test puts there.
type machine struct {
	t          *testing.T
	bin, cache string
	env        environment
	said       []string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, bin: t.TempDir()}
	base := t.TempDir()
	m.cache = filepath.Join(base, "orderwire")
	t.Setenv("XDG_CACHE_HOME", base)
	t.Setenv("PATH", m.bin)
	t.Setenv("HOME", t.TempDir())
	m.env = testEnviron()
	return m
}

// program puts a shell script somewhere.
func (m *machine) program(path, script string) {
	m.t.Helper()
	require.NoError(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(m.t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

// tools puts programs that do nothing on the PATH.
func (m *machine) tools(names ...string) {
	m.t.Helper()
	for _, name := range names {
		m.program(filepath.Join(m.bin, name), "")
	}
}

// python puts one on the PATH that fits, and whose pip ends with a code.
func (m *machine) python(name string, pip int) {
	m.t.Helper()
	m.program(filepath.Join(m.bin, name), fmt.Sprintf(`case "$*" in
"-m venv "*) /bin/mkdir -p "$3/bin" && /bin/cp "$0" "$3/bin/python" && echo > "$3/pyvenv.cfg" ;;
"-m pip "*) echo "pip was here"; exit %d ;;
esac`, pip))
}

// cached puts SecantusDB into the cache, built or as the Python edition.
func (m *machine) cached(kind mongoKind) string {
	m.t.Helper()
	if kind == kindSecantus {
		path := secantusPath(m.cache)
		m.program(path, "")
		return path
	}
	dir := filepath.Join(m.cache, "secantus-py-"+secantusPythonVersion)
	path := filepath.Join(dir, "bin", "secantusd-py")
	m.program(path, "")
	require.NoError(m.t, os.WriteFile(filepath.Join(dir, "complete"), nil, 0o600))
	return path
}

func (m *machine) find(build bool) (mongoProgram, error) {
	return findMongo(m.t.Context(), m.env, build, func(format string, args ...any) {
		m.said = append(m.said, fmt.Sprintf(format, args...))
	})
}

func TestFindMongo_TakesTheBestThatIsThere(t *testing.T) {
	// Each machine has less than the one before it.
	m := newMachine(t)
	m.tools("mongod", "secantusd-rs", "cargo", "cmake", "cc")
	m.python("python3", 0)
	built, python := m.cached(kindSecantus), m.cached(kindSecantusPython)
	for _, best := range []struct {
		kind   mongoKind
		path   string
		remove string
	}{
		{kindMongod, filepath.Join(m.bin, "mongod"), ""},
		{kindSecantus, filepath.Join(m.bin, "secantusd-rs"), filepath.Join(m.bin, "mongod")},
		{kindSecantus, built, filepath.Join(m.bin, "secantusd-rs")},
		{kindSecantusPython, python, built},
	} {
		if best.remove != "" {
			require.NoError(t, os.Remove(best.remove))
		}
		for _, build := range []bool{true, false} {
			if build && best.kind == kindSecantusPython {
				continue // it would be built
			}
			p, err := m.find(build)
			require.NoError(t, err)
			require.Equal(t, best.kind, p.kind)
			require.Equal(t, best.path, p.path)
		}
	}
	require.Empty(t, m.said, "nothing takes a while")
}

func TestFindMongo_BuildsWhereItMayAndCan(t *testing.T) {
	m := newMachine(t)
	m.program(filepath.Join(m.bin, "cargo"), `echo "$*" > `+filepath.Join(m.bin, "asked"))
	m.tools("cmake", "clang")
	p, err := m.find(true)
	require.NoError(t, err)
	require.Equal(t, mongoProgram{kind: kindSecantus, path: secantusPath(m.cache)}, p)
	asked, err := os.ReadFile(filepath.Join(m.bin, "asked"))
	require.NoError(t, err)
	require.Contains(t, string(asked), "install secantus-mdb --version "+secantusVersion)
	require.Len(t, m.said, 1)
	require.Contains(t, m.said[0], "once: about 5 minutes")

	_, err = m.find(false)
	require.ErrorIs(t, err, errNoDatabase, "it may not build")
}

func TestFindMongo_InstallsThePythonEditionOnce(t *testing.T) {
	m := newMachine(t)
	m.program(filepath.Join(m.bin, "python3"), "exit 1") // too old, or too new
	m.python("python3.12", 0)
	p, err := m.find(true)
	require.NoError(t, err)
	require.Equal(t, kindSecantusPython, p.kind)
	require.Empty(t, p.env, "a virtual environment knows its own packages")
	require.Equal(t, []string{"installing SecantusDB's Python edition, the local MongoDB, once"}, m.said)

	require.NoError(t, os.Remove(filepath.Join(m.bin, "python3.12")))
	again, err := m.find(true)
	require.NoError(t, err)
	require.Equal(t, p, again)
	require.Len(t, m.said, 1)
}

func TestFindMongo_APythonWithoutVenvTakesItsOwnPip(t *testing.T) {
	m := newMachine(t)
	m.program(filepath.Join(m.bin, "python3"), `case "$*" in
*"import ensurepip, venv") exit 1 ;;
"-m pip "*) /bin/mkdir -p "$6" ;; # -m pip install --only-binary=:all: --target DIR
esac`)
	p, err := m.find(false)
	require.NoError(t, err)
	require.Equal(t, []string{"PYTHONPATH=" + filepath.Join(m.cache, "secantus-py-"+secantusPythonVersion)}, p.env)
}

func TestFindMongo_SaysEveryWayToGetOne(t *testing.T) {
	m := newMachine(t)
	_, err := m.find(true)
	for _, way := range []string{"MONGODB_URI=", "mongod on the PATH", "make mongodb", "Python 3.10–3.13"} {
		require.ErrorContains(t, err, way)
	}
	_, err = PrepareMongoDB(t.Context(), m.env, t.Logf)
	require.EqualError(t, err, "SecantusDB cannot be built here: cargo, cmake, a C compiler not found")

	m.python("python3", 1)
	_, err = m.find(true)
	require.ErrorIs(t, err, errNoDatabase)
	require.ErrorContains(t, err, "pip was here", "what the tool said")
	m.said = nil
	_, err = m.find(true)
	require.Error(t, err, "what failed is not taken for installed")
	require.NotEmpty(t, m.said)
}

func TestStart_SaysThatThereIsAFasterDatabaseThanThePythonEdition(t *testing.T) {
	needDatabase(t)
	real, err := findMongo(t.Context(), testEnviron(), false, t.Logf)
	require.NoError(t, err)
	if real.kind == kindMongod {
		t.Skip("SKIP: mongod cannot pass for SecantusDB")
	}
	m := newMachine(t)
	require.NoError(t, os.Symlink(real.path, filepath.Join(m.bin, "real")))
	m.program(m.cached(kindSecantusPython), "exec "+filepath.Join(m.bin, "real")+` "$@"`)
	var said []string
	s := startFake(t, Config{
		Environ: m.env.with(real.env...),
		Say:     func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) },
	})
	require.False(t, s.Database.Fast())
	require.Contains(t, strings.Join(said, "\n"), "some twenty times slower than the fast one (make mongodb builds that once)")
}
