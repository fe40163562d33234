package feed

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// The notifier's own types of messages.
const (
	TypeSubscribed = "notifier.subscribed"
	TypeCaughtUp   = "notifier.caught-up"
	TypeHeartbeat  = "notifier.heartbeat"
	TypeGap        = "notifier.gap"
	TypeDraining   = "notifier.draining"
	TypeError      = "notifier.error"
)

// own is a CloudEvent of the notifier itself.
type own struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype,omitempty"`
	Data            any       `json:"data,omitempty"`
	Cursor          string    `json:"cursor,omitempty"`
}

// Own makes a message of the notifier itself; data may be nil, cursorText "".
func Own(messageType string, data any, cursorText string) *Message {
	e := own{
		SpecVersion: "1.0", ID: uuid.Must(uuid.NewV7()).String(), Source: "notifier", Type: messageType, Time: time.Now().UTC(),
		Data: data, Cursor: cursorText,
	}
	if data != nil {
		e.DataContentType = "application/json"
	}
	whole, err := json.Marshal(e)
	if err != nil { // structs of plain fields
		panic(err)
	}
	return &Message{Type: messageType, Cursor: cursorText, JSON: whole}
}

// Heartbeat says that there is nothing to say, up to the cursor.
func Heartbeat(cursorText string) *Message { return Own(TypeHeartbeat, nil, cursorText) }
