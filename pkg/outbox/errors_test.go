package outbox

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

func TestIsAway_TellsTheDatabasesTroubleFromTheCallers(t *testing.T) {
	for _, err := range []error{
		context.DeadlineExceeded, mongo.ErrClientDisconnected, ErrUnknown, ErrConflict,
		mongo.CommandError{Code: 14031, Message: "out of disk space"},
		mongo.CommandError{Labels: []string{"NetworkError"}},
		mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: 1}}},
	} {
		require.True(t, IsAway(fmt.Errorf("read o-1: %w", err)), "%v", err)
	}
	for _, err := range []error{nil, ErrNotFound, ErrUnchanged, context.Canceled, errors.New("a rule said no"), &DuplicateKeyError{}} {
		require.False(t, IsAway(err), "%v", err)
	}
}
