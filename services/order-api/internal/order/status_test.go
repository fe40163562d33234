package order_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// Short names for the states of the facts.
const (
	held       = eventspb.ReservationStatus_RESERVATION_STATUS_HELD
	rejected   = eventspb.ReservationStatus_RESERVATION_STATUS_REJECTED
	released   = eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED
	left       = eventspb.ReservationStatus_RESERVATION_STATUS_SHIPPED
	writtenOff = eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF

	byCancel  = eventspb.ReleaseCause_RELEASE_CAUSE_CANCELLED
	byFailure = eventspb.ReleaseCause_RELEASE_CAUSE_FAILED

	scheduled  = eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED
	dispatched = eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED
	delivered  = eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED
	stopped    = eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED
	failed     = eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED
)

func TestStatus_FollowsFromTheFactsByPrecedence(t *testing.T) {
	stock := func(s eventspb.ReservationStatus, cause eventspb.ReleaseCause) *order.Stock {
		return &order.Stock{Status: s, Cause: cause}
	}
	parcel := func(s eventspb.ShipmentStatus) *order.Shipment { return &order.Shipment{Status: s} }
	now := time.Now()
	for _, c := range []struct {
		want     string
		outcome  string // of a cancellation
		cancel   bool
		stock    *order.Stock
		shipment *order.Shipment
	}{
		{want: "pending"},
		{want: "confirmed", stock: stock(held, 0)},
		{want: "confirmed", shipment: parcel(scheduled)}, // shipping's topic was faster
		{want: "confirmed", stock: stock(held, 0), shipment: parcel(scheduled)},
		{want: "rejected", stock: stock(rejected, 0)},
		{want: "shipped", shipment: parcel(dispatched)},
		{want: "shipped", stock: stock(held, 0), shipment: parcel(dispatched)},
		{want: "shipped", stock: stock(left, 0), shipment: parcel(scheduled)},
		{want: "delivered", stock: stock(held, 0), shipment: parcel(delivered)},
		{want: "delivered", shipment: parcel(delivered)},
		{want: "failed", stock: stock(held, 0), shipment: parcel(failed)},
		{want: "failed", stock: stock(released, byFailure), shipment: parcel(dispatched)},
		{want: "failed", stock: stock(writtenOff, byFailure), shipment: parcel(dispatched)},
		{want: "cancelling", outcome: "pending", cancel: true},
		{want: "cancelling", outcome: "pending", cancel: true, stock: stock(held, 0), shipment: parcel(scheduled)},
		{want: "cancelled", outcome: "done", cancel: true, stock: stock(released, byCancel)},
		{want: "cancelled", outcome: "done", cancel: true, stock: stock(held, 0), shipment: parcel(stopped)},
		{want: "shipped", outcome: "refused", cancel: true, stock: stock(held, 0), shipment: parcel(dispatched)},
		{want: "delivered", outcome: "refused", cancel: true, stock: stock(held, 0), shipment: parcel(delivered)},
		{want: "rejected", outcome: "refused", cancel: true, stock: stock(rejected, 0)},
		{want: "failed", outcome: "refused", cancel: true, stock: stock(held, 0), shipment: parcel(failed)},
	} {
		o := &order.Order{Stock: c.stock, Shipment: c.shipment}
		if c.cancel {
			o.CancelRequestedAt = &now
		}
		require.Equal(t, c.want, events.Word(o.Status()), "%+v %+v", c.stock, c.shipment)
		snapshot := o.Snapshot()
		require.Equal(t, c.cancel, snapshot.GetCancellation() != nil)
		require.Equal(t, c.outcome, events.Word(snapshot.GetCancellation().GetOutcome()), c.want)
		require.Equal(t, c.want == "failed", snapshot.GetFailure() != nil)
		require.Equal(t, c.want == "rejected", snapshot.GetRejection() != nil)
	}
}

func TestSnapshot_SaysWhatBecameOfTheGoods(t *testing.T) {
	for want, o := range map[string]*order.Order{
		"refused": {Shipment: &order.Shipment{Status: failed, Failure: eventspb.FailureReason_FAILURE_REASON_REFUSED}},
		"lost":    {Stock: &order.Stock{Status: writtenOff, Cause: byFailure}},
	} {
		require.Equal(t, want, events.Word(o.Snapshot().GetFailure().GetReason()))
	}
	o := &order.Order{Stock: &order.Stock{Status: released, Cause: byFailure}}
	require.Equal(t, "refused", events.Word(o.Snapshot().GetFailure().GetReason()))
}

func TestSnapshot_ShowsShippingsAnswerToTheLastChangeOfAddress(t *testing.T) {
	for _, c := range []struct {
		name string
		o    order.Order
		want string
	}{
		{"never changed", order.Order{}, ""},
		{"nothing heard yet", order.Order{AddressRevision: 1}, "pending"},
		{"answered an earlier one", order.Order{AddressRevision: 2, Shipment: &order.Shipment{Status: scheduled, AddressRevision: 1}}, "pending"},
		{"taken", order.Order{AddressRevision: 1, Shipment: &order.Shipment{Status: scheduled, AddressRevision: 1}}, "accepted"},
		{"too late", order.Order{AddressRevision: 1, Shipment: &order.Shipment{Status: dispatched, AddressRevision: 1, AddressRefused: true}}, "refused"},
		{"rejected before anybody could answer", order.Order{AddressRevision: 1, Stock: &order.Stock{Status: rejected}}, "refused"},
	} {
		require.Equal(t, c.want, events.Word(c.o.Snapshot().GetAddressChange().GetOutcome()), c.name)
	}
}

func TestChanged_NamesFieldsAsJSONSpellsThem(t *testing.T) {
	o := placed(t)
	before := o.Snapshot()
	require.Empty(t, events.Changed(before, o.Snapshot()))

	o.Version, o.UpdatedAt = 2, o.UpdatedAt.Add(time.Second)
	require.Empty(t, events.Changed(before, o.Snapshot()), "version and updatedAt go without saying")

	_, err := o.Edit(order.Patch{ShippingAddress: order.Field[order.AddressPatch]{
		Present: true, Value: order.AddressPatch{City: order.Field[string]{Present: true, Value: "Bonn"}},
	}})
	require.NoError(t, err)
	require.Equal(t, []string{"revision", "shippingAddress", "addressRevision", "addressChange"}, events.Changed(before, o.Snapshot()))
}

// The next two tests pin what a client may do when.

func TestEditAndCancel_AreRefusedOnceTheOrderHasLeftOrEnded(t *testing.T) {
	for _, c := range []struct {
		status         string
		stock          *order.Stock
		shipment       *order.Shipment
		cancel         bool
		edits, cancels bool
	}{
		{status: "pending", edits: true, cancels: true},
		{status: "confirmed", stock: &order.Stock{Status: held}, edits: true, cancels: true},
		{status: "cancelling", cancel: true, cancels: true},
		{status: "cancelled", cancel: true, stock: &order.Stock{Status: released, Cause: byCancel}, cancels: true},
		{status: "rejected", stock: &order.Stock{Status: rejected}},
		{status: "shipped", shipment: &order.Shipment{Status: dispatched}},
		{status: "delivered", shipment: &order.Shipment{Status: delivered}},
		{status: "failed", shipment: &order.Shipment{Status: failed}},
	} {
		make := func() *order.Order {
			o := placed(t)
			o.Stock, o.Shipment = c.stock, c.shipment
			if c.cancel {
				at := time.Now()
				o.CancelRequestedAt = &at
			}
			require.Equal(t, c.status, events.Word(o.Status()))
			return o
		}
		changed, err := make().Edit(order.Patch{Note: order.Field[string]{Present: true, Value: "ring twice"}})
		require.Equal(t, c.edits, changed, c.status)
		_, cancelErr := make().Cancel(time.Now())
		for allowed, err := range map[*bool]error{&c.edits: err, &c.cancels: cancelErr} {
			if *allowed {
				require.NoError(t, err, c.status)
				continue
			}
			var state *order.StateError
			require.ErrorAs(t, err, &state, c.status)
		}
	}
}

func TestCancel_RepeatedChangesNothing(t *testing.T) {
	o := placed(t)
	changed, err := o.Cancel(time.Now())
	require.NoError(t, err)
	require.True(t, changed)
	again := *o
	changed, err = o.Cancel(time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.False(t, changed)
	require.Equal(t, again, *o)
}

func TestEdit_IsBounded(t *testing.T) {
	o := placed(t)
	note := func(n int) order.Patch {
		return order.Patch{Note: order.Field[string]{Present: true, Value: time.Unix(int64(n), 0).String()}}
	}
	for n := range order.MaxEdits {
		changed, err := o.Edit(note(n))
		require.NoError(t, err)
		require.True(t, changed)
	}
	_, err := o.Edit(note(order.MaxEdits))
	require.ErrorIs(t, err, order.ErrTooManyEdits)
	changed, err := o.Edit(note(order.MaxEdits - 1))
	require.NoError(t, err, "nothing differs, so nothing is refused")
	require.False(t, changed)
	changed, err = o.Cancel(time.Now())
	require.NoError(t, err, "whoever edited too much may still cancel")
	require.True(t, changed)
}

func TestNews_ThatCannotBeTrueIsImpossible(t *testing.T) {
	o := placed(t)
	_, err := o.InventorySays(&eventspb.Reservation{Id: o.ID, CustomerId: "mallory", Status: held})
	require.ErrorIs(t, err, order.ErrImpossible)
	_, err = o.InventorySays(&eventspb.Reservation{Id: o.ID, CustomerId: o.CustomerID})
	require.ErrorIs(t, err, order.ErrImpossible, "no state at all")
	_, err = o.ShippingSays(&eventspb.Shipment{Id: o.ID, CustomerId: "mallory", Status: scheduled})
	require.ErrorIs(t, err, order.ErrImpossible)

	changed, err := o.ShippingSays(&eventspb.Shipment{Id: o.ID, CustomerId: o.CustomerID, Status: delivered})
	require.NoError(t, err, "events between may have been missed")
	require.True(t, changed)
	before := *o
	_, err = o.ShippingSays(&eventspb.Shipment{Id: o.ID, CustomerId: o.CustomerID, Status: scheduled})
	require.ErrorIs(t, err, order.ErrImpossible, "nothing that arrived is still to be sent")
	require.Equal(t, before, *o)
	changed, err = o.ShippingSays(&eventspb.Shipment{Id: o.ID, CustomerId: o.CustomerID, Status: delivered})
	require.NoError(t, err)
	require.False(t, changed, "it says nothing new")
}
