// Package topics reads what stands in Kafka's topics, for tools: from one offset to another, one partition at a time,
// decoded, in bounded memory, without a group and without a trace.
//
// It knows the events' form and nothing of what services make of them. A broker that is away is an *UnreachableError.
package topics
