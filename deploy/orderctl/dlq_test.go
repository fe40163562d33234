package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderwire/orderwire/pkg/consumer"
)

// TestDlq_ALetterWithoutItsValueIsToldApartAndNotRedriven: its consumer would get an empty record under a good name.
func TestDlq_ALetterWithoutItsValueIsToldApartAndNotRedriven(t *testing.T) {
	const letters, retries = "order-events.inventory.dlq", "inventory.retry"
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, letters, retries))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	write := func(offset string, more ...kgo.RecordHeader) {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: letters, Partition: 3, Key: []byte("o-1"), Headers: append(more,
			kgo.RecordHeader{Key: consumer.HeaderTopic, Value: []byte("order-events")},
			kgo.RecordHeader{Key: consumer.HeaderPartition, Value: []byte("3")},
			kgo.RecordHeader{Key: consumer.HeaderOffset, Value: []byte(offset)})}).FirstErr())
	}
	write("17", kgo.RecordHeader{Key: consumer.HeaderLeftOut, Value: []byte("2097152")})
	run := func(wanted int, args ...string) (out, errOut string) {
		t.Helper()
		code, out, errOut := orderctl(nil, append(args, "--kafka", cluster.ListenAddrs()[0], "--mongodb", "mongodb://127.0.0.1:1")...)
		require.Equal(t, wanted, code, errOut)
		return out, errOut
	}
	const leftOut = "inventory:order-events/3@17"
	const refused = leftOut + " cannot be redriven: its value of 2097152 bytes was too large for a dead letter and was left out; " +
		"the record is in order-events, partition 3, offset 17, as long as that topic keeps it"

	out, _ := run(0, "dlq", "show", leftOut)
	require.Contains(t, out, refused)
	require.Contains(t, out, "left-out: it is refused")
	require.NotContains(t, out, "\nvalue ")
	var shown struct {
		LeftOut    *int64 `json:"leftOutBytes"`
		Unreadable string
		Forecast   struct{ Effect string }
	}
	out, _ = run(0, "dlq", "show", leftOut, "--json")
	require.NoError(t, json.Unmarshal([]byte(out), &shown))
	require.EqualValues(t, 2097152, *shown.LeftOut)
	require.Equal(t, refused, shown.Unreadable)
	require.Equal(t, "left-out", shown.Forecast.Effect)

	out, errOut := run(exitFailed, "dlq", "redrive", "--all", "--dry-run")
	require.Empty(t, out)
	require.Equal(t, "0 would be redriven\norderctl: "+refused+"\n", errOut)

	write("18") // which is as empty as its record was
	out, _ = run(0, "dlq", "list")
	require.Regexp(t, `inventory:order-events/3@17 +open, value left out `, out)
	require.Regexp(t, `inventory:order-events/3@18 +open  `, out)
	var listed []struct {
		Offset  int64
		LeftOut *int64 `json:"leftOutBytes"`
	}
	out, _ = run(0, "dlq", "list", "--json")
	require.NoError(t, json.Unmarshal([]byte(out), &listed))
	require.Len(t, listed, 2)
	require.EqualValues(t, 2097152, *listed[0].LeftOut)
	require.Nil(t, listed[1].LeftOut)

	out, errOut = run(exitFailed, "dlq", "redrive", leftOut)
	require.Contains(t, out, "inventory:order-events/3@18 ", "another of its order")
	require.NotContains(t, out, leftOut)
	require.Equal(t, "1 redriven\norderctl: "+refused+"\n", errOut)
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), retries)
	require.NoError(t, err)
	end, _ := ends.Lookup(retries, 3)
	require.EqualValues(t, 1, end.Offset)

	run(0, "dlq", "discard", leftOut)
	_, errOut = run(0, "dlq", "redrive", "--all")
	require.Equal(t, "0 redriven\n", errOut)
}
