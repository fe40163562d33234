// Package controls holds the proof that Orderwire's own tests can fail: each negative control of pkg/chaos, switched on
// by itself, must turn the suite red that stands guard against it. What catches it in a running system is found by
// deploy/chaos.
//
// It also holds the proof that nothing of pkg/chaos is in a service that was built without its tag.
package controls
