package conformance

import (
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/orderwire/orderwire/pkg/kafka"
)

// TestClient_EndsARequestToABrokerThatIsGivenUp has a broker of three that takes requests and answers none. What is
// asked there would wait for the read time-out of half a minute.
func TestClient_EndsARequestToABrokerThatIsGivenUp(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(3, "events"))
	require.NoError(t, err)
	defer cluster.Close()
	proxies := newProxies(t, cluster)
	s, err := kafka.ReaderConfig(kafka.Config{Brokers: proxies.addrs}, "test")
	require.NoError(t, err)
	client, err := kafka.Open(proxies.addrs, s, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer client.Close()

	leader, err := client.Leader("events", 0)
	require.NoError(t, err)
	ask := func() error {
		_, err := leader.GetMetadata(sarama.NewMetadataRequest(s.Version, []string{"events"}))
		return err
	}
	require.NoError(t, ask(), "it answers")
	proxies.silence(leader.ID())
	begun := time.Now()
	require.Error(t, ask())
	require.Less(t, time.Since(begun), s.Net.ReadTimeout, "the request is ended, and has not waited for its time-out")
	_, err = client.Config().Net.Proxy.Dialer.Dial("tcp", leader.Addr())
	require.ErrorContains(t, err, "goes on without it", "it is not dialed any more")
	require.Eventually(t, func() bool {
		_, err := client.Broker(leader.ID())
		return err != nil
	}, 10*time.Second, 10*time.Millisecond, "the client remembers it")
}

// proxies stand before each broker of a cluster; what brokers say of the cluster names the proxies.
type proxies struct {
	addrs  []string
	mu     sync.Mutex
	silent map[int32]bool
	hosts  map[int32]string
}

func newProxies(t *testing.T, cluster *kfake.Cluster) *proxies {
	t.Helper()
	p := &proxies{silent: map[int32]bool{}, hosts: map[int32]string{}}
	for id, addr := range cluster.ListenAddrs() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		p.addrs = append(p.addrs, l.Addr().String())
		p.hosts[int32(id)] = l.Addr().String()
		go p.serve(l, int32(id), addr)
	}
	cluster.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return p.metadata(r.(*kmsg.MetadataRequest)), nil, true
	})
	return p
}

// metadata is that of one topic whose partitions each broker leads in turn.
func (p *proxies) metadata(r *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := r.ResponseKind().(*kmsg.MetadataResponse)
	var alive []int32
	for id := range int32(len(p.addrs)) {
		if p.silent[id] {
			continue
		}
		alive = append(alive, id)
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID = id
		addr, _ := net.ResolveTCPAddr("tcp", p.hosts[id])
		b.Host, b.Port = addr.IP.String(), int32(addr.Port)
		answer.Brokers = append(answer.Brokers, b)
	}
	topic := kmsg.NewMetadataResponseTopic()
	topic.Topic = kmsg.StringPtr("events")
	for n := range int32(3) {
		partition := kmsg.NewMetadataResponseTopicPartition()
		partition.Partition, partition.Leader = n, alive[int(n)%len(alive)]
		partition.Replicas, partition.ISR = alive, alive
		topic.Partitions = append(topic.Partitions, partition)
	}
	answer.Topics = append(answer.Topics, topic)
	return answer
}

func (p *proxies) silence(id int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent[id] = true
}

func (p *proxies) isSilent(id int32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.silent[id]
}

func (p *proxies) serve(l net.Listener, id int32, upstream string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", upstream)
		if err != nil {
			conn.Close()
			return
		}
		go func() {
			defer up.Close()
			buf := make([]byte, 32<<10)
			for {
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				if p.isSilent(id) {
					continue // it takes everything and says nothing
				}
				if _, err := up.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, up)
		}()
	}
}
