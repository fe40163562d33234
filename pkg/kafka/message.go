package kafka

// Message is a record to be published.
type Message struct {
	Topic string
	Key   string
	// Headers are written in this order.
	Headers []Header
	Value   []byte
	// Partition counts for topics with a manual partitioner only; the others follow the key.
	Partition int32
}

// Header is one record header.
type Header struct{ Key, Value string }
