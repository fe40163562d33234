// Package store keeps shipments in MongoDB, each with the events that its changes cause in the outbox envelope of
// pkg/outbox. A database that is away is an error of each call, within the call's deadline.
package store
