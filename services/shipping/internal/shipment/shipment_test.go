package shipment_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// asked is what inventory asks for of an order with two mugs.
func asked(revision int64, cancelled bool) *eventspb.Reservation {
	return &eventspb.Reservation{
		Id: "o-1", CustomerId: "alice", Items: []*eventspb.ReservedItem{{Sku: "mug", Quantity: 2}},
		Request: &eventspb.ShippingRequest{
			Address: street(revision), AddressRevision: revision, CancelRequested: cancelled,
		},
	}
}

// streets are the addresses by their revision: with the second one the zone changes, too.
var streets = []*eventspb.Address{
	{Name: "Alice", Street: "Ring 1", City: "Köln", PostalCode: "50667", Country: "DE"},
	{Name: "Alice", Street: "Quay 2", City: "Cork", PostalCode: "T12", Country: "IE"},
	{Name: "Alice", Street: "Road 3", City: "Perth", PostalCode: "6000", Country: "AU"},
}

func street(revision int64) *eventspb.Address { return streets[revision%int64(len(streets))] }

// in gives a shipment in a state, as the rules lead there.
func in(t *testing.T, status shipment.Status, reason ...shipment.Reason) *shipment.Shipment {
	t.Helper()
	s, _, err := shipment.Start(asked(0, status == shipment.Cancelled), noon)
	require.NoError(t, err)
	if status == shipment.Scheduled || status == shipment.Cancelled {
		return s
	}
	_, err = s.Dispatch("T-1")
	require.NoError(t, err)
	switch status {
	case shipment.Delivered:
		_, err = s.Deliver()
	case shipment.Failed:
		_, err = s.Fail(reason[0])
	case shipment.Scheduled, shipment.Dispatched, shipment.Cancelled:
	}
	require.NoError(t, err)
	require.Equal(t, status, s.Status)
	return s
}

func TestStart_PlansTheShipment(t *testing.T) {
	s, says, err := shipment.Start(asked(1, false), noon)
	require.NoError(t, err)
	require.Equal(t, []events.Type{events.ShipmentScheduled}, says)
	require.Equal(t, &shipment.Shipment{
		ID: "o-1", CustomerID: "alice", Status: shipment.Scheduled, Pieces: 2,
		Rate: shipment.RateFor("IE", 2), EstimatedDelivery: noon.AddDate(0, 0, shipment.RateFor("IE", 2).Days),
		Address:         shipment.Address{Name: "Alice", Street: "Quay 2", City: "Cork", PostalCode: "T12", Country: "IE"},
		AddressRevision: 1, CreatedAt: noon,
	}, s)
}

func TestStart_WithItsCancellationIsCancelledAndNothingElse(t *testing.T) {
	s, says, err := shipment.Start(asked(1, true), noon)
	require.NoError(t, err)
	require.Equal(t, []events.Type{events.ShipmentCancelled}, says)
	require.Equal(t, shipment.Cancelled, s.Status)
	require.False(t, s.CancelRefused)
}

// One row per state: what each question of inventory's is answered with.
func TestAsks_AnswersByState(t *testing.T) {
	for _, c := range []struct {
		status          shipment.Status
		address, cancel events.Type // "": nothing is said
	}{
		{shipment.Scheduled, events.ShipmentUpdated, events.ShipmentCancelled},
		{shipment.Dispatched, events.ShipmentUpdateRefused, events.ShipmentCancelRefused},
		{shipment.Delivered, events.ShipmentUpdateRefused, events.ShipmentCancelRefused},
		{shipment.Failed, events.ShipmentUpdateRefused, events.ShipmentCancelRefused},
		{shipment.Cancelled, events.ShipmentUpdateRefused, ""},
	} {
		t.Run(string(c.status), func(t *testing.T) {
			s := in(t, c.status, shipment.Lost)
			before := s.Clone()
			says, err := s.Asks(asked(0, c.status == shipment.Cancelled), noon)
			require.NoError(t, err)
			require.Empty(t, says, "what is known already")
			require.Equal(t, before, s)

			later := noon.Add(time.Hour)
			says, err = s.Asks(asked(1, c.status == shipment.Cancelled), later)
			require.NoError(t, err)
			require.Equal(t, []events.Type{c.address}, says)
			require.EqualValues(t, 1, s.AddressRevision)
			if c.address == events.ShipmentUpdated {
				require.False(t, s.AddressRefused)
				require.Equal(t, "Quay 2", s.Address.Street)
				require.Equal(t, shipment.RateFor("IE", 2), s.Rate, "another zone, another rate")
				require.Equal(t, later.AddDate(0, 0, s.Rate.Days), s.EstimatedDelivery)
			} else {
				require.True(t, s.AddressRefused)
				require.Equal(t, before.Address, s.Address, "it goes where it went")
				require.Equal(t, before.Rate, s.Rate)
			}
			says, err = s.Asks(asked(1, c.status == shipment.Cancelled), later)
			require.NoError(t, err)
			require.Empty(t, says, "each address is answered once")

			says, err = s.Asks(asked(1, true), later)
			require.NoError(t, err)
			if c.cancel == "" {
				require.Empty(t, says)
			} else {
				require.Equal(t, []events.Type{c.cancel}, says)
			}
			require.Equal(t, c.cancel == events.ShipmentCancelRefused, s.CancelRefused)
			says, err = s.Asks(asked(1, true), later)
			require.NoError(t, err)
			require.Empty(t, says, "each cancellation is answered once")
		})
	}
}

func TestAsks_AnOlderAddressIsNoNews(t *testing.T) {
	s, _, err := shipment.Start(asked(2, false), noon)
	require.NoError(t, err)
	says, err := s.Asks(asked(1, false), noon)
	require.NoError(t, err)
	require.Empty(t, says)
	require.Equal(t, "Road 3", s.Address.Street)
}

func TestAsks_AnswersAnAddressAndACancellationTogether(t *testing.T) {
	s := in(t, shipment.Scheduled)
	says, err := s.Asks(asked(1, true), noon)
	require.NoError(t, err)
	require.Equal(t, []events.Type{events.ShipmentUpdated, events.ShipmentCancelled}, says)

	s = in(t, shipment.Dispatched)
	says, err = s.Asks(asked(1, true), noon)
	require.NoError(t, err)
	require.Equal(t, []events.Type{events.ShipmentUpdateRefused, events.ShipmentCancelRefused}, says)
}

func TestNews_ThatCannotBeTrueIsImpossible(t *testing.T) {
	for name, broken := range map[string]func(*eventspb.Reservation){
		"asks for nothing":   func(r *eventspb.Reservation) { r.Request = nil },
		"without an address": func(r *eventspb.Reservation) { r.Request.Address = nil },
		"without items":      func(r *eventspb.Reservation) { r.Items = nil },
		"less than a piece":  func(r *eventspb.Reservation) { r.Items[0].Quantity = 0 },
		"negative pieces": func(r *eventspb.Reservation) {
			r.Items = append(r.Items, &eventspb.ReservedItem{Sku: "spoon", Quantity: -1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := asked(1, true)
			broken(r)
			_, _, err := shipment.Start(r, noon)
			require.ErrorIs(t, err, shipment.ErrImpossible)
			_, err = in(t, shipment.Scheduled).Asks(r, noon)
			require.ErrorIs(t, err, shipment.ErrImpossible)
		})
	}
	for name, other := range map[string]func(*eventspb.Reservation){
		"another customer": func(r *eventspb.Reservation) { r.CustomerId = "mallory" },
		"other items":      func(r *eventspb.Reservation) { r.Items[0].Quantity = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			r := asked(1, true)
			other(r)
			_, err := in(t, shipment.Scheduled).Asks(r, noon)
			require.ErrorIs(t, err, shipment.ErrImpossible)
		})
	}
}

// One row per state: what each message of a carrier's does. "same" is 200 without an event, "" is out of turn.
func TestCarrier_ActsInTurn(t *testing.T) {
	const same = events.Type("same")
	for _, c := range []struct {
		status                          shipment.Status
		reason                          shipment.Reason
		dispatch, deliver, refuse, lose events.Type
	}{
		{shipment.Scheduled, "", events.ShipmentDispatched, "", "", ""},
		{shipment.Dispatched, "", same, events.ShipmentDelivered, events.ShipmentFailed, events.ShipmentFailed},
		{shipment.Delivered, "", "", same, "", ""},
		{shipment.Cancelled, "", "", "", "", ""},
		{shipment.Failed, shipment.Refused, "", "", same, ""},
		{shipment.Failed, shipment.Lost, "", "", "", same},
	} {
		for step, act := range map[string]struct {
			do   func(*shipment.Shipment) ([]events.Type, error)
			want events.Type
			then shipment.Status
		}{
			"dispatch": {func(s *shipment.Shipment) ([]events.Type, error) { return s.Dispatch("T-1") }, c.dispatch, shipment.Dispatched},
			"deliver":  {(*shipment.Shipment).Deliver, c.deliver, shipment.Delivered},
			"refuse":   {func(s *shipment.Shipment) ([]events.Type, error) { return s.Fail(shipment.Refused) }, c.refuse, shipment.Failed},
			"lose":     {func(s *shipment.Shipment) ([]events.Type, error) { return s.Fail(shipment.Lost) }, c.lose, shipment.Failed},
		} {
			t.Run(string(c.status)+string(c.reason)+" "+step, func(t *testing.T) {
				s := in(t, c.status, c.reason)
				before := s.Clone()
				says, err := act.do(s)
				switch act.want {
				case "":
					var state *shipment.StateError
					require.ErrorAs(t, err, &state)
					require.Equal(t, c.status, state.Status)
					require.Equal(t, before, s)
				case same:
					require.NoError(t, err)
					require.Empty(t, says)
					require.Equal(t, before, s)
				default:
					require.NoError(t, err)
					require.Equal(t, []events.Type{act.want}, says)
					require.Equal(t, act.then, s.Status)
				}
			})
		}
	}
}

func TestDispatch_KeepsOneTrackingNumber(t *testing.T) {
	s := in(t, shipment.Scheduled)
	_, err := s.Dispatch("")
	require.NoError(t, err)
	require.Equal(t, shipment.TrackingNumber("o-1"), s.TrackingNumber)
	require.Regexp(t, `^OW\d{10}$`, s.TrackingNumber)
	says, err := s.Dispatch("")
	require.NoError(t, err)
	require.Empty(t, says)
	_, err = s.Dispatch("T-2")
	require.Error(t, err, "it left under another number")
}

func TestSnapshot_SaysEverything(t *testing.T) {
	s := in(t, shipment.Failed, shipment.Refused)
	s.AddressRevision, s.AddressRefused, s.CancelRefused = 3, true, true
	s.Touch(noon.Add(time.Minute))
	s.Touch(noon) // a clock that is behind
	p := s.Snapshot()
	for i := range p.ProtoReflect().Descriptor().Fields().Len() {
		f := p.ProtoReflect().Descriptor().Fields().Get(i)
		require.True(t, p.ProtoReflect().Has(f), "%s is missing", f.Name())
	}
	require.Equal(t, "o-1", p.GetOrderId())
	require.Equal(t, eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED, p.GetStatus())
	require.Equal(t, eventspb.FailureReason_FAILURE_REASON_REFUSED, p.GetFailureReason())
	require.Equal(t, "T-1", p.GetTrackingNumber())
	require.True(t, proto.Equal(street(0), p.GetAddress()))
	require.Equal(t, noon.Add(time.Minute), p.GetUpdatedAt().AsTime())
	require.Nil(t, in(t, shipment.Scheduled).Snapshot().TrackingNumber, "none before it leaves")
	for n := range eventspb.ShipmentStatus_name {
		if n != 0 {
			require.Contains(t, allStatuses(t), eventspb.ShipmentStatus(n))
		}
	}
}

func allStatuses(t *testing.T) (all []eventspb.ShipmentStatus) {
	t.Helper()
	for _, s := range []shipment.Status{
		shipment.Scheduled, shipment.Dispatched, shipment.Delivered, shipment.Cancelled, shipment.Failed,
	} {
		all = append(all, in(t, s, shipment.Lost).Snapshot().GetStatus())
	}
	return all
}

func TestTimers_AreDueInTheirStates(t *testing.T) {
	both := shipment.Timers{DispatchAfter: time.Minute, DeliverAfter: time.Hour}
	for _, c := range []struct {
		timers shipment.Timers
		status shipment.Status
		want   time.Time
	}{
		{both, shipment.Scheduled, noon.Add(time.Minute)},
		{both, shipment.Dispatched, noon.Add(time.Hour)},
		{both, shipment.Delivered, time.Time{}},
		{both, shipment.Cancelled, time.Time{}},
		{both, shipment.Failed, time.Time{}},
		{shipment.Timers{DeliverAfter: time.Hour}, shipment.Scheduled, time.Time{}},
		{shipment.Timers{DispatchAfter: time.Hour}, shipment.Dispatched, time.Time{}},
	} {
		require.Equal(t, c.want, c.timers.Due(c.status, noon), "%v %s", c.timers, c.status)
	}
	require.True(t, both.On())
	require.False(t, shipment.Timers{}.On())
	require.Equal(t, []shipment.Status{shipment.Dispatched}, shipment.Timers{DeliverAfter: 1}.States())
}
