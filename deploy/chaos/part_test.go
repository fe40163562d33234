package main

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// starter is a unit that notes the environments with which it is started, and starts if it may.
type starter struct {
	unit
	may    bool
	ran    bool
	starts [][]string
}

func (s *starter) start(_ context.Context, env []string) error {
	s.starts = append(s.starts, env)
	if s.ran = s.may; !s.may {
		return errors.New("no database is here")
	}
	return nil
}

func (s *starter) running() bool { return s.ran }
func (s *starter) kill()         { s.ran = false }

// TestPart_KeepsItsEnvironment: neither another fault that has it down as well nor a start that fails takes it away; what
// is for one start is for one only.
func TestPart_KeepsItsEnvironment(t *testing.T) {
	s := &starter{}
	p := &part{unit: s, wake: make(chan struct{}, 1)}
	p.down(t.Context(), false)
	p.down(t.Context(), false) // another fault
	p.fromNowOn("version=newer")
	p.next("failpoint=start")
	p.up()
	require.NoError(t, p.reconcile(t.Context()))
	require.Empty(t, s.starts)
	p.up() // the other one ends
	require.Error(t, p.reconcile(t.Context()))
	s.may = true
	require.NoError(t, p.reconcile(t.Context()))
	p.down(t.Context(), false)
	p.up()
	require.NoError(t, p.reconcile(t.Context()))
	p.fromNowOn()
	p.down(t.Context(), false)
	p.up()
	require.NoError(t, p.reconcile(t.Context()))
	require.Equal(t, [][]string{{"version=newer", "failpoint=start"}, {"version=newer"}, {"version=newer"}, nil}, s.starts)
}
