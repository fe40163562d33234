package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"google.golang.org/protobuf/proto"

	"github.com/orderwire/orderwire/deploy/audit"
	"github.com/orderwire/orderwire/pkg/kafka"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// What an audit may take, in MiB: resident, and by how much ten times as many orders may raise what lives on the heap.
const (
	maxMemory = 300
	mayGrow   = 6
)

// Audits in processes of their own, of AUDIT_ORDERS generated orders (5,000 unless the environment says otherwise) and of
// a tenth of them.
func TestAudit_MemoryIsBounded(t *testing.T) {
	n := 5000
	if s := os.Getenv("AUDIT_ORDERS"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	few, many := auditMany(t, n/10), auditMany(t, n)
	if many.Peak == 0 {
		t.Skip("SKIP: this system does not tell the peak of a process's memory")
	}
	require.LessOrEqual(t, many.Peak, maxMemory, "MiB")
	if n <= 5000 { // with more, what is read at once grows up to its limits, and then no more
		require.LessOrEqual(t, many.Live, few.Live+mayGrow, "MiB")
	}
}

func auditMany(t *testing.T, n int) outcome {
	t.Helper()
	w := well(t)
	c := w.storeMany(t, n)
	raw, err := json.Marshal(c)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), auditChild+"="+string(raw))
	child.Stderr = os.Stderr
	out, err := child.Output()
	require.NoError(t, err)
	var is outcome
	require.NoError(t, json.Unmarshal(out, &is))
	report := is.Report
	require.True(t, report.Holds(), "%s", out[:min(len(out), 4000)])
	require.Equal(t, n, report.Orders)
	require.Equal(t, n*len(w.log), report.Events)
	t.Logf("%d orders, %d events: %.1f MiB live, %d MiB resident, %s of CPU", report.Orders, report.Events, is.Live, is.Peak,
		child.ProcessState.UserTime()+child.ProcessState.SystemTime())
	return is
}

// auditChild makes the test binary an audit of what the variable says.
const auditChild = "ORDERWIRE_TEST_AUDIT"

// outcome is what a child says: its report and the peaks of what lived on its heap and of its resident memory, in MiB.
type outcome struct {
	Report *audit.Report
	Live   float64
	Peak   int
}

// livePeak watches what the garbage collector finds alive, until it is asked.
func livePeak() (ask func() float64) {
	end, peak := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		var most uint64
		for {
			metrics.Read(live)
			most = max(most, live[0].Value.Uint64())
			select {
			case <-tick.C:
			case <-end:
				peak <- most
				return
			}
		}
	}()
	return func() float64 { close(end); return float64(<-peak) / (1 << 20) }
}

// peak reads VmHWM: what a parent sees in ru_maxrss is its own peak, as long as the child was a copy of it.
func peak() int {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	var kib int
	for line := range strings.Lines(string(raw)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib >> 10
		}
	}
	return 0
}

// child runs that audit, and gives the exit code.
func child(config string) int {
	debug.SetMemoryLimit(200 << 20) // as orderctl audit does
	debug.SetGCPercent(50)
	var c many
	err := json.Unmarshal([]byte(config), &c)
	if err == nil {
		live := livePeak()
		var report *audit.Report
		report, err = audit.Run(context.Background(), c.config())
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(outcome{report, live(), peak()})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// many is what a child must know.
type many struct {
	Brokers  []string
	MongoDB  string
	Database string
}

func (m many) config() audit.Config {
	return audit.Config{
		Kafka: kafka.Config{Brokers: m.Brokers}, MongoDB: m.MongoDB, Quiesced: true,
		Databases: audit.Databases{OrderAPI: m.Database, Inventory: m.Database, Shipping: m.Database},
	}
}

// storeMany stores the world n times over, each order under an id of its own.
func (w *world) storeMany(t *testing.T, n int) many {
	t.Helper()
	w.adjusted = 10 * n
	w.stock["available"], w.stock["reserved"] = int64(8*n), int64(2*n)
	one := *w
	one.order, one.reservation, one.shipment, one.log = nil, nil, nil, nil
	one.more = func(put func(collection string, docs []any), produce func(*kgo.Record)) {
		const page = 1000
		for from := 0; from < n; from += page {
			docs := map[string][]any{}
			for i := from; i < min(from+page, n); i++ {
				at := fmt.Sprintf("01a21376-b1eb-7976-8c05-%012d", i)
				for name, doc := range map[string]bson.M{"orders": w.order, "reservations": w.reservation, "shipments": w.shipment} {
					d := maps.Clone(doc)
					d["_id"] = at
					if name == "orders" {
						s := maps.Clone(doc["shipment"].(bson.M))
						s["id"] = at
						d["shipment"] = s
					}
					docs[name] = append(docs[name], d)
				}
				for _, r := range w.log {
					produce(ofOrder(t, r, at))
				}
			}
			for name, page := range docs {
				put(name, page)
			}
		}
	}
	c := one.store(t)
	return many{c.Kafka.Brokers, c.MongoDB, c.Databases.OrderAPI}
}

// ofOrder gives the same record about another order.
func ofOrder(t *testing.T, r *kgo.Record, id string) *kgo.Record {
	t.Helper()
	header := func(name string) string {
		for _, h := range r.Headers {
			if h.Key == name {
				return string(h.Value)
			}
		}
		return ""
	}
	e, err := events.Decode(header, r.Key, r.Value)
	require.NoError(t, err)
	switch data := e.Data.(type) {
	case *eventspb.Order:
		data = renamed(data, id)
		if data.Shipment != nil {
			data.Shipment.Id = id
		}
		return record(t, e.Type, e.Sequence, data)
	case *eventspb.Shipment:
		data = renamed(data, id)
		data.OrderId = id
		return record(t, e.Type, e.Sequence, data)
	default:
		return record(t, e.Type, e.Sequence, renamed(proto.Clone(e.Data).(*eventspb.Reservation), id))
	}
}
