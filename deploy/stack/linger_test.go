package stack

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestFake_ForgetsAMemberThatDiesWhileItJoins: the first member is there, the second one waits until the first joins
// again, and dies meanwhile. Its session ends like any other.
func TestFake_ForgetsAMemberThatDiesWhileItJoins(t *testing.T) {
	var ps Ports
	t.Cleanup(ps.Close)
	n, err := ps.Free()
	require.NoError(t, err)
	k := &Broker{
		Kind: KafkaFake, Brokers: []string{loopback(n)}, ports: []brokerPorts{{client: n}}, dir: filepath.Join(t.TempDir(), "kafka"),
	}
	require.NoError(t, k.Start(t.Context()))
	t.Cleanup(k.Kill)

	first, second := newMember(t, k), newMember(t, k)
	require.NoError(t, first.join(t.Context()))
	dying, die := context.WithCancel(t.Context())
	waits := make(chan error, 1)
	go func() { waits <- second.join(dying) }()
	require.Eventually(t, func() bool { return first.heartbeat(t) == kerr.RebalanceInProgress.Code }, 5*time.Second, 10*time.Millisecond,
		"the second one waits in the group")
	die()
	second.client.Close()
	require.Error(t, <-waits)
	time.Sleep(300 * time.Millisecond) // in which kfake would notice, and forget to forget it
	require.NoError(t, first.join(t.Context()), "both are members now")
	require.EqualValues(t, 0, first.heartbeat(t))
	require.Eventually(t, func() bool { return first.heartbeat(t) == kerr.RebalanceInProgress.Code }, 2*session, 100*time.Millisecond,
		"the dead one is gone")
}

// session is the shortest that kfake takes.
const session = 6 * time.Second

type member struct {
	client     *kgo.Client
	id         string
	generation int32
}

func newMember(t *testing.T, k *Broker) *member {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Brokers...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &member{client: client}
}

// join waits until everybody has joined, and gives out no work.
func (m *member) join(ctx context.Context) error {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.ProtocolType, req.MemberID = "group", "consumer", m.id
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(session.Milliseconds()), int32(session.Milliseconds())
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = "range"
	req.Protocols = append(req.Protocols, protocol)
	answer, err := req.RequestWith(ctx, m.client)
	if err == nil && answer.ErrorCode == kerr.MemberIDRequired.Code {
		m.id, req.MemberID = answer.MemberID, answer.MemberID
		answer, err = req.RequestWith(ctx, m.client)
	}
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return err
	}
	m.generation = answer.Generation
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = req.Group, m.id, m.generation
	sync.ProtocolType, sync.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	synced, err := sync.RequestWith(ctx, m.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(synced.ErrorCode)
}

func (m *member) heartbeat(t *testing.T) int16 {
	t.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = "group", m.id, m.generation
	answer, err := req.RequestWith(t.Context(), m.client)
	require.NoError(t, err)
	return answer.ErrorCode
}
