package client

// remembered is how many keys a Stream surely remembers: some ten MiB.
const remembered = 32 << 10

// newest keeps the highest sequence of each of the keys that were heard of last: at least most of them, at most twice as
// many. That is enough for repeats. Coming back after a cursor makes none; a relay that crashed publishes again only what
// it had on its way, which are the last events of its service; so a repeat comes before the news of so many other orders
// does. What comes later, as after the re-creation of a topic, which the notifier calls a gap, is handed on once more, as
// the notifier does itself: its promise is at least once.
type newest struct {
	most          int
	recent, older map[string]string
}

// take tells whether a sequence is news of its key, and remembers it then.
func (n *newest) take(key, sequence string) bool {
	known, ok := n.recent[key]
	if !ok {
		known = n.older[key]
	}
	isNews := sequence > known
	if isNews {
		known = sequence
	}
	if !ok && len(n.recent) >= n.most || n.recent == nil {
		n.older, n.recent = n.recent, make(map[string]string)
	}
	n.recent[key] = known
	return isNews
}
