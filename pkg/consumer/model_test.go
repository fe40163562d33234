package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/orderwire/orderwire/pkg/kafka"
)

const modelTopic, modelGroup = "orders", "g"

var errAway = errors.New("the database is away")

// universe is a log of a few partitions, what became of its records, and a group's members over time: all that a
// session is about, without a broker.
type universe struct {
	g         *Group
	logs      [3][]string // the records' values, by offset
	committed [3]int64
	member    *member
	zombie    *member // an old owner that does not know it yet; nil: there is none

	applied map[string]bool // records that had their effect
	letters map[string]bool // records that are dead-lettered
	healed  bool            // nothing fails any more

	// What fails, until it does not.
	databaseAway, brokerAway bool
	panics                   int
}

// member is one assignment of all partitions.
type member struct {
	s    *session
	a    *assignment
	next [3]int64 // what is read next
	stop context.CancelFunc
}

func newUniverse() *universe {
	u := &universe{applied: map[string]bool{}, letters: map[string]bool{}}
	u.g = &Group{
		config: Config{
			Group: modelGroup, Topics: []string{modelTopic}, MaxRecords: 6,
			Wants: func(r *Record) bool { return r.Header("kind") != "other" },
		}.withDefaults(),
		producer: u, log: slog.New(slog.DiscardHandler), metrics: newMetrics(nil), handler: u.handle,
	}
	u.member = u.join()
	return u
}

func (u *universe) join() *member {
	ctx, stop := context.WithCancel(context.Background())
	m := &member{a: &assignment{ctx: ctx, marks: map[topicPartition]int64{}}, next: u.committed, stop: stop}
	m.s = newSession(u.g, m.a)
	for p := range u.logs {
		m.s.add(topicPartition{modelTopic, int32(p)})
	}
	return m
}

// handle is a handler with a guard. A record's value says what becomes of it: "ok", "bad" for ever, or "late", which
// fails until all is healed.
func (u *universe) handle(_ context.Context, batch []*Record) []error {
	outcomes := make([]error, len(batch))
	if u.panics > 0 {
		u.panics--
		panic("a bug")
	}
	for i, r := range batch {
		switch {
		case u.databaseAway:
			outcomes[i] = errAway
		case string(r.Value) == "bad":
			outcomes[i] = Permanent(errors.New("garbage"))
		case string(r.Value) == "late" && !u.healed:
			outcomes[i] = errAway
		default:
			u.applied[coordinates(r.Partition, r.Offset)] = true // a repeat changes nothing
		}
	}
	return outcomes
}

// SendAll takes dead letters.
func (u *universe) SendAll(_ context.Context, ms []*kafka.Message) []error {
	if u.brokerAway {
		return slices.Repeat([]error{errors.New("no answer")}, len(ms))
	}
	for _, m := range ms {
		u.letters[coordinatesOf(m)] = true
	}
	return make([]error, len(ms))
}

// coordinatesOf gives the source of a dead letter.
func coordinatesOf(m *kafka.Message) string {
	at := map[string]string{}
	for _, h := range m.Headers {
		at[h.Key] = h.Value
	}
	return at[HeaderPartition] + "@" + at[HeaderOffset]
}

func coordinates(partition int32, offset int64) string {
	return fmt.Sprintf("%d@%d", partition, offset)
}

// read hands a member the next record of a partition.
func (u *universe) read(m *member, p int) {
	offset := m.next[p]
	queue := m.s.partitions[topicPartition{modelTopic, int32(p)}]
	if offset >= int64(len(u.logs[p])) || queue.full() {
		return
	}
	value := u.logs[p][offset]
	m.s.push(queue, &sarama.ConsumerMessage{
		Topic: modelTopic, Partition: int32(p), Offset: offset, Value: []byte(value),
		Headers: []*sarama.RecordHeader{{Key: []byte("kind"), Value: []byte(value)}},
	})
	m.next[p]++
}

// work runs a member's next batch, where there is one.
func (m *member) work() bool {
	batch, _ := m.s.collect(time.Now())
	if len(batch) > 0 {
		m.s.runOnce(m.a.ctx, batch)
	}
	return len(batch) > 0
}

// commit is what the client does with marks now and then, when it closes, and before another member takes over. An old
// owner's are refused.
func (u *universe) commit() {
	for p := range u.committed {
		u.committed[p] = max(u.committed[p], u.member.a.marks[topicPartition{modelTopic, int32(p)}])
	}
}

// check is the promise: nothing below a mark is unfinished.
func (u *universe) check(t require.TestingT) {
	for p := range u.logs {
		mark := max(u.committed[p], u.member.a.marks[topicPartition{modelTopic, int32(p)}])
		for offset, value := range u.logs[p][:mark] {
			at := coordinates(int32(p), int64(offset))
			require.True(t, value == "other" || u.applied[at] || value == "bad" && u.letters[at],
				"%s (%s) is unfinished, and %d is marked", at, value, mark)
		}
	}
}

// timeless is a test whose deadline nobody asks for: it is none of the bubble's clock.
type timeless struct{ rapid.TB }

// TestSession_MarksNothingUnfinishedWhateverHappens: failures, panics, dead letters that find no broker, crashes,
// rebalances and an old owner that works on, in any order, never let a mark pass unfinished work; and once all is
// healed every record is finished.
func TestSession_MarksNothingUnfinishedWhateverHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(timeless{t}, func(t *rapid.T) {
			u := newUniverse()
			some := func(t *rapid.T) *member {
				if u.zombie != nil && rapid.Bool().Draw(t, "zombie") {
					return u.zombie
				}
				return u.member
			}
			partition := rapid.IntRange(0, len(u.logs)-1)
			values := rapid.SampledFrom([]string{"ok", "ok", "ok", "bad", "late", "other"})
			t.Repeat(map[string]func(*rapid.T){
				"write": func(t *rapid.T) {
					p := partition.Draw(t, "partition")
					u.logs[p] = append(u.logs[p], rapid.SliceOfN(values, 1, 5).Draw(t, "values")...)
				},
				"read": func(t *rapid.T) {
					m, p := some(t), partition.Draw(t, "partition")
					for range rapid.IntRange(1, 5).Draw(t, "records") {
						u.read(m, p)
					}
				},
				"work":     func(t *rapid.T) { some(t).work() },
				"commit":   func(*rapid.T) { u.commit() },
				"later":    func(t *rapid.T) { time.Sleep(time.Duration(rapid.IntRange(1, 6000).Draw(t, "ms")) * time.Millisecond) },
				"database": func(*rapid.T) { u.databaseAway = !u.databaseAway },
				"broker":   func(*rapid.T) { u.brokerAway = !u.brokerAway },
				"panic":    func(*rapid.T) { u.panics = 1 },
				"crash": func(*rapid.T) {
					u.member.stop()
					u.member = u.join()
				},
				"rebalance": func(*rapid.T) {
					u.commit()
					if u.zombie != nil {
						u.zombie.stop()
					}
					u.zombie, u.member = u.member, u.join()
				},
				"": func(t *rapid.T) { u.check(t) },
			})
			u.heal(t)
		})
	})
}

// TestSession_MarksNothingBehindWhatFailed: neither a record that nobody wants, nor one that is fine, nor one that is
// dead-lettered lets the mark pass an earlier one of its partition that must be tried again.
func TestSession_MarksNothingBehindWhatFailed(t *testing.T) {
	for _, behind := range []string{"other", "ok", "bad"} {
		t.Run(behind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUniverse()
				defer func() { u.member.stop() }()
				u.logs[0] = []string{"late", behind}
				u.read(u.member, 0)
				u.read(u.member, 0)
				u.member.work()
				u.commit()
				require.Zero(t, u.committed[0], "the first one is unfinished")
			})
		})
	}
}

func (u *universe) drained() bool {
	for p, log := range u.logs {
		if u.committed[p] < int64(len(log)) {
			return false
		}
	}
	return true
}

// heal lets everything end well, and finds everything finished.
func (u *universe) heal(t *rapid.T) {
	u.databaseAway, u.brokerAway, u.panics, u.healed = false, false, 0, true
	for round := 0; round < 60 && !u.drained(); round++ {
		for p := range u.logs {
			for range u.logs[p] {
				u.read(u.member, p)
			}
		}
		for u.member.work() {
			u.check(t)
		}
		u.commit()
		time.Sleep(3 * time.Second) // rapid looks at the bubble's clock, too, and gives up after a day
	}
	u.member.stop()
	if u.zombie != nil {
		u.zombie.stop()
	}
	for p, log := range u.logs {
		require.EqualValues(t, len(log), u.committed[p], "partition %d is not drained", p)
	}
	for at := range u.letters {
		p, offset, _ := strings.Cut(at, "@")
		partition, err := strconv.Atoi(p)
		require.NoError(t, err)
		n, err := strconv.Atoi(offset)
		require.NoError(t, err)
		require.Equal(t, "bad", u.logs[partition][n], "a dead letter of a good record")
	}
	u.check(t)
}

// TestSession_TriesAgainEverMoreRarely: a database that is away is asked with growing pauses that end at five seconds,
// and the first try after it is back goes through.
func TestSession_TriesAgainEverMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUniverse()
		defer func() { u.member.stop() }()
		u.logs[0] = []string{"ok", "ok", "ok"}
		for range 3 {
			u.read(u.member, 0)
		}
		u.databaseAway = true
		tries := 0
		for begun := time.Now(); time.Since(begun) < 2*time.Minute; {
			batch, idle := u.member.s.collect(time.Now())
			if len(batch) == 0 {
				require.LessOrEqual(t, idle, 5*time.Second, "an hour away or a minute: the next try is soon")
				time.Sleep(idle)
				continue
			}
			u.member.s.runOnce(u.member.a.ctx, batch)
			tries++
		}
		require.Greater(t, tries, 2*60/5)
		require.Less(t, tries, 2*2*60/5+20, "it is not hammered")
		u.databaseAway = false
		for i := 0; len(u.member.s.partitions[topicPartition{modelTopic, 0}].queue) > 0; i++ {
			require.Less(t, i, 10)
			time.Sleep(5 * time.Second)
			u.member.work()
		}
		u.check(t)
	})
}
