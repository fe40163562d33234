package main

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/internal/load"
)

// script is a list of measurements that note when they are taken and do what a test wants.
type script struct {
	taken []string
	list  []measurement
}

func (s *script) add(name string, do func() error) {
	s.list = append(s.list, measurement{name, "", func(context.Context, *lab) ([]figure, error) {
		s.taken = append(s.taken, name)
		return []figure{{name: "f", value: 1}}, do()
	}})
}

func fine() error { return nil }

func TestRepeat_InterleavesTheMeasurements(t *testing.T) {
	var s script
	s.add("a", fine)
	s.add("b", fine)
	r := &report{repetitions: 3}
	repeat(t.Context(), r, s.list, nil, nil, t.Logf)
	require.Equal(t, []string{"a", "b", "a", "b", "a", "b"}, s.taken)
	require.Len(t, r.series, 2)
	require.Equal(t, []float64{1, 1, 1}, r.series[0].values)
	require.Equal(t, 0, r.exitCode())
}

func TestRepeat_NotesAFailureKeepsTheFiguresAndGoesOn(t *testing.T) {
	var s script
	s.add("a", func() error { return errors.New("2 orders were lost") })
	s.add("b", fine)
	r := &report{repetitions: 2}
	repeat(t.Context(), r, s.list, nil, nil, t.Logf)
	require.Equal(t, []string{"a", "b", "a", "b"}, s.taken)
	require.Equal(t, []string{"a, repetition 1: 2 orders were lost", "a, repetition 2: 2 orders were lost"}, r.failures)
	require.Len(t, r.series, 2)
	require.Equal(t, exitFailed, r.exitCode())
}

func TestRepeat_StopsWhenAProcessHasEndedByItself(t *testing.T) {
	ended := make(chan error, 1)
	var s script
	s.add("a", func() error { ended <- errors.New("shipping: exit status 3"); return nil })
	s.add("b", fine)
	r := &report{repetitions: 2}
	repeat(t.Context(), r, s.list, nil, ended, t.Logf)
	require.Equal(t, []string{"a"}, s.taken)
	require.Equal(t, []string{"a, repetition 1: a part has ended by itself: shipping: exit status 3"}, r.failures)
}

func TestRepeat_StopsWhenItIsInterruptedOrTakesTooLong(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var s script
	s.add("a", func() error { cancel(); return nil })
	s.add("b", fine)
	r := &report{repetitions: 2}
	repeat(ctx, r, s.list, nil, nil, t.Logf)
	require.Equal(t, []string{"a"}, s.taken)
	require.Equal(t, []string{"interrupted in repetition 1"}, r.failures)

	ctx, cancel = context.WithTimeout(t.Context(), 0)
	defer cancel()
	r = &report{repetitions: 2}
	repeat(ctx, r, s.list, nil, nil, t.Logf)
	require.Equal(t, []string{"it took too long: given up in repetition 1"}, r.failures)
}

func TestPick_TakesTheNamedOnesInTheListsOrder(t *testing.T) {
	all, err := pick(nil)
	require.NoError(t, err)
	require.Len(t, all, len(measurements))
	some, err := pick([]string{"burst", "start"})
	require.NoError(t, err)
	require.Len(t, some, 2)
	require.Equal(t, "start", some[0].name)
	_, err = pick([]string{"start", "nope"})
	require.EqualError(t, err, `there is no measurement "nope"`)
}

func TestRefused_NamesEveryCode(t *testing.T) {
	require.NoError(t, refused(load.Result{Accepted: 1}))
	err := refused(load.Result{Refused: map[string]int{"no answer": 1, "503 overloaded": 2}})
	require.EqualError(t, err, "orders were not accepted: 1 × no answer, 2 × 503 overloaded")
}
