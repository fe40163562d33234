package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/stack"
)

// TestVersions_AreDoneOnlyIfTheOldOnesWork: an instance that is only told to start is not there yet.
func TestVersions_AreDoneOnlyIfTheOldOnesWork(t *testing.T) {
	do := func(ctx context.Context, member bool) error {
		admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"checks":[{"name":"consumer","ok":%t}]}`, member)
		}))
		t.Cleanup(admin.Close)
		old := &part{name: "inventory-old", unit: process{controlled: &stack.Instance{AdminURL: admin.URL}}, downs: 1}
		b := &breaker{sys: &system{stack: &stack.Stack{}, parts: map[string]*part{"inventory": {name: "inventory"}, old.name: old}}}
		heal, err := doVersions(ctx, b, Injection{Variant: "beside", Target: []string{"inventory"}})
		require.NotNil(t, heal)
		return err
	}
	require.NoError(t, do(t.Context(), true))
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, do(soon, false), context.DeadlineExceeded)
}
