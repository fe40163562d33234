package mongodb

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"
)

// clearedPool is what the driver's own error of that kind looks like, whose type it does not show.
type clearedPool struct{}

func (clearedPool) Error() string   { return "the pool was cleared because another operation failed" }
func (clearedPool) Retryable() bool { return true }

func TestIsAway_ConnectionsThatCannotBeHad(t *testing.T) {
	for _, err := range []error{clearedPool{}, topology.ConnectionError{}, topology.ServerSelectionError{Wrapped: errors.New("none")}} {
		require.True(t, IsAway(fmt.Errorf("read orders: %w", err)), "%T", err)
	}
	require.False(t, IsAway(errors.New("something else")))
}

// TestIsAway_APrimaryThatSteppedDown is away, inside a transaction as well: to begin that again at once does not help.
func TestIsAway_APrimaryThatSteppedDown(t *testing.T) {
	for _, code := range []int32{10107, 13435, 13436, 189, 11600, 11602, 91} {
		err := fmt.Errorf("read orders: %w", mongo.CommandError{Code: code, Labels: []string{"TransientTransactionError"}})
		require.True(t, IsAway(err), "%d", code)
		require.True(t, IsTransient(err), "%d", code)
	}
	require.False(t, IsAway(mongo.CommandError{Code: codeWriteConflict}))
}
