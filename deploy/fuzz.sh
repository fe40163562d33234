#!/bin/sh
# fuzz.sh TIME MODULE...: runs every fuzz target of the modules for TIME (10s, 5m, 10000x), a line each, and ends at the
# first input that breaks one. Go keeps that input in testdata/fuzz beside the target, and `go test` tries it from then on.
set -eu
time=$1
shift
out=$(mktemp)
trap 'rm -f "$out"' EXIT
ran=0
broken() {
	cat "$out"
	echo "$1: broken"
	exit 1
}

for dir in $(grep -rlE --include='*_test.go' '^func Fuzz' "$@" | sed 's,/[^/]*$,,' | sort -u); do
	(cd "$dir" && go test -list '^Fuzz' .) >"$out" 2>&1 || broken "$dir"
	for target in $(grep '^Fuzz' "$out"); do
		(cd "$dir" && go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" .) >"$out" 2>&1 || broken "$dir $target"
		awk -v name="$dir $target" '/ execs: / { n = $5; sub(/.*interesting: /, ""); found = $1 }
			END { printf "%s: %d inputs, %d of them reached something new\n", name, n, found }' "$out"
		ran=$((ran + 1))
	done
done
[ "$ran" -gt 0 ] || { echo "no fuzz target in: $*"; exit 1; }
