// Package e2e tests Orderwire from the outside: real processes of all four services behind the gateway, on the embedded
// broker and on Apache Kafka, driven over HTTP and WebSocket as a front end would.
package e2e
