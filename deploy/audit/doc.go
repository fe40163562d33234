// Package audit reads a whole Orderwire from outside, its three databases, both topics and the dead-letter topics, and
// checks that nothing was lost, doubled, reordered or oversold.
//
// It is an independent reading: it knows the documents' fields and the events, and shares no decision code with the
// services, so that a bug cannot hide in both.
//
//	committed offsets ─▶ documents, spilled by partition ─▶ ends of the topics ─▶ partition by partition: its dead
//	letters, order-events[p], shipping-events[p], each record against the documents of its order ─▶ report
//
// There is no consistent cut across three databases and a log. Since documents are read before the ends of the topics
// are, all that a document has said or taken is in the log, and a live audit checks documents against the log only.
// A quiesced one, of a system where nothing moves, checks all equalities between the databases as well.
//
// # Files
//
//   - audit.go: what is read when; stock.go: the sums of inventory
//   - facts.go: documents and events in one comparable form; documents.go: the stored ones; spill.go: by partition
//   - partition.go, stream.go: the log, record by record; agree.go: what a document must hold of what it has heard
//   - report.go: what comes out
package audit
