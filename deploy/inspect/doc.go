// Package inspect answers an operator's questions about orders from outside: from the topics and the databases
// themselves, past the services. It changes nothing, is in no consumer group and commits nothing.
//
//	explain.go, waits.go   the story of one order, and what it waits for
//	stuck.go               orders that are in a state for longer than they should be
//	tail.go                events as they stand in the topics
//	replay.go              what a service would change if it read its topics again
//
// An event's effect is judged by package documents, which shares no code with the services.
package inspect
