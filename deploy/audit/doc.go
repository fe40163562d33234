// Package audit reads a whole Orderwire from outside, its three databases, both topics and the dead-letter topics, and
// checks that nothing was lost, doubled, reordered or oversold.
//
// It is an independent reading: it knows the documents' fields and the events, and shares no decision code with the
// services, so that a bug cannot hide in both.
//
//	committed offsets ─▶ documents ─▶ ends of the topics ─▶ partition by partition: dead letters, order-events,
//	shipping-events; all of it reduced to hashes and spilled into buckets by order id ─▶ bucket by bucket: each record
//	against the documents of its order ─▶ report
//
// Memory holds the orders of one bucket, and a bucket that is too large is spilled once more into smaller ones: what an
// audit takes does not depend on how many orders there are, nor on how the topics are partitioned.
//
// There is no consistent cut across three databases and a log. Since documents are read before the ends of the topics
// are, all that a document has said or taken is in the log, and a live audit checks documents against the log only.
// A quiesced one, of a system where nothing moves, checks all equalities between the databases as well.
//
// # Files
//
//   - audit.go: what is read when; stock.go: the sums of inventory
//   - facts.go: documents and events in one comparable form; documents.go, heard.go: the stored ones, the records
//   - partition.go: what is read of a partition of the log; spill.go: the buckets; progress.go: how far it is
//   - bucket.go, stream.go, order.go: each order's record by record, and what must hold in the end
//   - agree.go: what a document must hold of what it has heard; follow.go: what is new; report.go: what comes out
package audit
