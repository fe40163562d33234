// Package cursor is the position in the two topics, and the opaque text in which clients keep it.
//
// A cursor says how far somebody is: the next offset of every partition. It belongs to one pair of topics of one
// cluster; a topic that was deleted and created again is told by its hash. It knows nothing of Kafka's protocol.
package cursor

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"slices"

	events "github.com/orderwire/orderwire/proto-events"
)

// Topics are the notifier's topics; their order is that of every Position and Lineage.
var Topics = [...]string{events.TopicOrders, events.TopicShipping}

// Index gives the place of a topic in Topics, -1 for another one.
func Index(topic string) int { return slices.Index(Topics[:], topic) }

// Lineage tells the logs apart that carry the same names: a hash of cluster id and topic id for each of Topics.
type Lineage [len(Topics)]uint32

// Hash gives the entry of a lineage (FNV-1a, 32 bits).
func Hash(clusterID string, topicID [16]byte) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(clusterID)) // never fails
	_, _ = h.Write(topicID[:])
	return h.Sum32()
}

// Cursor is a position in logs of a lineage.
type Cursor struct {
	Lineage Lineage
	Next    Position
}

// version of the text; another one is refused.
const version = 1

// ErrInvalid says that a text is no cursor of this version.
var ErrInvalid = errors.New("not a cursor")

// Limits of what is read: more partitions than any keyed topic has, so that a text of a few bytes takes no memory.
const (
	maxPartitions = 4096
	maxText       = 64 << 10
)

var encoding = base64.RawURLEncoding.Strict()

// String is the text: base64url of version, lineage (4 bytes each), and for each topic the number of partitions and
// their next offsets, as varints.
func (c Cursor) String() string {
	raw := make([]byte, 0, 128)
	raw = append(raw, version)
	for _, hash := range c.Lineage {
		raw = binary.BigEndian.AppendUint32(raw, hash)
	}
	for _, offsets := range c.Next {
		raw = binary.AppendUvarint(raw, uint64(len(offsets)))
		for _, offset := range offsets {
			raw = binary.AppendUvarint(raw, uint64(offset))
		}
	}
	return encoding.EncodeToString(raw)
}

// Parse reads what String gave; anything else is ErrInvalid.
func Parse(s string) (Cursor, error) {
	if len(s) > maxText {
		return Cursor{}, ErrInvalid
	}
	raw, err := encoding.DecodeString(s)
	if err != nil || len(raw) < 1+4*len(Topics) || raw[0] != version {
		return Cursor{}, ErrInvalid
	}
	var c Cursor
	r := reader{raw: raw[1:]}
	for i := range c.Lineage {
		c.Lineage[i] = r.hash()
	}
	for i := range c.Next {
		n := r.number()
		if n > maxPartitions || n > int64(len(r.raw)) {
			return Cursor{}, ErrInvalid
		}
		c.Next[i] = make([]int64, n)
		for p := range c.Next[i] {
			c.Next[i][p] = r.number()
		}
	}
	if r.bad || len(r.raw) > 0 || c.String() != s { // there is one text for a cursor, without padded varints
		return Cursor{}, ErrInvalid
	}
	return c, nil
}

// reader takes numbers off the front of raw.
type reader struct {
	raw []byte
	bad bool
}

func (r *reader) hash() uint32 {
	h := binary.BigEndian.Uint32(r.raw)
	r.raw = r.raw[4:]
	return h
}

func (r *reader) number() int64 {
	v, n := binary.Uvarint(r.raw)
	if n <= 0 || int64(v) < 0 {
		r.bad = true
		return 0
	}
	r.raw = r.raw[n:]
	return int64(v)
}
