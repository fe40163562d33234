package outbox

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/pkg/mongodb"
)

var (
	// ErrNotFound says that there is no document of that id.
	ErrNotFound = errors.New("no such document")
	// ErrUnchanged is what a decision returns that has nothing to write.
	ErrUnchanged = errors.New("nothing changes")
	// ErrConflict says that somebody else changed a document in between; nothing was written. Read and decide again.
	ErrConflict = errors.New("changed by somebody else")
	// ErrUnknown says that a write may or may not have been made. Reading again tells.
	ErrUnknown = errors.New("the outcome is unknown")
)

// DuplicateKeyError says that a unique index refused a new document. "_id_" is the index of ids.
type DuplicateKeyError struct {
	Index string
	ID    string // of the document that was refused
}

func (e *DuplicateKeyError) Error() string {
	return fmt.Sprintf("document %s: its key is taken in index %s", e.ID, e.Index)
}

// IsAway tells whether err is the database's trouble and not the caller's: it cannot be reached, it did not answer in
// time, it refused (a full disk, a step-down), or somebody else was faster again and again. Trying later may help; what
// was asked for may have happened.
func IsAway(err error) bool {
	var server mongo.ServerError
	return mongodb.IsAway(err) || errors.As(err, &server) ||
		errors.Is(err, mongo.ErrClientDisconnected) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, ErrUnknown) || errors.Is(err, ErrConflict)
}
