// Package push keeps the connections: who may have one, what it is sent and in which order, and how it ends.
//
// A session is one connection, whatever it speaks: socket.go is WebSocket, stream.go is Server-Sent Events. One loop
// has all that can happen to it: something to send, silence, a wish of the client, the end of its token or its time.
// What it has missed is read by catchup.go in the client's own pace. The Hub counts sessions and ends them in good
// order.
//
// The protocol is PROTOCOL.md's. The package knows no Kafka.
package push
