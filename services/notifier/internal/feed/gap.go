package feed

import (
	"fmt"

	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

// Reason is why events are missing.
type Reason string

// The reasons of a gap.
const (
	Retention Reason = "retention" // the log's beginning was deleted, as its retention wants
	Truncated Reason = "truncated" // the log's end is gone
	Recreated Reason = "recreated" // the topic was deleted and made again
)

// Gap is a part of a partition that a client will not see: the offsets of [From, To), as the client knows them.
type Gap struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`

	reason Reason
	topic  int
}

func newGap(reason Reason, topic, partition int, from, to int64) Gap {
	return Gap{Topic: cursor.Topics[topic], Partition: partition, From: from, To: to, reason: reason, topic: topic}
}

func (g Gap) String() string {
	return fmt.Sprintf("%s/%d: %s from %d to %d", g.Topic, g.Partition, g.reason, g.From, g.To)
}

// gapData is the data of a notifier.gap.
type gapData struct {
	Reason     Reason `json:"reason"`
	Partitions []Gap  `json:"partitions"`
}

// GapMessages tells gaps to a client, one message for each reason.
func GapMessages(gaps []Gap, cursorText string) []*Message {
	var messages []*Message
	for _, reason := range []Reason{Recreated, Truncated, Retention} {
		data := gapData{Reason: reason}
		for _, g := range gaps {
			if g.reason == reason {
				data.Partitions = append(data.Partitions, g)
			}
		}
		if len(data.Partitions) > 0 {
			messages = append(messages, Own(TypeGap, data, cursorText))
		}
	}
	return messages
}
