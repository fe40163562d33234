package store

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/pkg/outbox"
)

// IsAway tells whether err is the database's trouble and not the caller's: it cannot be reached, it did not answer in
// time, it refused (a full disk, a step-down), or somebody else was faster again and again. Trying later may help; what
// was asked for may have happened.
func IsAway(err error) bool {
	var server mongo.ServerError
	return mongo.IsTimeout(err) || mongo.IsNetworkError(err) || errors.As(err, &server) ||
		errors.Is(err, mongo.ErrClientDisconnected) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, outbox.ErrUnknown) || errors.Is(err, outbox.ErrConflict)
}
