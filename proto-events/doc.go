// Package events is the language that Orderwire's services speak on Kafka: the two topics, the catalog of event
// types, and the way an event is written to and read from a record.
//
// An event is a CloudEvent 1.0 in Kafka binary mode: its attributes are record headers, its body is a Protobuf
// snapshot of all that its source has to say about one order. A newer event therefore supersedes all older ones of
// its source, and a reader compares the snapshot with what it knows and acts on the difference.
//
// The package knows no client library: headers are passed as plain strings, so that any will do.
package events
