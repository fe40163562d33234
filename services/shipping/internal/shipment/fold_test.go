package shipment_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

func news(sequence int64, r *eventspb.Reservation) shipment.News {
	return shipment.News{Sequence: sequence, TraceParent: "trace", Reservation: r}
}

func TestFold_TheNewestSaysItAll(t *testing.T) {
	out := shipment.Fold(nil, []shipment.News{
		news(1, asked(0, false)), news(3, asked(2, false)), news(2, asked(1, false)),
	}, 0, noon)
	require.Equal(t, []error{nil, nil, nil}, out.Errors)
	require.Equal(t, []events.Type{events.ShipmentScheduled}, out.Says, "one write, one word")
	require.EqualValues(t, 3, out.Taken)
	require.Equal(t, "trace", out.Trace)
	require.EqualValues(t, 2, out.Shipment.AddressRevision)
}

func TestFold_WhatWasTakenIsNotJudged(t *testing.T) {
	s := in(t, shipment.Scheduled)
	nonsense := asked(0, false)
	nonsense.CustomerId = "mallory"
	out := shipment.Fold(s, []shipment.News{news(3, nonsense), news(4, asked(1, false))}, 4, noon)
	require.Equal(t, []error{nil, nil}, out.Errors, "a replay fills no dead-letter topic")
	require.Empty(t, out.Says)
	require.Same(t, s, out.Shipment)
}

func TestFold_AnImpossibleNewestSpoilsNothing(t *testing.T) {
	s := in(t, shipment.Scheduled)
	before := s.Clone()
	nonsense := asked(2, true)
	nonsense.CustomerId = "mallory"
	out := shipment.Fold(s, []shipment.News{news(2, asked(1, false)), news(3, nonsense)}, 1, noon)
	require.NoError(t, out.Errors[0])
	require.ErrorIs(t, out.Errors[1], shipment.ErrImpossible)
	require.Equal(t, []events.Type{events.ShipmentUpdated}, out.Says)
	require.EqualValues(t, 2, out.Taken)
	require.Equal(t, before, s, "what was read is left as it was")

	out = shipment.Fold(nil, []shipment.News{news(1, nonsense), news(2, &eventspb.Reservation{Id: "o-1", CustomerId: "alice"})}, 0, noon)
	require.ErrorIs(t, out.Errors[1], shipment.ErrImpossible)
	require.NoError(t, out.Errors[0])
	require.Equal(t, []events.Type{events.ShipmentCancelled}, out.Says)
}

func TestFold_NothingPossibleStartsNothing(t *testing.T) {
	out := shipment.Fold(nil, []shipment.News{news(1, &eventspb.Reservation{Id: "o-1", CustomerId: "alice"})}, 0, noon)
	require.ErrorIs(t, out.Errors[0], shipment.ErrImpossible)
	require.Nil(t, out.Shipment)
	require.Empty(t, out.Says)
}
