package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A script whose variable is unset must not decide on all dead letters, nor be shown everybody's orders.
func TestGiven_WhatPicksNothingIsRefusedAndDoesNotPickAll(t *testing.T) {
	for _, line := range []string{
		"dlq discard --older-than=-24h", "dlq discard --newer-than=-24h", "dlq discard --consumer=inventory --older-than=0s",
		"dlq redrive --consumer=inventory --order=", "dlq discard --topic=order-events --consumer=", "dlq discard --order=o-1 --topic=",
		"dlq redrive --all --error=", "dlq list --order=", "dlq list --older-than=-1s",
		"tail --order=", "tail --customer=", "tail --type=", "tail --since=0s", "tail --since=-1m",
		"order list --status=", "order list --customer=", "order watch --type=", "shipment list --order=", "shipment list --status=",
		"order place mug-blue --key=", "stock adjust mug-blue 1 --key=",
	} {
		words := strings.Fields(line)
		last := words[len(words)-1]
		code, out, errOut := orderctl([]string{"ORDERWIRE_URL=http://127.0.0.1:1", "KAFKA_BROKERS=127.0.0.1:1"}, words...)
		require.Equal(t, exitUsage, code, "%s: %s", line, errOut)
		require.Empty(t, out)
		require.Contains(t, errOut, last[:strings.IndexByte(last, '=')], line)
	}
	for _, words := range [][]string{
		{"explain", ""},
		{"order", "show", ""},
		{"order", "change", "", "--note=n"},
		{"order", "cancel", ""},
		{"order", "watch", ""},
		{"shipment", "dispatch", ""},
		{"shipment", "deliver", ""},
		{"shipment", "fail", ""},
		{"dlq", "show", ""},
	} {
		code, out, errOut := orderctl([]string{"ORDERWIRE_URL=http://127.0.0.1:1", "KAFKA_BROKERS=127.0.0.1:1", "MONGODB_URI=mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"}, words...)
		require.Equal(t, exitUsage, code, "%s: %s", words, errOut)
		require.Empty(t, out)
		require.Contains(t, errOut, "it is empty", words)
	}

	code, _, errOut := orderctl(nil, "dlq", "list", "--kafka=127.0.0.1:1", "--order=o-1", "--error=a b", "--older-than=1h30m")
	require.Equal(t, exitUnreachable, code, errOut)
	code, _, errOut = orderctl(nil, "tail", "--kafka=127.0.0.1:1", "--type=order-created,order-updated", "--since=10m")
	require.Equal(t, exitUnreachable, code, errOut)
}
