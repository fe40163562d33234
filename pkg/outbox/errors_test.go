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

// TestConflict_IsNoStepDown: both end a transaction with the same label, but while there is no primary smaller batches do
// not get through either.
func TestConflict_IsNoStepDown(t *testing.T) {
	transient := func(code int32) error {
		return conflict(mongo.CommandError{Code: code, Labels: []string{"TransientTransactionError"}})
	}
	require.ErrorIs(t, transient(112), ErrConflict)
	require.NotErrorIs(t, transient(189), ErrConflict)
	require.NotErrorIs(t, transient(10107), ErrConflict)
}

// A false "stored" is an order that is confirmed and lost.
func TestWriteErrors_TellWhatIsStoredOnlyWhereTheyAreComplete(t *testing.T) {
	refusal := mongo.BulkWriteError{WriteError: mongo.WriteError{Index: 1, Code: 11000}}
	for name, tc := range map[string]struct {
		err  error
		want map[int]mongo.WriteError
	}{
		"no error":                        {},
		"the network":                     {err: errors.New("connection reset")},
		"one is refused":                  {err: mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{refusal}}, want: map[int]mongo.WriteError{1: refusal.WriteError}},
		"one is refused, none is durable": {err: mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{refusal}, WriteConcernError: &mongo.WriteConcernError{}}},
		"none is durable":                 {err: mongo.BulkWriteException{WriteConcernError: &mongo.WriteConcernError{}}},
		"trouble with all of them":        {err: mongo.BulkWriteException{Labels: []string{"RetryableWriteError"}}},
	} {
		require.Equal(t, tc.want, writeErrors(tc.err), name)
	}
}
