package main

import (
	"encoding/json"
	"fmt"
	"strings"
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

// TestCheckCommitted_TellsARecordOnce: a run asks every ten seconds, and at the end.
func TestCheckCommitted_TellsARecordOnce(t *testing.T) {
	report := func(listed ...string) (r replayReport) {
		all := fmt.Sprintf(`{"changes":%d,"listed":[%s]}`, len(listed), strings.Join(listed, ","))
		require.NoError(t, json.Unmarshal([]byte(all), &r))
		return r
	}
	const lost, other = `{"topic":"order-events","partition":3,"offset":7,"effect":"starts"}`, `{"topic":"order-events","partition":3,"offset":8,"effect":"starts"}`
	var v verdict
	for _, r := range []replayReport{report(lost), report(lost, other), report(other, lost), report(lost)} {
		checkCommitted(&v, "inventory", r)
	}
	require.Len(t, v.found, 2, "%v", v.found)
	checkCommitted(&v, "shipping", report(lost))
	require.Len(t, v.found, 3, "another group's is another violation")
}
