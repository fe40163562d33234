package audit

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// mayGrow is by how much ten times as many orders may raise what lives on the heap, in MiB. Kept in memory, the 18,000
// orders that are more would be some 45.
const mayGrow = 4

// An audit of generated orders (20,000 unless AUDIT_SYNTHETIC says otherwise) and one of a tenth of them, without a
// database and a broker: what they would give is set aside and checked. What the two add to memory
// TestAudit_MemoryIsBounded shows.
func TestBuckets_MemoryIsBounded(t *testing.T) {
	n := 20_000
	if s := os.Getenv("AUDIT_SYNTHETIC"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	few, many := checkMany(t, n/10), checkMany(t, n)
	peak := peakMemory(t)
	t.Logf("%d orders: %.1f MiB live; %d orders: %.1f MiB live, %d MiB resident", n/10, few, n, many, peak)
	if n <= 20_000 { // with more, a file that is checked grows up to maxEntries, and then no more
		require.LessOrEqual(t, many, few+mayGrow, "MiB")
	}
	require.LessOrEqual(t, peak, 300, "MiB")
}

// checkMany checks n generated orders, and gives the peak of what lived on the heap, in MiB.
func checkMany(t *testing.T, n int) (peak float64) {
	t.Helper()
	live := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	before := live()
	look := func() { peak = max(peak, live()-before) }
	a := offline(t)
	id := func(i int) string { return fmt.Sprintf("01a21376-b1eb-7976-8c05-%012d", i) }
	often := max(1, n/20)
	for i := range n {
		for _, d := range documentsOf(id(i)) {
			require.NoError(t, a.kept.put(d))
		}
		if i%often == 0 {
			look()
		}
	}
	for i := range n {
		for _, h := range heardOf(id(i), a.home(id(i)), int64(i)) {
			require.NoError(t, a.kept.put(&entry{Heard: h}))
		}
		if i%often == 0 {
			look()
		}
	}
	look()
	orders := 0
	require.NoError(t, a.kept.each(maxEntries, func(b *bucket) error {
		some, err := a.bucket(t.Context(), b)
		orders += some
		look()
		runtime.KeepAlive(b)
		return err
	}))
	require.Equal(t, n, orders)
	require.True(t, a.found.Holds(), "%+v", a.found.Invariants)
	require.Equal(t, n, a.found.by["I12"].Checked)
	return peak
}

// offline is a quiesced audit without a database and a broker, of what is set aside for it.
func offline(t *testing.T) *auditor {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://127.0.0.1:1")) // names only: nothing is asked of it
	require.NoError(t, err)
	db := client.Database("none")
	a := &auditor{
		config: Config{Quiesced: true, Say: t.Logf}, found: newFindings("quiesced", maxListed), partitions: 12, truncated: map[part]bool{},
		orders: db.Collection("orders"), reservations: db.Collection("reservations"), shipments: db.Collection("shipments"),
		committed: map[string]map[string]map[int32]int64{}, kept: &spill{dir: t.TempDir()},
	}
	t.Cleanup(func() {
		a.kept.close()
		require.NoError(t, client.Disconnect(context.Background()))
	})
	return a
}

// documentsOf gives a confirmed order as its three services have it.
func documentsOf(id string) []*entry {
	stock := stockFacts{Status: held}
	order := orderDocument{
		Envelope: Envelope{ID: id, OwnOrders: 3, SeenInventory: 1, SeenShipping: 1}, Facts: orderSaid(id, 3),
		HasStock: true, Stock: stock, HasShipment: true, Shipment: shipmentSaid(id),
	}
	order.Amounts = amountsTo(&order)
	return []*entry{
		{Order: &order},
		{Reservation: &reservationDocument{Envelope: Envelope{ID: id, OwnOrders: 1, OwnShipping: 1, SeenOrderAPI: 1}, Facts: reservationSaid(id)}},
		{Shipment: &shipmentDocument{Envelope: Envelope{ID: id, OwnShipping: 1, SeenInventory: 1}, Facts: shipmentSaid(id), Pieces: 2}},
	}
}

// heardOf gives its six events.
func heardOf(id string, partition int32, n int64) []*heard {
	reservation, shipment := reservationSaid(id), shipmentSaid(id)
	said := func(topic string, typ events.Type, sequence int64) *heard {
		return &heard{Coordinates: Coordinates{topic, partition, 4 * n}, Key: id, Type: typ, Sequence: sequence, Content: hashOf(id + string(typ)).num(sequence)}
	}
	all := []*heard{
		said(events.TopicOrders, events.OrderCreated, 1), said(events.TopicOrders, events.StockReserved, 1),
		said(events.TopicShipping, events.ShipmentRequested, 1), said(events.TopicOrders, events.OrderUpdated, 2),
		said(events.TopicShipping, events.ShipmentScheduled, 1), said(events.TopicOrders, events.OrderUpdated, 3),
	}
	for i, version := range map[int]int64{0: 1, 3: 2, 5: 3} {
		f := orderSaid(id, version)
		all[i].Order = &f
	}
	all[1].Reservation, all[2].Reservation, all[4].Shipment = &reservation, &reservation, &shipment
	return all
}

func orderSaid(id string, version int64) orderFacts {
	h := hashOf(id)
	f := orderFacts{
		Customer: h, Goods: h.num(1), Prices: h.num(2), Address: h.num(3), Note: h.num(4), Shipment: h.num(version), Version: version,
		Revision: 1, CreatedAt: 1, UpdatedAt: version, Status: eventspb.OrderStatus_ORDER_STATUS_CONFIRMED,
	}
	return f
}

func reservationSaid(id string) reservationFacts {
	h := hashOf(id)
	return reservationFacts{Customer: h, Items: h.num(1), Pieces: 2, Status: held, Asked: true, Address: h.num(3)}
}

func shipmentSaid(id string) shipmentFacts {
	h := hashOf(id)
	return shipmentFacts{Customer: h, Plan: h.num(5), Tracking: hashOf(""), Address: h.num(3), Status: scheduled}
}

// peakMemory is the peak of this process's resident memory, in MiB.
func peakMemory(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("SKIP: this system does not tell the peak of a process's memory")
	}
	var kib int
	for line := range strings.Lines(string(raw)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			break
		}
	}
	return kib >> 10
}
