// Chaos runs the whole of Orderwire, drives a seeded load of all its operations, breaks it by a seeded schedule, heals
// it, waits until everything has drained, and then judges: by `orderctl audit`, by the history of every request that it
// made, and by what its watchers were pushed.
//
// The way of a run: main.go → run.go → system.go (the processes and the proxies between them) → load.go and watch.go
// (who uses it) → schedule.go (what is done to it, and when: a pure function of the seed) → faults.go (how) → drain.go →
// check.go, stock.go and audit.go (the verdict).
//
// It knows nothing of how the services decide. What it cannot show is in README.md.
package main
