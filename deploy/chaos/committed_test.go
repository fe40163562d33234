package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckCommitted_FindsWhatWasCommittedAndNotDone(t *testing.T) {
	var clean, lost replayReport
	require.NoError(t, json.Unmarshal([]byte(`{"read":10,"changes":0,"listed":[]}`), &clean))
	require.NoError(t, json.Unmarshal([]byte(`{"read":10,"changes":1,"listed":[
		{"topic":"order-events","partition":3,"offset":7,"order":"1","effect":"starts","why":"inventory has nothing of this order"}]}`), &lost))
	var v verdict
	checkCommitted(&v, "inventory", clean)
	require.Empty(t, v.found)
	checkCommitted(&v, "inventory", lost)
	only(t, v, "I6")
	require.Equal(t, &coordinates{"order-events", 3, 7}, v.found[0].record)
}
