package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/orderwire/orderwire/deploy/stack"
)

// Every injection that can be drawn is one that kfake is told of, and every answer is drawn.
func TestKafkaErrors_AllAreDrawn(t *testing.T) {
	drawn := map[string]bool{}
	for seed := range uint64(20) {
		for _, i := range newPlan(seed, 10*time.Minute, terrain{kafka: stack.KafkaFake, faults: []string{"F9"}}).Steps {
			faults, err := kafkaFaults(i)
			require.NoError(t, err)
			require.NotEmpty(t, faults)
			drawn[i.Target[0]+i.Variant] = true
		}
	}
	for ask, answers := range kafkaErrors {
		for _, e := range answers {
			require.True(t, drawn[ask+e.Message], "%s to %s", e.Message, ask)
		}
	}
}

// An answer that nobody was given is not done, and is taken back.
func TestKafkaErrors_AreDoneOnceGiven(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topicOrders))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	kafka, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.DefaultProduceTopic(topicOrders))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	i := Injection{Variant: kerr.MessageTooLarge.Message, N: 1, Target: []string{askProduce, topicOrders, "all"}}
	write := func() error { return kafka.ProduceSync(t.Context(), kgo.StringRecord("")).FirstErr() }

	i.For = duration(10 * time.Millisecond)
	_, err = answerWith(t.Context(), broker, i)
	require.ErrorIs(t, err, errNothingToBreak)
	require.NoError(t, write())

	i.For = duration(time.Minute)
	told := make(chan error, 1)
	go func() {
		for {
			if err := write(); err != nil { // until it is there
				told <- err
				return
			}
		}
	}()
	heal, err := answerWith(t.Context(), broker, i)
	require.NoError(t, err)
	require.ErrorIs(t, <-told, kerr.MessageTooLarge)
	heal(t.Context())
	require.NoError(t, write())
}

// Apache Kafka cannot be told what to answer.
func TestKafkaErrors_KfakeOnly(t *testing.T) {
	require.Empty(t, newPlan(1, time.Minute, terrain{kafka: stack.KafkaApache, nodes: 1, faults: []string{"F9"}}).Steps)
}

// What the harness writes itself is answered truly: it must know what is in the log.
func TestKafkaErrors_SpareTheHarness(t *testing.T) {
	ours := kmsg.NewPtrProduceRequest()
	ours.TimeoutMillis = int32(ourProduceTimeout.Milliseconds())
	require.False(t, notOurs(ours))
	require.True(t, notOurs(kmsg.NewPtrProduceRequest()))
}
