// Package stack runs all of Orderwire on one machine without containers: a broker, a database, the four services and
// a gateway, as processes of its own, and stops them again without a trace.
//
// The broker is kfake inside this process, Apache Kafka from the cache directory, or the cluster that KAFKA_BROKERS
// names. The database is what MONGODB_URI names, a mongod, or SecantusDB. The services are the binaries beside the
// caller's. The gateway is a reverse proxy on the loopback interface that starts to listen when all of them are ready.
//
// A stack is stopped in the opposite order. Children run in process groups of their own, so that a terminal's Ctrl-C
// reaches them only through the stack; should the stack die first, the services notice that the pipe to it closed, the
// others get a signal from the kernel where there is one, and whatever is still there is found by its pid file and
// ended at the next start.
//
// It is a tool for development and tests. It restarts nothing, and it runs on Linux and macOS.
package stack
