package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxListed is how many violations of an invariant are listed where not all are wanted; all are counted.
const maxListed = 100

// Report is what an audit found.
type Report struct {
	Mode        string       `json:"mode"`        // live or quiesced
	Orders      int          `json:"orders"`      // order documents
	Events      int          `json:"events"`      // records of both topics
	DeadLetters int          `json:"deadLetters"` // records of the dead-letter topics
	Ignored     int          `json:"ignored"`     // records that the file of coordinates names
	Unknown     int          `json:"unknown"`     // records whose type is not ours
	Malformed   int          `json:"malformed"`   // records of a known type that cannot be read
	Truncated   int          `json:"truncated"`   // partitions whose start retention has taken
	Invariants  []*Invariant `json:"invariants"`
	// Moving is there where a quiesced audit finds violated what only holds at rest.
	Moving *Moving `json:"moving,omitempty"`
}

// Moving is about what only holds where nothing moves. Where it does not, one audit cannot tell a system that is about to
// come to rest from one that never will: a later one can.
type Moving struct {
	Violations int       `json:"violations"`   // of all of them, those that a system at rest has none of
	Orders     int       `json:"orders"`       // that have one
	Parcels    int       `json:"parcels"`      // that the simulated carrier acts on by itself
	Due        time.Time `json:"due,omitzero"` // when it does the last of that, as far as it is set
}

// Invariant is one promise, how often it was checked and where it is broken.
type Invariant struct {
	ID      string `json:"id"`
	Says    string `json:"says"`
	Holds   bool   `json:"holds"`
	Checked int    `json:"checked"`
	// Skipped says why nothing was checked.
	Skipped    string      `json:"skipped,omitempty"`
	Total      int         `json:"total"`   // of the violations
	LeftOut    int         `json:"leftOut"` // of them, that are not listed: see Config.All
	Violations []Violation `json:"violations"`
}

// Violation is one place where an invariant is broken. What does not apply is absent.
type Violation struct {
	Order     string `json:"order,omitempty"`
	Topic     string `json:"topic,omitempty"`
	Partition *int32 `json:"partition,omitempty"`
	Offset    *int64 `json:"offset,omitempty"`
	Document  string `json:"document,omitempty"` // database.collection/_id
	Detail    string `json:"detail"`
	Moving    bool   `json:"moving,omitempty"` // see the report's
}

func (v Violation) String() string {
	var where []string
	if v.Order != "" {
		where = append(where, "order "+v.Order)
	}
	switch {
	case v.Offset != nil:
		where = append(where, fmt.Sprintf("%s[%d]@%d", v.Topic, *v.Partition, *v.Offset))
	case v.Partition != nil:
		where = append(where, fmt.Sprintf("%s[%d]", v.Topic, *v.Partition))
	case v.Topic != "":
		where = append(where, v.Topic)
	}
	if v.Document != "" {
		where = append(where, v.Document)
	}
	return strings.Join(append(where, v.Detail), ": ")
}

// Holds tells whether all invariants do.
func (r *Report) Holds() bool {
	return !slices.ContainsFunc(r.Invariants, func(i *Invariant) bool { return !i.Holds })
}

var invariants = []struct{ id, says string }{
	{"I1", "no accepted order is lost"},
	{"I2", "no oversell, no stock leak"},
	{"I3", "every state change has its event in the topic"},
	{"I4", "sequences without a hole, identical repeats, one partition"},
	{"I5", "one reservation, one shipment, one release per cause"},
	{"I8", "everything drains"},
	{"I9", "no record below a committed offset is unfinished"},
	{"I12", "no effect for an order that was never accepted"},
}

// findings collects what an audit finds.
type findings struct {
	Report
	by     map[string]*Invariant
	most   int // of an invariant's violations are listed
	moving Moving
}

func newFindings(mode string, most int) *findings {
	f := &findings{Report: Report{Mode: mode}, by: map[string]*Invariant{}, most: most}
	for _, i := range invariants {
		at := &Invariant{ID: i.id, Says: i.says, Holds: true, Violations: []Violation{}}
		f.by[i.id] = at
		f.Invariants = append(f.Invariants, at)
	}
	return f
}

// check counts a check of an invariant, and where it does not hold, the violation.
func (f *findings) check(id string, holds bool, v func() Violation) {
	i := f.by[id]
	i.Checked++
	if holds {
		return
	}
	i.Holds = false
	i.Total++
	if len(i.Violations) >= f.most {
		i.LeftOut++
		return
	}
	i.Violations = append(i.Violations, v())
}

// checkAtRest is check for what only holds where nothing moves.
func (f *findings) checkAtRest(id string, holds bool, v func() Violation) {
	f.check(id, holds, func() Violation {
		moving := v()
		moving.Moving = true
		return moving
	})
	if !holds {
		f.moving.Violations++
	}
}

// at starts a violation that a record shows.
func at(h *heard, document, format string, args ...any) Violation {
	return Violation{
		Order: h.Key, Topic: h.Topic, Partition: &h.Partition, Offset: &h.Offset, Document: document,
		Detail: fmt.Sprintf(format, args...),
	}
}
