package outbox

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOffer_NothingNewPassesWhatHadNoRoom: a writer read an outbox that memory has no room for, and appended an event
// that would fit. It waits for the sweep with the others.
func TestOffer_NothingNewPassesWhatHadNoRoom(t *testing.T) {
	r := &Relay{
		lanes: newLanes(limits{entries: 10, bytes: 2000, sending: 10}), metrics: newMetrics(nil, "things"),
		sendWake: make(chan struct{}, 1),
	}
	r.Offer("other", nil, []Entry{{ID: "0", Topic: topic, Sequence: 1, Body: make([]byte, 1000)}})
	older := []Entry{{ID: "1", Topic: topic, Sequence: 1, Body: make([]byte, 1000)}}
	fresh := []Entry{{ID: "2", Topic: topic, Sequence: 2}}
	r.Offer("a", older, fresh)

	_, e, ok := r.lanes.next(time.Now())
	require.True(t, ok)
	require.Equal(t, "0", e.ID)
	_, e, ok = r.lanes.next(time.Now())
	require.False(t, ok, "event %s was sent before event 1, which is not acknowledged", e.ID)

	r.lanes.acknowledged(r.lanes.byKey[laneKey{"other", topic}])
	r.Offer("a", append(older, fresh...), nil)
	_, e, ok = r.lanes.next(time.Now())
	require.True(t, ok)
	require.Equal(t, "1", e.ID, "as the sweep finds it")
}
