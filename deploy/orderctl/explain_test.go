package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/dlq"
	"github.com/orderwire/orderwire/deploy/inspect"
	"github.com/orderwire/orderwire/deploy/internal/documents"
)

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
