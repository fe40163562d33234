package mongodb

import (
	"errors"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"
)

// codeWriteConflict is the server's WriteConflict. It comes without a label where no transaction is open.
const codeWriteConflict = 112

// IsTransient tells whether a transaction that ended with err may simply be done again from its beginning.
func IsTransient(err error) bool {
	var labeled mongo.LabeledError
	if errors.As(err, &labeled) && labeled.HasErrorLabel("TransientTransactionError") {
		return true
	}
	var server mongo.ServerError
	return errors.As(err, &server) && server.HasErrorCode(codeWriteConflict)
}

// IsUnknownCommit tells whether a commit that ended with err may or may not have happened; it may be sent again.
func IsUnknownCommit(err error) bool {
	var labeled mongo.LabeledError
	return errors.As(err, &labeled) && labeled.HasErrorLabel("UnknownTransactionCommitResult")
}

// IsDuplicateKey tells whether a unique index refused a document.
func IsDuplicateKey(err error) bool { return mongo.IsDuplicateKeyError(err) }

// DuplicateKeyIndex names the index that refused a document, "" if the message does not say.
// The server tells it in its message only: "E11000 duplicate key error collection: db.orders index: _id_ dup key: …".
func DuplicateKeyIndex(message string) string {
	_, rest, ok := strings.Cut(message, " index: ")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, " ")
	return name
}

// IsRefused tells whether the server answered that it did not make a write. Any other error of a write says only that
// its outcome is unknown.
func IsRefused(err error) bool {
	var single mongo.WriteException
	if errors.As(err, &single) {
		return single.WriteConcernError == nil
	}
	var bulk mongo.BulkWriteException
	return errors.As(err, &bulk) && bulk.WriteConcernError == nil
}

// stepDownCodes are what a server answers that is no primary: NotWritablePrimary, NotPrimaryNoSecondaryOk,
// NotPrimaryOrSecondary, PrimarySteppedDown, and, of what it was doing when it became none, InterruptedAtShutdown,
// InterruptedDueToReplStateChange and ShutdownInProgress.
var stepDownCodes = []int{10107, 13435, 13436, 189, 11600, 11602, 91}

// IsAway tells whether the server could not be reached in time, or is no primary and none was found in time. The driver
// labels most such errors, but not that a connection could not be had: because the pool was cleared when another one broke,
// or because none could be made.
func IsAway(err error) bool {
	var pool driver.RetryablePoolError
	var connection topology.ConnectionError
	var selection topology.ServerSelectionError
	var server mongo.ServerError
	return mongo.IsNetworkError(err) || mongo.IsTimeout(err) || errors.As(err, &pool) || errors.As(err, &connection) ||
		errors.As(err, &selection) || errors.As(err, &server) && slices.ContainsFunc(stepDownCodes, server.HasErrorCode)
}
