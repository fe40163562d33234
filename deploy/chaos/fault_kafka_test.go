package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
