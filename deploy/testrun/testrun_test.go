package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseGo_CountsTestsAndTellsWhyOneWasSkipped(t *testing.T) {
	r := parsed(t, parseGo, `{"Action":"run","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"B","Output":"    b_test.go:7: SKIP: TEST_MONGODB_URI is not set\n"}
{"Action":"skip","Package":"p","Test":"B"}
{"Action":"output","Package":"p","Test":"C","Output":"it broke\n"}
{"Action":"fail","Package":"p","Test":"C"}
{"Action":"fail","Package":"p"}
{"Action":"skip","Package":"without tests"}
`)
	require.Equal(t, 1, r.passed)
	require.Equal(t, 1, r.failed, "the package's own fail repeats the test's")
	require.Equal(t, []string{"p B: SKIP: TEST_MONGODB_URI is not set"}, r.skips)
	require.Contains(t, r.text(), "it broke")
}

func TestParseGo_SaysWhenSomethingSlowHasEnded(t *testing.T) {
	r := parsed(t, parseGo, `{"Action":"pass","Package":"github.com/orderwire/orderwire/p","Test":"A/B","Elapsed":70.4}
{"Action":"pass","Package":"github.com/orderwire/orderwire/p","Test":"C","Elapsed":0.2}
{"Action":"pass","Package":"github.com/orderwire/orderwire/p","Elapsed":71}
`)
	require.Equal(t, "      70s p A/B\n      71s p\n", r.text())
}

func TestParseGo_APackageThatDoesNotBuildIsAFailure(t *testing.T) {
	r := parsed(t, parseGo, `{"ImportPath":"p","Action":"build-output","Output":"undefined: x\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"fail","Package":"p","FailedBuild":"p"}
`)
	require.Equal(t, 1, r.failed)
	require.Contains(t, r.text(), "undefined: x")
}

func TestParseTAP_CountsTopLevelLines(t *testing.T) {
	r := parsed(t, parseTAP, `TAP version 13
ok 1 - tests/push.test.ts > resumes # time=3.20ms
    ok 1 - nested
ok 2 - needs chromium # SKIP no browser here
not ok 3 - breaks
  ---
  error: expected 1
1..3
`)
	require.Equal(t, 1, r.passed)
	require.Equal(t, 1, r.failed)
	require.Equal(t, []string{"needs chromium: no browser here"}, r.skips)
	require.Contains(t, r.text(), "expected 1")
}

func TestClose_CountsASkipAsFailedWhereBackendsAreRequired(t *testing.T) {
	r := recorder()
	r.passed = 3
	r.skip("A", "no database")
	require.Equal(t, 0, r.close(false))
	require.Contains(t, r.text(), "3 passed, 0 failed, 1 skipped")
	require.Equal(t, 1, r.close(true))
	require.Contains(t, r.text(), "3 passed, 1 failed, 0 skipped")
}

func TestClose_NothingRunIsAFailure(t *testing.T) {
	r := recorder()
	require.Equal(t, 1, r.close(false))
}

type recorded struct {
	result
	buffer *strings.Builder
}

func (r *recorded) text() string { return r.buffer.String() }

func recorder() *recorded {
	b := &strings.Builder{}
	return &recorded{result{out: b}, b}
}

func parsed(t *testing.T, parse func(io.Reader, *result) error, in string) *recorded {
	t.Helper()
	r := recorder()
	require.NoError(t, parse(strings.NewReader(in), &r.result))
	return r
}
