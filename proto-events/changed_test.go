package events_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

func TestChanged_NamesWhatDiffersAsJSONSpellsIt(t *testing.T) {
	before := &eventspb.Shipment{
		Id: "o-1", Cost: &eventspb.Money{Amount: 1, Currency: "EUR"}, Address: &eventspb.Address{City: "Köln"},
		UpdatedAt: timestamppb.New(time.Unix(1, 0)),
	}
	after := proto.CloneOf(before)
	after.UpdatedAt = timestamppb.New(time.Unix(2, 0))
	require.Empty(t, events.Changed(before, after), "updatedAt goes without saying")
	after.Cost.Amount = 2
	after.Address = nil
	after.TrackingNumber = proto.String("")
	after.CancelRefused = true
	require.Equal(t, []string{"cost", "trackingNumber", "address", "cancelRefused"}, events.Changed(before, after))

	require.Empty(t, events.Changed(&eventspb.Order{Version: 1}, &eventspb.Order{Version: 2}), "nor does version")
	require.Equal(t, []string{"items"}, events.Changed(
		&eventspb.Order{Items: []*eventspb.OrderItem{{Sku: "a"}}}, &eventspb.Order{Items: []*eventspb.OrderItem{{Sku: "b"}}}))
}
