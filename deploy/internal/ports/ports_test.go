package ports

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whoever has three in the way is not to find them one by one.
func TestCheck_NamesAllThatAreWrongAndTheirVariables(t *testing.T) {
	env := map[string]string{"ORDER_API_PORT": "http"}
	for _, p := range []Port{Gateway, Shipping.Admin, MongoDB} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		env[p.Variable] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	err := Check(func(name string) string { return env[name] }, []Port{OrderAPI.HTTP, Gateway, Shipping.Admin, MongoDB})
	require.EqualError(t, err, fmt.Sprintf(`ORDER_API_PORT="http" is no port: it must be between 1 and 65535
port %s is taken, the gateway needs it: stop who has it, or set GATEWAY_PORT to move it
port %s is taken, shipping's admin port needs it: stop who has it, or set SHIPPING_ADMIN_PORT to move it
port %s is taken, the database needs it: stop who has it, or set MONGODB_PORT to move it`,
		env["GATEWAY_PORT"], env["SHIPPING_ADMIN_PORT"], env["MONGODB_PORT"]))
}

func TestNeeded_AreNoneTwice(t *testing.T) {
	numbers := map[int]bool{}
	all := Needed(func(string) string { return "" }, true)
	for _, p := range all {
		numbers[p.Standard] = true
	}
	require.Len(t, numbers, len(all))
	require.Len(t, Needed(func(string) string { return "somewhere" }, true), len(all)-3, "neither a broker nor a database")
}

func TestIsFree_LeavesNothingBehindInAChildThatStarts(t *testing.T) {
	if !holdsChildren {
		t.Skip("SKIP: not on this system")
	}
	path, err := exec.LookPath("true")
	if err != nil {
		t.Skip("SKIP: there is no program that does nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var starting sync.WaitGroup
	for range 4 {
		starting.Go(func() {
			for ctx.Err() == nil {
				exec.Command(path).Run() //nolint:errcheck // what becomes of it does not matter
			}
		})
	}
	t.Cleanup(starting.Wait)
	t.Cleanup(cancel)
	port := func() int { return 10_000 + rand.IntN(5000) } // not what kernels use for outgoing connections, nor package stack
	n, tried := port(), 0
	for !IsFree(n) {
		n = port()
	}
	for range 2000 {
		if !IsFree(n) { // a child may have a copy of the listener below
			continue
		}
		tried++
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n)))
		require.NoError(t, err)
		require.NoError(t, l.Close())
	}
	require.NotZero(t, tried)
}
