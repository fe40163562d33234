package main

import (
	"bytes"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
)

// A database that answers at first, and then no more, is away: exit code 1 is a verdict.
func TestDirect_ADatabaseThatGoesAwayUnderWayIsUnreachable(t *testing.T) {
	testbackend.Mongo(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, events.TopicOrders, events.TopicShipping))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	for _, words := range [][]string{{"stuck"}, {"explain", "o-1"}} {
		u, err := url.Parse(os.Getenv("TEST_MONGODB_URI"))
		require.NoError(t, err)
		u.Host = goneWhenAsked(t, u.Host)
		q := u.Query()
		q.Set("directConnection", "true")
		q.Set("serverSelectionTimeoutMS", "500")
		u.RawQuery = q.Encode()
		code, out, errOut := orderctl(nil, append(words, "--json", "--kafka", cluster.ListenAddrs()[0], "--mongodb", u.String())...)
		require.Equal(t, exitUnreachable, code, "%s: %s", words, errOut)
		require.Contains(t, out, `"unreachable"`)
		require.Regexp(t, "(read documents|count orders)", errOut, "it was there first")
	}
}

// goneWhenAsked is a way to a database, which ends for good with the first question about documents.
func goneWhenAsked(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); open.Wait() })
	var gone atomic.Bool
	pass := func(from, to net.Conn) {
		defer to.Close()
		for buffer := make([]byte, 64<<10); ; {
			n, err := from.Read(buffer)
			if bytes.Contains(buffer[:n], []byte("\x02find\x00")) || bytes.Contains(buffer[:n], []byte("\x02aggregate\x00")) {
				gone.Store(true)
			}
			if err != nil || gone.Load() {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	open.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", host)
			if err != nil || gone.Load() {
				in.Close()
				if err == nil {
					out.Close()
				}
				continue
			}
			open.Go(func() { defer in.Close(); pass(in, out) })
			open.Go(func() { defer out.Close(); pass(out, in) })
		}
	})
	return l.Addr().String()
}
