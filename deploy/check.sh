#!/bin/sh
# check.sh WHAT: names everything that WHAT (run, test, build, mongodb, kafka or caddy) needs and that is not on this
# machine, in one message. What test means, and bench and chaos with it, builds a database by itself where that can be done.
set -u

missing=
need() { missing="$missing
  - $1"; }

# at_least HAVE WANT: compares dotted versions.
at_least() {
	[ "$(printf '%s\n%s\n' "$2" "$1" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$2" ]
}

has() { command -v "$1" >/dev/null 2>&1; }

check_go() {
	if ! has go; then
		need "Go 1.26 or newer: go is not on the PATH (https://go.dev/dl/)"
		return
	fi
	have=$(GOTOOLCHAIN=local go env GOVERSION | sed 's/^go//; s/[^0-9.].*//')
	# From 1.21 on, go fetches the toolchain that go.mod asks for, unless it is told not to.
	if ! at_least "$have" 1.26 && { ! at_least "$have" 1.21 || [ "$(go env GOTOOLCHAIN)" = local ]; }; then
		need "Go 1.26 or newer: this is $have (https://go.dev/dl/)"
	fi
}

check_node() {
	if ! has node || ! has npm; then
		need "Node.js 20.19 or newer with npm, for the page (https://nodejs.org)"
		return
	fi
	have=$(node --version | sed 's/^v//')
	at_least "$have" 20.19 || need "Node.js 20.19 or newer, for the page: this is $have (https://nodejs.org)"
}

check_mongod() {
	have=$(mongod --version 2>/dev/null | sed -n 's/^db version v\([0-9.]*\).*/\1/p')
	at_least "${have:-0}" 7 || need "MongoDB 7 or 8: the mongod on the PATH is ${have:-of unknown version}; update it, take it off the PATH, or set MONGODB_URI"
}

# What building SecantusDB needs.
has_rust() { has cargo && has cmake && { has cc || has gcc || has clang; }; }

# The ways to a database, as deploy/stack looks for them.
check_database() {
	[ -n "${MONGODB_URI:-}" ] && return
	if has mongod; then
		check_mongod
		return
	fi
	has secantusd-rs && return
	[ "$1" = test ] && has_rust && return
	cache="${XDG_CACHE_HOME:-${HOME:-}/.cache}/orderwire"
	for dir in "$cache"/secantus-*/bin; do
		[ -d "$dir" ] && return
	done
	for python in python3 python3.13 python3.12 python3.11 python3.10; do
		"$python" -c 'import sys, importlib.util as u
sys.exit(not ((3, 10) <= sys.version_info[:2] <= (3, 13) and (u.find_spec("ensurepip") or u.find_spec("pip"))))' 2>/dev/null && return
	done
	need "a MongoDB, any one of: MONGODB_URI=mongodb://… of a replica set you have; mongod 7 or 8 on the PATH;
    Rust (cargo), CMake and a C compiler, and make mongodb once; Python 3.10–3.13 with pip"
}

check_java() {
	has mvn || need "Maven (mvn), to fetch Apache Kafka"
	if ! has java; then
		need "Java 17 or newer, for Apache Kafka"
		return
	fi
	have=$(java -version 2>&1 | sed -n 's/.*version "\([0-9.]*\).*/\1/p')
	at_least "${have:-0}" 17 || need "Java 17 or newer, for Apache Kafka: this is ${have:-of unknown version}"
}

check_rust() {
	if has mongod; then
		check_mongod
		return
	fi
	has cargo || need "Rust (cargo), to build SecantusDB (https://rustup.rs)"
	has cmake || need "CMake, to build SecantusDB"
	has cc || has gcc || has clang || need "a C compiler, to build SecantusDB"
}

case "${1:-}" in
run | test) check_go; check_node; check_database "$1" ;;
build) check_go; check_node ;;
mongodb) check_go; check_rust ;;
kafka) check_go; check_java ;;
caddy) check_go ;;
*) echo "usage: check.sh run|test|build|mongodb|kafka|caddy" >&2; exit 2 ;;
esac

if [ -n "$missing" ]; then
	echo "Orderwire needs what is missing here:$missing" >&2
	exit 1
fi

# Ports that are taken are told before the slow steps. Who runs already, or has left something behind, has them: that is
# orderctl's to tell, and to mend.
if [ "$1" = run ] && ! [ -e .orderwire/processes.json ]; then
	taken=$(cd "${0%/*}" && go run ./internal/ports/check) || exit 1
	if [ -n "$taken" ]; then
		echo "$taken" >&2
		exit 1
	fi
fi
