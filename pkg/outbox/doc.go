// Package outbox keeps a document and the events that its changes cause in one write, and publishes them.
//
// A service changes one document and appends the events of this change to the document's outbox array in the same
// write, which MongoDB makes atomic. The write is guarded by the version that was read: where somebody else was
// faster it matches nothing, and the caller reads and decides again. So no event is without its change, no change
// without its event, and no sequence number is given out twice.
//
//	Collection ── guarded write: state, version+1, fresh entries ──▶ MongoDB
//	     │ offers fresh entries after the commit                       ▲    │
//	     ▼                                                     $pull   │    │ sweep: what a crash or
//	   Relay ── at most one unacknowledged entry per order ──▶ Publisher    │ an overflow left behind
//	     ▲         and topic, in order                                      │
//	     └──────────────────────────────────────────────────────────────────┘
//
// The Relay publishes the entries. Once all of a document's are acknowledged its next write removes them ($set); where none
// comes soon the relay clears them ($pull). After a burst it waits for up to 25 ms, so that the next goes in one request. A
// crash can only repeat an entry, byte for byte, because an entry holds the final key, headers and body. Entries of one
// document and topic are ordered by their sequence; first occurrences in the topic are in that order whatever crashes, and
// however many relays work on the same collection: an entry is only sent when every older one was acknowledged to this
// process, or was absent from the outbox as its writer read it.
//
// An entry that keeps failing stays, and holds back those of its document and topic behind it. An operator may remove it
// from the document: the relay sees within seconds that it is gone, and sends what comes next.
//
// What an event says, and what a reader does with repeats, is left to others.
//
// # Files
//
//   - document.go: what a stored document embeds; entry.go: an event ready to be published
//   - collection.go, apply.go, transact.go: reads and guarded writes, one by one, in batches, in transactions
//   - relay.go: the loops; lanes.go: what may be sent when, without any I/O; sweep.go, clear.go: the stored outboxes
package outbox
