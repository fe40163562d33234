#!/bin/sh
# check.sh WHAT: names everything that WHAT (run, mongodb or kafka) needs and that is not on this machine, in one message.
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

# The ways to a database, as deploy/stack looks for them.
check_database() {
	[ -n "${MONGODB_URI:-}" ] && return
	has mongod && return
	has secantusd-rs && return
	cache="${XDG_CACHE_HOME:-${HOME:-}/.cache}/orderwire"
	for dir in "$cache"/secantus-*/bin; do
		[ -d "$dir" ] && return
	done
	for python in python3 python3.13 python3.12 python3.11 python3.10; do
		"$python" -c 'import sys, importlib.util as u
sys.exit(not ((3, 10) <= sys.version_info[:2] <= (3, 13) and (u.find_spec("ensurepip") or u.find_spec("pip"))))' 2>/dev/null && return
	done
	need "a MongoDB, any one of: MONGODB_URI=mongodb://… of a replica set you have; mongod 7 or 8 on the PATH;
    Rust (cargo), CMake and a C compiler, then make mongodb; Python 3.10–3.13 with pip"
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
	has mongod && return
	has cargo || need "Rust (cargo), to build SecantusDB (https://rustup.rs)"
	has cmake || need "CMake, to build SecantusDB"
	has cc || has gcc || has clang || need "a C compiler, to build SecantusDB"
}

case "${1:-}" in
run) check_go; check_node; check_database ;;
mongodb) check_go; check_rust ;;
kafka) check_go; check_java ;;
*) echo "usage: check.sh run|mongodb|kafka" >&2; exit 2 ;;
esac

if [ -n "$missing" ]; then
	echo "Orderwire needs what is missing here:$missing" >&2
	exit 1
fi
