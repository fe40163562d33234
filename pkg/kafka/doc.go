// Package kafka is the one place that configures sarama. Its defaults lose data (one acknowledgement, not idempotent,
// start at the newest record, topics created by accident); every value that matters is set here and pinned by a test.
//
// It gives a producer whose acknowledgement means that a record is in the log, topics that are created on purpose,
// and the configurations of a consumer group and of a plain reader. It knows no event: keys, headers and values are
// the caller's.
//
// It does without Kafka transactions: a caller repeats what was not acknowledged, and readers recognise repeats.
package kafka
