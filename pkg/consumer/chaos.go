package consumer

// isRedriven tells whether a batch holds a redriven record: a failpoint wants to know.
func (s *session) isRedriven(batch []share) bool {
	for _, sh := range batch {
		if sh.tp.topic == RetryTopic(s.g.config.Group) {
			return true
		}
	}
	return false
}

// forgive is the control MarkOutOfOrder: what is unfinished, and before something finished, counts as finished.
func forgive(records []*Record, outcomes map[*Record]error) {
	isBehind := false
	for i := len(records) - 1; i >= 0; i-- {
		r := records[i]
		isDone := r.unread || outcomes[r] == nil || IsPermanent(outcomes[r])
		if !isDone && isBehind {
			outcomes[r] = nil
		}
		isBehind = isBehind || isDone
	}
}
