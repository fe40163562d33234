// Package consumer hands the records of a Kafka consumer group to one handler, in batches over everything at hand.
//
//	claim ─▶ partition queue ┐
//	claim ─▶ partition queue ┼─▶ one batch ─▶ Handler ─▶ outcome per record ─▶ mark up to the first unfinished
//	claim ─▶ partition queue ┘     ▲ the next one collects meanwhile            one of each partition
//
// One batch is in flight per process, over all owned partitions of all topics, in order within each partition: a
// durable write costs about the same however much it holds, so few large ones beat many small ones.
//
// An outcome has three kinds. Nil: done. Permanent: the record goes to the dead-letter topic of its topic and this
// group, same partition number, with its coordinates, the error, and the original headers and bytes, as far as they fit;
// those of a batch are written together, so that a burst holds up nobody. Anything else is retried in place with backoff
// for as long as it takes: nothing is skipped because a database is away. A record that fails even alone holds back its
// own partition and no other.
//
// An offset is marked when all records before it are finished, and committed after that. So every record is handled at
// least once, and a record may come again: after a crash, a rebalance, a replay. Handlers recognise repeats; an old
// owner that does not know yet that it lost a partition is made harmless by their guards, not by this package.
//
// Files: group.go joins and stays; session.go is one assignment's life; partition.go a queue; ends.go how far behind
// a full one is; deadletter.go what cannot be handled; metrics.go what can be seen.
package consumer
