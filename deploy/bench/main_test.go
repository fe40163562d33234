package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/internal/fakeservice"
	"github.com/orderwire/orderwire/deploy/stack"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

// TestMain lets this test binary play the services when it runs under the name of one.
func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); slices.Contains(stack.Services(), name) {
		os.Exit(fakeservice.Play(name))
	}
	os.Exit(m.Run())
}

func bench(t *testing.T, environ []string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, environ, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestRun_SaysWhatWasUsedWrongly(t *testing.T) {
	for _, wrong := range [][]string{{"--only=nope"}, {"--repetitions=0"}, {"--repetitions=21"}, {"--kafka=nope"}, {"nope"}} {
		code, out, errOut := bench(t, nil, wrong...)
		require.Equal(t, exitUsage, code, wrong)
		require.Empty(t, out, wrong)
		require.NotEmpty(t, errOut, wrong)
	}
	code, out, _ := bench(t, nil, "--help")
	require.Equal(t, 0, code)
	require.Contains(t, strings.Join(strings.Fields(out), " "), strings.Join(names(), ", "))
}

func TestRun_WhatCannotStartIsAFailure(t *testing.T) {
	code, out, errOut := bench(t, os.Environ(), "--kafka=kfake", "--bin="+t.TempDir())
	require.Equal(t, exitFailed, code)
	require.Empty(t, out)
	require.Contains(t, errOut, "make build")
}

// The services are fakes here, but they are processes; their figures are of no interest.
func TestRun_MeasuresProcesses(t *testing.T) {
	testbackend.Mongo(t) // skips where there is none
	self, err := os.Executable()
	require.NoError(t, err)
	bin := t.TempDir()
	for _, name := range stack.Services() {
		require.NoError(t, os.Symlink(self, filepath.Join(bin, name)))
	}
	environ := append(os.Environ(), "MONGODB_URI="+os.Getenv("TEST_MONGODB_URI"))
	code, out, errOut := bench(t, environ, "--quick", "--json", "--only=start", "--only=memory", "--kafka=kfake", "--bin="+bin)
	require.Equal(t, 0, code, errOut)
	var got struct {
		Machine     machine
		Quick       bool
		Repetitions int
		Figures     []struct{ Measurement, Name string }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.True(t, got.Quick)
	require.Equal(t, 1, got.Repetitions)
	require.Equal(t, "kfake", got.Machine.Broker)
	require.Len(t, got.Figures, 12, "of each service its first start, its second one, and its memory")

	// Whoever ends it in the middle gets no figures that look complete.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout bytes.Buffer
	code = run(ctx, []string{"--quick", "--only=memory", "--kafka=kfake", "--bin=" + bin}, environ, &stdout, onText{"repetition 1", cancel})
	require.Equal(t, exitFailed, code)
	require.Contains(t, stdout.String(), "FAILED interrupted in repetition 1")
}

// onText calls do when text is written.
type onText struct {
	text string
	do   func()
}

func (o onText) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(o.text)) {
		o.do()
	}
	return len(p), nil
}
