package main

import (
	"context"
	"slices"
	"time"
)

// replayReport is what `orderctl replay --json` prints.
type replayReport struct {
	Read    int `json:"read"`
	Total   int `json:"changes"`
	Changes []struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		Offset    int64  `json:"offset"`
		Order     string `json:"order"`
		Effect    string `json:"effect"`
		Why       string `json:"why"`
	} `json:"listed"`
}

// checkCommitted wants that what a group has committed is done (I6): reading it again would change nothing. It is asked
// again and again: a record that v has already is still the same violation.
func checkCommitted(v *verdict, service string, report replayReport) {
	for n, c := range report.Changes {
		if n == auditTold {
			break
		}
		at := coordinates{c.Topic, c.Partition, c.Offset}
		if slices.ContainsFunc(v.found, func(f violation) bool { return f.group == service && *f.record == at }) {
			continue
		}
		v.say("I6", c.Order, "%s has committed %s/%d@%d, one of %d that are not done: %s: %s",
			service, c.Topic, c.Partition, c.Offset, report.Total, c.Effect, c.Why)
		told := &v.found[len(v.found)-1]
		told.record, told.group = &at, service
	}
}

const (
	// committedEvery is how often the groups' offsets are held against the documents while a run goes on, and
	// committedReach how far back, so that a long run is not read again and again.
	committedEvery = 10 * time.Second
	committedReach = 45 * time.Second
	// A reading while things are broken is given up soon; the one at the end is of everything.
	committedWithin = 10 * time.Second
	replayWithin    = 3 * time.Minute
)

// watchCommitted checks I6 again and again, until ctx ends: what is wrong for a while is repaired later on by the next
// snapshot, and is a loss if a crash comes before.
func (r *run) watchCommitted(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, committedEvery)
		for _, service := range consumers {
			asking, cancel := context.WithTimeout(ctx, committedWithin)
			report, err := r.sys.replay(asking, r.Bin, r.dir, service, time.Now().Add(-committedReach))
			cancel()
			if err != nil {
				continue // broker or database are away
			}
			r.mu.Lock()
			r.committed++
			checkCommitted(&r.live, service, report)
			r.mu.Unlock()
		}
	}
}

// replay runs `orderctl replay` of what a service's group has committed; from the zero time, of all there is.
func (s *system) replay(ctx context.Context, bin, dir, service string, from time.Time) (replayReport, error) {
	ctx, cancel := context.WithTimeout(ctx, replayWithin)
	defer cancel()
	file, err := s.describe(dir)
	if err != nil {
		return replayReport{}, err
	}
	args := []string{"replay", "--stack", file, "--service", service, "--json"}
	if !from.IsZero() {
		args = append(args, "--from", from.UTC().Format(time.RFC3339))
	}
	var r replayReport
	err = orderctl(ctx, bin, &r, args...)
	return r, err
}
