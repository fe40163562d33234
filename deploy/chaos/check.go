package main

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// violation is one place where a promise is broken.
type violation struct {
	Invariant string `json:"invariant"`
	Order     string `json:"order,omitempty"`
	Detail    string `json:"detail"`

	record *coordinates // in the log
	group  string       // that has committed it
}

// verdict collects violations.
type verdict struct {
	found []violation
	more  []violation // that need not be told
}

func (v *verdict) say(invariant, order, format string, args ...any) {
	v.found = append(v.found, violation{Invariant: invariant, Order: order, Detail: fmt.Sprintf(format, args...)})
}

// foundAfter says for each violated invariant how many orders had been accepted when its first violation could be seen:
// up to the order that it is of, or up to the last one before its record in the log. Where a violation has neither, all.
func (v *verdict) foundAfter(accepted map[string]int, log []record) map[string]int {
	before := map[partition][]record{} // of accepted orders
	for _, r := range log {
		if _, ok := accepted[r.Order]; ok {
			at := partition{r.Topic, r.Partition}
			before[at] = append(before[at], r)
		}
	}
	first := map[string]int{}
	for _, f := range slices.Concat(v.found, v.more) {
		order := f.Order
		if order == "" && f.record != nil {
			all := before[partition{f.record.Topic, f.record.Partition}]
			n, _ := slices.BinarySearchFunc(all, f.record.Offset+1, func(r record, end int64) int { return cmp.Compare(r.Offset, end) })
			if n > 0 {
				order = all[n-1].Order
			}
		}
		after := len(accepted)
		if n, ok := accepted[order]; ok {
			after = n + 1
		}
		if n, ok := first[f.Invariant]; !ok || after < n {
			first[f.Invariant] = after
		}
	}
	return first
}

// recoveryGrace is how long after a fault has healed an answer may still say that something is away.
const recoveryGrace = 15 * time.Second

// checkAnswers finds answers that break the API's contract (I11): a 5xx other than 502, 503 and 504, a 503 without
// Retry-After, one of them while nothing is broken, a 502, a 504 or none while nothing worse than a rolling restart goes on;
// one that cannot be read, and
// an order that is denied after it was accepted, or that goes back in its versions (I1).
func checkAnswers(v *verdict, all []entry, windows []window) {
	versions := map[string]int64{}
	ids := map[string]string{} // by key
	ended := olderEnds(windows)
	for _, e := range all {
		switch e.Status {
		case http.StatusBadGateway, http.StatusGatewayTimeout:
			if !during(windows, e, func(w window) bool { return breaks(w) && w.Fault != "F4" }) {
				v.say("I11", e.Order, "%s was answered %d at %s while nothing but restarts went on", e.Kind, e.Status, time.Duration(e.End))
			}
		case http.StatusServiceUnavailable:
			if !e.RetryAfter {
				v.say("I11", e.Order, "%s was answered 503 without Retry-After at %s", e.Kind, time.Duration(e.End))
			}
			if !during(windows, e, breaks) && !during(ended, e, func(window) bool { return true }) {
				v.say("I11", e.Order, "%s was answered 503 (%s) at %s while nothing was broken", e.Kind, e.Code, time.Duration(e.End))
			}
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusTooManyRequests:
			v.say("I11", e.Order, "%s was answered %d %s; it was in order", e.Kind, e.Status, e.Code)
		case http.StatusNotFound:
			if e.Kind == "product" || e.Kind == "row" {
				v.say("I1", "", "%s %s was answered 404; it was put in", e.Kind, e.SKU)
			}
			if e.Order != "" && (e.Kind == "get" || e.Kind == "cancel" || e.Kind == "change" || e.Kind == "history") {
				v.say("I1", e.Order, "%s was answered 404 after the order was accepted", e.Kind)
			}
		default:
			switch {
			case e.Status >= http.StatusInternalServerError:
				v.say("I11", e.Order, "%s was answered %d %s at %s", e.Kind, e.Status, e.Code, time.Duration(e.End))
			case e.Error != "" && e.Status != 0:
				v.say("I11", e.Order, "%s was answered %d at %s, and %s", e.Kind, e.Status, time.Duration(e.End), e.Error)
			case e.Error != "" && !during(windows, e, func(w window) bool { return breaks(w) && w.Fault != "F4" }):
				v.say("I11", e.Order, "%s got no answer at %s while nothing but restarts went on: %s", e.Kind, time.Duration(e.End), e.Error)
			}
		}
		if e.Outcome != outcomeOK || e.Order == "" {
			continue
		}
		if e.Version > 0 && e.Version < versions[e.Order] {
			v.say("I1", e.Order, "%s shows version %d after %d was seen", e.Kind, e.Version, versions[e.Order])
		}
		versions[e.Order] = max(versions[e.Order], e.Version)
		if e.Kind == "place" {
			if first, ok := ids[e.Key]; ok && first != e.Order {
				v.say("I1", e.Order, "key %s made a second order; the first is %s", e.Key, first)
			}
			ids[e.Key] = e.Order
		}
	}
}

// breaks tells whether a fault takes anything away from those who call the API. Hostile and slow clients do not, nor do
// records that come once more or cannot be read, an event that cannot be published, or one more instance of an older
// version: nobody else may notice them.
func breaks(w window) bool {
	switch w.Fault {
	case "F12", "F13", "F14":
		return false
	case "F11":
		return w.Variant == "reset"
	case "F16":
		return w.Variant != "poison"
	case "F17":
		return w.Variant != "beside"
	default:
		return true
	}
}

// endsWithin is how long instances that are told to end take, on a machine with more to do than it can.
const endsWithin = 5 * time.Second

// olderEnds gives the last moments of instances of an older version that ran beside today's and took nothing away. Such a
// one with more in hand than its time allows may leave a transaction open, whose documents the database holds for some
// seconds more; whoever wants to write to them is answered 503 then. Nothing else is excused by it.
func olderEnds(windows []window) []window {
	var ended []window
	for _, w := range windows {
		if w.Fault == "F17" && w.Variant == "beside" {
			w.From = max(w.From, w.To-endsWithin)
			ended = append(ended, w)
		}
	}
	return ended
}

// during tells whether a window that counts overlaps the request.
func during(windows []window, e entry, counts func(window) bool) bool {
	return slices.ContainsFunc(windows, func(w window) bool {
		return counts(w) && time.Duration(e.End) >= w.From && time.Duration(e.Begin) <= w.To+recoveryGrace
	})
}

var finalStates = []string{"delivered", "rejected", "cancelled", "failed"}

// checkOrders compares what clients know of their orders with what is there in the end: every accepted order (I1) with
// what was last written on it, in a final state (I8), and none that nobody has placed (I12).
func checkOrders(v *verdict, known []*placed, there []order) {
	byID, byKey := map[string]order{}, map[string]string{}
	for _, o := range there {
		if _, twice := byID[o.ID]; twice {
			continue // two pages may overlap
		}
		byID[o.ID] = o
	}
	explained := map[string]bool{}
	unknown := map[string]*placed{} // by the note that they were placed with
	for _, p := range known {
		if p.id == "" {
			unknown[p.customer+p.body.Note] = p
			continue
		}
		if first, ok := byKey[p.id]; ok {
			v.say("I1", p.id, "keys %s and %s were given the same order", first, p.key)
		}
		byKey[p.id], explained[p.id] = p.key, true
		o, ok := byID[p.id]
		if !ok {
			v.say("I1", p.id, "it was accepted and is not there")
			continue
		}
		p.check(v, o)
	}
	for _, o := range byID {
		if !slices.Contains(finalStates, o.Status) {
			v.say("I8", o.ID, "it is %s, and nothing moves it any more", o.Status)
		}
		if explained[o.ID] {
			continue
		}
		p := unknown[o.CustomerID+o.Note]
		if p == nil || p.id != "" {
			v.say("I12", o.ID, "nobody has placed it, or it is there twice: %s, %q", o.CustomerID, o.Note)
			continue
		}
		p.id = o.ID // the answer was lost; it was placed
		p.check(v, o)
	}
}

// check compares one order with what its client knows.
func (p *placed) check(v *verdict, o order) {
	if o.CustomerID != p.customer {
		v.say("I11", o.ID, "it belongs to %s, and %s has placed it", o.CustomerID, p.customer)
	}
	if !slices.Equal(o.Items, p.body.Items) {
		v.say("I1", o.ID, "it has %v, and was placed with %v", o.Items, p.body.Items)
	}
	if !p.notes[o.Note] {
		v.say("I1", o.ID, "its note is %q, which was overwritten or never taken", o.Note)
	}
	if !p.streets[o.ShippingAddress.Street] {
		v.say("I1", o.ID, "its street is %q, which was overwritten or never taken", o.ShippingAddress.Street)
	}
	if o.Version < p.version {
		v.say("I1", o.ID, "it is at version %d; its client has seen %d", o.Version, p.version)
	}
	if p.cancel && (o.Cancellation == nil || o.Status == "delivered" && o.Cancellation.Outcome != "refused") {
		v.say("I1", o.ID, "its cancellation was taken, and it is %s without an answer to it", o.Status)
	}
}

// checkStock balances each row (I2): all adjustments are available, reserved, shipped or written off, and the orders
// account for the last three.
func checkStock(v *verdict, all []entry, there []order, rows []stockRow) {
	adjusted, unsure := map[string]int64{}, map[string]bool{}
	counted := map[string]bool{}
	last := map[string]entry{}
	for _, e := range all {
		if e.Kind == "adjust" {
			last[e.Key] = e
			if e.Outcome == outcomeOK && !counted[e.Key] {
				counted[e.Key] = true
				adjusted[e.SKU] += e.Quantity
			}
		}
	}
	for key, e := range last {
		if !counted[key] && e.Outcome == outcomeInfo {
			unsure[e.SKU] = true
		}
	}
	type sums struct{ reserved, shipped, writtenOff int64 }
	want := map[string]*sums{}
	for _, sku := range skus() {
		want[sku] = &sums{}
	}
	for _, o := range there {
		for _, i := range o.Items {
			s := want[i.SKU]
			switch {
			case s == nil:
			case o.Status == "delivered" || o.Status == "shipped":
				s.shipped += i.Quantity
			case o.Status == "failed" && o.Failure != nil && o.Failure.Reason == "lost":
				s.writtenOff += i.Quantity
			case o.Status == "confirmed" || o.Status == "cancelling":
				s.reserved += i.Quantity
			}
		}
	}
	for _, row := range rows {
		s := want[row.SKU]
		if s == nil {
			continue
		}
		if row.Available < 0 {
			v.say("I2", "", "%s: %d available: oversold", row.SKU, row.Available)
		}
		if sum := row.Available + row.Reserved + row.Shipped + row.WrittenOff; sum != adjusted[row.SKU] && !unsure[row.SKU] {
			v.say("I2", "", "%s: %+v makes %d, and %d were put in", row.SKU, row, sum, adjusted[row.SKU])
		}
		if (sums{row.Reserved, row.Shipped, row.WrittenOff}) != *s {
			v.say("I2", "", "%s: %+v, and the orders account for %+v", row.SKU, row, *s)
		}
	}
}

// checkLog looks at first occurrences (I4): sequences 1, 2, 3… per order, source and topic, in one partition.
func checkLog(v *verdict, log []record) {
	type state struct {
		partition int32
		sequence  int
	}
	lanes := map[lane]*state{}
	for _, r := range log {
		s := lanes[r.lane]
		if s == nil {
			s = &state{partition: r.Partition}
			lanes[r.lane] = s
		}
		if s.partition != r.Partition {
			v.say("I4", r.Order, "%s from %s is in partitions %d and %d of %s", r.Type, r.Source, s.partition, r.Partition, r.Topic)
		}
		var n int
		if _, err := fmt.Sscanf(r.Sequence, "%d", &n); err != nil {
			v.say("I4", r.Order, "sequence %q of %s/%d@%d is no number", r.Sequence, r.Topic, r.Partition, r.Offset)
			continue
		}
		if n > s.sequence+1 {
			v.say("I4", r.Order, "%s: sequence %d comes after %d at %s/%d@%d", r.Source, n, s.sequence, r.Topic, r.Partition, r.Offset)
		}
		s.sequence = max(s.sequence, n)
	}
}

// checkWatcher compares what was pushed with the log (I7): of what it may see, everything, in each partition's order, and
// nothing else.
func checkWatcher(v *verdict, name, customer string, log []record, seen []pushed) {
	type place struct {
		lane
		sequence string
	}
	partitions, order := map[place]partition{}, map[partition][]place{}
	for _, r := range log {
		p := place{r.lane, r.Sequence}
		if _, repeated := partitions[p]; repeated || !r.shownTo(customer) {
			continue
		}
		at := partition{r.Topic, r.Partition}
		partitions[p] = at
		order[at] = append(order[at], p)
	}
	next := map[partition]int{}
	for _, e := range seen {
		p := place{e.lane, e.Sequence}
		at, ok := partitions[p]
		if !ok {
			v.say("I7", e.Order, "%s was pushed %s %s of %s, which it may not see or the log does not hold", name, e.Type, e.Sequence, e.Source)
			continue
		}
		if n := next[at]; n >= len(order[at]) || order[at][n] != p {
			v.say("I7", e.Order, "%s was pushed %s %s of %s out of order, or after something that it was not pushed", name, e.Type, e.Sequence, e.Source)
			next[at] = slices.Index(order[at], p)
		}
		next[at]++
	}
	for at, all := range order {
		if missing := len(all) - next[at]; missing > 0 {
			v.say("I7", all[next[at]].Order, "%s was not pushed the last %d events of %s/%d", name, missing, at.topic, at.n)
		}
	}
}
