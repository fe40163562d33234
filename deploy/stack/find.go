package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The versions of SecantusDB that Orderwire is tested with.
const (
	secantusVersion       = "0.5.3-beta.196"
	secantusPythonVersion = "0.7.0b3"
)

// mongoKind is a program that speaks MongoDB's wire protocol.
type mongoKind string

// The kinds that can be started.
const (
	kindMongod         mongoKind = "mongod"
	kindSecantus       mongoKind = "secantusd-rs"
	kindSecantusPython mongoKind = "secantusd-py"
)

// mongoProgram is a database program found on this machine.
type mongoProgram struct {
	kind mongoKind
	path string
	env  []string // what it needs beyond ours
}

// errNoDatabase lists the ways to get one.
var errNoDatabase = errors.New(`no MongoDB found; any one of these will do:
  - MONGODB_URI=mongodb://…      a replica set you have (one node is enough; MongoDB 7 or 8)
  - mongod on the PATH           MongoDB 7 or 8; it is started as a one-node replica set
  - make mongodb                 builds SecantusDB once, about 5 minutes; needs Rust (cargo), CMake and a C compiler
  - Python 3.10–3.13 with pip    SecantusDB's slower Python edition is then installed by itself in seconds`)

// findMongo looks for a database program: on the PATH, then in the cache. Where only SecantusDB's sources or its
// Python edition are within reach, it builds (if build is set and the tools are there) or installs it.
func findMongo(ctx context.Context, env environment, build bool, say Progress) (mongoProgram, error) {
	if path, err := exec.LookPath("mongod"); err == nil {
		return mongoProgram{kind: kindMongod, path: path}, nil
	}
	if path, err := exec.LookPath("secantusd-rs"); err == nil {
		return mongoProgram{kind: kindSecantus, path: path}, nil
	}
	cache, err := cacheDir(env)
	if err != nil {
		return mongoProgram{}, err
	}
	if built := secantusPath(cache); exists(built) {
		return mongoProgram{kind: kindSecantus, path: built}, nil
	}
	if build && len(missingToBuild()) == 0 {
		return buildSecantus(ctx, cache, say)
	}
	return secantusPython(ctx, cache, say)
}

// PrepareMongoDB makes sure that a fast and durable database is at hand, and gives its path; it builds SecantusDB
// where there is none.
func PrepareMongoDB(ctx context.Context, environ []string, say Progress) (string, error) {
	if missing := missingToBuild(); len(missing) > 0 && !onPath("mongod") && !onPath("secantusd-rs") {
		if cache, err := cacheDir(environ); err != nil || !exists(secantusPath(cache)) {
			return "", fmt.Errorf("SecantusDB cannot be built here: %s not found", strings.Join(missing, ", "))
		}
	}
	p, err := findMongo(ctx, environ, true, say)
	return p.path, err
}

func secantusPath(cache string) string {
	return filepath.Join(cache, "secantus-"+secantusVersion, "bin", "secantusd-rs")
}

// missingToBuild names the tools that building SecantusDB needs and that are not here.
func missingToBuild() []string {
	var missing []string
	for _, tool := range []string{"cargo", "cmake"} {
		if !onPath(tool) {
			missing = append(missing, tool)
		}
	}
	if !onPath("cc") && !onPath("gcc") && !onPath("clang") {
		missing = append(missing, "a C compiler")
	}
	return missing
}

func buildSecantus(ctx context.Context, cache string, say Progress) (mongoProgram, error) {
	path := secantusPath(cache)
	err := locked(ctx, cache, say, func() error {
		if exists(path) { // somebody else has built it while this process waited for the lock
			return nil
		}
		say("building SecantusDB %s, the local MongoDB, once: about 5 minutes on two cores", secantusVersion)
		return runTool(ctx, say, "building SecantusDB", "Compiling", "cargo", "install", "secantus-mdb",
			"--version", secantusVersion, "--ignore-rust-version", "--root", filepath.Dir(filepath.Dir(path)))
	})
	return mongoProgram{kind: kindSecantus, path: path}, err
}

// secantusPython gives SecantusDB's Python edition and installs it where it is not in the cache yet: in a virtual
// environment, or beside the interpreter's own packages where Python came without ensurepip (as on Debian).
func secantusPython(ctx context.Context, cache string, say Progress) (mongoProgram, error) {
	dir := filepath.Join(cache, "secantus-py-"+secantusPythonVersion)
	program := func() mongoProgram {
		p := mongoProgram{kind: kindSecantusPython, path: filepath.Join(dir, "bin", "secantusd-py")}
		if !exists(filepath.Join(dir, "pyvenv.cfg")) {
			p.env = []string{"PYTHONPATH=" + dir}
		}
		return p
	}
	complete := filepath.Join(dir, "complete")
	if exists(complete) {
		return program(), nil
	}
	python := findPython(ctx)
	if python == "" {
		return mongoProgram{}, errNoDatabase
	}
	err := locked(ctx, cache, say, func() error {
		if exists(complete) {
			return nil
		}
		say("installing SecantusDB's Python edition, the local MongoDB, once")
		if err := installPython(ctx, python, dir, say); err != nil {
			return err
		}
		return os.WriteFile(complete, nil, 0o644)
	})
	if err != nil {
		return mongoProgram{}, fmt.Errorf("%w\n%w", errNoDatabase, err)
	}
	return program(), nil
}

func installPython(ctx context.Context, python, dir string, say Progress) error {
	pkg := "SecantusDB==" + secantusPythonVersion
	const what = "installing SecantusDB"
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if exec.CommandContext(ctx, python, "-c", "import ensurepip, venv").Run() == nil {
		if err := runTool(ctx, say, what, "", python, "-m", "venv", dir); err != nil {
			return err
		}
		return runTool(ctx, say, what, "Collecting", filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--only-binary=:all:", pkg)
	}
	return runTool(ctx, say, what, "Collecting", python, "-m", "pip", "install", "--only-binary=:all:", "--target", dir, pkg)
}

// findPython gives an interpreter that SecantusDB has wheels for and that can install them; "" where there is none.
func findPython(ctx context.Context) string {
	for _, name := range []string{"python3", "python3.13", "python3.12", "python3.11", "python3.10"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		const fits = `import sys, importlib.util as u
sys.exit(not ((3, 10) <= sys.version_info[:2] <= (3, 13) and (u.find_spec("ensurepip") or u.find_spec("pip"))))`
		if exec.CommandContext(ctx, path, "-c", fits).Run() == nil {
			return path
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
