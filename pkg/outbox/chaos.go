package outbox

// publishEarly is the control PublishBeforeWrite: it offers events that may never be stored.
func (c *Collection[T, P]) publishEarly(docs []P) {
	for _, doc := range docs {
		d := doc.Envelope()
		c.relay.Offer(d.ID, d.Outbox, d.fresh)
	}
}

// publishNext is the control TwoInFlight: the entry behind the one that is being sent goes at the same time, and may
// be there first. It is sent again in its turn.
func (r *Relay) publishNext(ln *lane) {
	r.mu.Lock()
	var next *Entry
	if len(ln.queue) > 1 {
		next = &ln.queue[1]
	}
	r.mu.Unlock()
	if next != nil {
		r.publisher.Publish(next.message(), func(error) {})
	}
}
