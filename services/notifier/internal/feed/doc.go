// Package feed is the one stream that all clients of this instance share, and the history behind it.
//
//	Kafka ─▶ Live ─▶ Sequencer ─▶ Subscription (a bounded queue) ─▶ a connection, in package push
//	  └────▶ History ────────────────────────────────────────────────▶┘ what it has missed
//
// The Sequencer merges all partitions of both topics and owns the position. A connection catches up with History, in
// its own pace, and then attaches to the Sequencer at its position: no hole, no repeat. An event's JSON is made once,
// and only when somebody is there for it; events go by an index of customers and orders to those who may see them.
//
// The package knows no HTTP, no WebSocket and no token: a Filter holds what somebody may see and wants to see.
package feed
