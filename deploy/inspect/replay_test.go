package inspect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/internal/documents"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

func quiet(string, ...any) {}

// A healthy system changes nothing; what is behind the committed offset is not replayed; a change that is planted is
// found with its coordinates.
func TestReplay_FindsWhatADocumentDoesNotShow(t *testing.T) {
	b, d := newBroker(t), database(t)
	store(t, d, confirmed("o-1"))
	b.write(said(t, "o-1")...)
	for _, service := range documents.Services() {
		r, err := RunReplay(t.Context(), b.log, d, service, time.Time{}, quiet)
		require.NoError(t, err)
		require.Zero(t, r.Read, "nothing is committed yet")
		require.Positive(t, r.Pending)
		b.commit(service)
	}
	for _, service := range documents.Services() {
		r, err := RunReplay(t.Context(), b.log, d, service, time.Time{}, quiet)
		require.NoError(t, err)
		require.Zero(t, r.Total, service)
		require.Zero(t, r.Pending, service)
		require.Positive(t, r.Judged[documents.Known], service)
	}

	news := held("o-1")
	news.Request.CancelRequested = true
	lost := b.write(record(t, events.ShipmentCancelRequested, "o-1", 2, noon.Add(time.Minute), news))[0]
	again := b.write(record(t, events.ShipmentUpdateRequested, "o-1", 3, noon.Add(2*time.Minute), held("o-1")))[0]
	b.commit(documents.Shipping)
	r, err := RunReplay(t.Context(), b.log, d, documents.Shipping, noon.Add(time.Second), quiet)
	require.NoError(t, err)
	require.Equal(t, 2, r.Read, "older ones are left out")
	require.Equal(t, 1, r.Judged[documents.Agrees])
	require.Equal(t, 1, r.Total)
	require.Equal(t, Change{
		Topic: lost.Topic, Partition: lost.Partition, Offset: lost.Offset, Order: "o-1", Type: "shipment-cancel-requested",
		Sequence: 2, Effect: documents.Changes, Why: "a cancellation that was not answered",
	}, r.Changes[0])

	b.write(letter(lost, documents.Shipping))
	b.commit(documents.Shipping, again)
	r, err = RunReplay(t.Context(), b.log, d, documents.Shipping, time.Time{}, quiet)
	require.NoError(t, err)
	require.Zero(t, r.Total, "it is a dead letter, and known as such")
	require.Equal(t, 1, r.DeadLettered)
	require.EqualValues(t, 1, r.Pending)
}

// What its reader could not even read must be among its dead letters.
func TestReplay_MissesADeadLetter(t *testing.T) {
	b, d := newBroker(t), database(t)
	garbage := record(t, events.OrderCreated, "o-1", 1, noon, orderSays("o-1"))
	garbage.Value = []byte{0xff}
	other := record(t, events.StockReserved, "o-1", 1, noon, &eventspb.Reservation{Id: "o-1", CustomerId: "alice"})
	b.write(garbage, other)
	b.commit(documents.Inventory)
	b.commit(documents.OrderAPI)
	r, err := RunReplay(t.Context(), b.log, d, documents.Inventory, time.Time{}, quiet)
	require.NoError(t, err)
	require.Equal(t, 1, r.Total)
	require.Contains(t, r.Changes[0].Why, "it would become a dead letter and is none: malformed event")
	r, err = RunReplay(t.Context(), b.log, d, documents.OrderAPI, time.Time{}, quiet)
	require.NoError(t, err)
	require.Equal(t, documents.Impossible, r.Changes[0].Effect, "news of an order that is not there")
}
