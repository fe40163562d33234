package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/orderwire/orderwire/deploy/dlq"
	"github.com/orderwire/orderwire/deploy/inspect"
	"github.com/orderwire/orderwire/deploy/internal/client"
	"github.com/orderwire/orderwire/deploy/internal/documents"
	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
)

// Whoever asks for an order that nobody knows is told so as order show does it, whatever time the id has in it.
func TestExplain_AnOrderThatNobodyKnowsIsNotFound(t *testing.T) {
	db := testbackend.Mongo(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, events.TopicOrders, events.TopicShipping))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	for _, id := range []string{"nobody", "00000000-0000-7000-8000-000000000000"} {
		args := []string{
			"explain", id, "--kafka", cluster.ListenAddrs()[0], "--mongodb", os.Getenv("TEST_MONGODB_URI"),
			"--databases", fmt.Sprintf("order-api=%[1]s,inventory=%[1]s,shipping=%[1]s", db.Name()),
		}
		code, out, errOut := orderctl(nil, args...)
		require.Equal(t, exitRefused, code, errOut)
		require.Empty(t, out)
		require.Contains(t, errOut, fmt.Sprintf("knows an order %q", id))
		code, out, _ = orderctl(nil, append(args, "--json")...)
		require.Equal(t, exitRefused, code)
		var told client.Problem
		require.NoError(t, json.Unmarshal([]byte(out), &told), out)
		require.Equal(t, http.StatusNotFound, told.Status)
		require.Equal(t, "order_not_found", told.Code)
	}
}

// Whatever is missing of an order, its story is told on one screen.
func TestPrintStory_IsOneScreen(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	s := &inspect.Story{
		Order: "o-1",
		Documents: map[string]documents.Document{
			"order-api": {Order: &documents.Order{
				Envelope:   documents.Envelope{Version: 3, Seen: map[string]int64{"inventory": 1}, Sequences: map[string]int64{"order-events": 3}},
				CustomerID: "alice\x1b", Status: "confirmed",
			}},
			"inventory": {Reservation: &documents.Reservation{Envelope: documents.Envelope{Outbox: []documents.Entry{{Sequence: 2}}}, Status: "held"}},
		},
		Events: []inspect.Event{
			{
				Topic: "order-events", Partition: 3, Offset: 17, Source: "order-api", Type: "order-created", Sequence: 1, Time: at, Delay: 0.004,
				Readers: map[string]string{"inventory": "taken"},
			},
			{Topic: "order-events", Partition: 3, Offset: 18, Type: "order-updated", Time: at.Add(time.Second), Unreadable: "malformed"},
		},
		Letters: []*dlq.Letter{{ID: dlq.ID{Consumer: "inventory", Topic: "order-events", Partition: 3, Offset: 18}, State: dlq.Open, Error: "malformed"}},
		Waits:   inspect.Wait{For: "It waits for somebody.", Since: at},
	}
	var out bytes.Buffer
	require.NoError(t, (&terminal{out: &out}).printStory(s, at.Add(90*time.Second)))
	text := out.String()
	require.LessOrEqual(t, strings.Count(text, "\n"), 24)
	for _, part := range []string{
		`order o-1 of "alice\x1b": confirmed`, "It waits for somebody. Since ", ", 1m30s ago.", "trace none",
		"shipping    -", "knows nothing of it", "order-events/3@17", "4ms", "inventory:order-events/3@18", "malformed",
	} {
		require.Contains(t, text, part)
	}
}
