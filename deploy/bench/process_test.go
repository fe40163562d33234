package main

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/orderwire/orderwire/pkg/testbackend"
)

func TestResident_IsThatOfTheProcess(t *testing.T) {
	before, err := resident(t.Context(), os.Getpid())
	require.NoError(t, err)
	ballast := make([]byte, 64<<20)
	for n := 0; n < len(ballast); n += 4096 {
		ballast[n] = 1 // touched, so resident
	}
	after, err := resident(t.Context(), os.Getpid())
	require.NoError(t, err)
	require.Greater(t, after-before, 48e6)
	require.Less(t, after-before, 200e6)
	runtime.KeepAlive(ballast)
	_, err = resident(t.Context(), 1<<30)
	require.Error(t, err, "there is no such process")
}

func TestInsertRate_CountsWhatIsStored(t *testing.T) {
	to := testbackend.Mongo(t).Collection("copies")
	const clients = 4
	rate, err := insertRate(t.Context(), to, bson.D{{Key: "_id", Value: "the order's"}, {Key: "note", Value: "x"}}, clients, 200*time.Millisecond)
	require.NoError(t, err)
	stored, err := to.CountDocuments(t.Context(), bson.D{{Key: "note", Value: "x"}, {Key: "_id", Value: bson.D{{Key: "$ne", Value: "the order's"}}}})
	require.NoError(t, err)
	require.GreaterOrEqual(t, stored, int64(clients))
	// It ran for at least the 200 ms, so the rate is at most what they give.
	require.LessOrEqual(t, rate, float64(stored)/0.2)
	require.Positive(t, rate)
}

func TestCPUAnOrder_IsOfWhatWasUsedMeanwhile(t *testing.T) {
	before := map[string]time.Duration{"inventory": 2 * time.Second}
	after := map[string]time.Duration{"inventory": 3 * time.Second, partBroker: time.Second}
	require.Equal(t, []figure{
		{name: "CPU an order, inventory", unit: milliseconds, value: 10},
		{name: "CPU an order, broker", unit: milliseconds, value: 10},
	}, cpuAnOrder(before, after, 100))
}
