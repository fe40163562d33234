// Package mongodb connects to MongoDB the safe way: majority writes with journal, majority reads, a bounded pool and
// a time-out over every call.
//
// It waits for a server that is not there yet, tells errors apart that callers must answer differently, and measures
// pool and commands. What is written and read is left to its callers. MongoDB must be a replica set (one node is
// enough), because they use transactions.
package mongodb
