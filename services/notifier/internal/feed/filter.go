package feed

import (
	"strings"

	events "github.com/orderwire/orderwire/proto-events"
)

// Filter is what somebody may see and what of it they want.
type Filter struct {
	// Viewer is whose events may be seen; Operator sees those of everybody, and talk between services.
	Viewer   string
	Operator bool

	// Types, Orders and Customers are what is wanted; empty: all that may be seen. A type may end in *, for all that
	// begin like it.
	Types, Orders, Customers []string

	types map[events.Type]bool
}

// Passes authorises first and filters then.
func (f *Filter) Passes(e *Event) bool {
	if !f.Operator && (e.Customer != f.Viewer || e.Internal) {
		return false
	}
	return f.wantsType(e.Type) && among(f.Orders, e.Order) && among(f.Customers, e.Customer)
}

// Match gives the types of the catalog that a pattern of Types stands for.
func Match(pattern string) []events.Type {
	var types []events.Type
	prefix, open := strings.CutSuffix(pattern, "*")
	for _, t := range events.Types() {
		if string(t) == pattern || open && strings.HasPrefix(string(t), prefix) {
			types = append(types, t)
		}
	}
	return types
}

// prepare makes the look-up of types; it comes before the first Passes.
func (f *Filter) prepare() {
	if len(f.Types) == 0 || f.types != nil {
		return
	}
	f.types = map[events.Type]bool{}
	for _, pattern := range f.Types {
		for _, t := range Match(pattern) {
			f.types[t] = true
		}
	}
}

func (f *Filter) wantsType(t events.Type) bool { return len(f.Types) == 0 || f.types[t] }

// among tells whether one is in the list; an empty list holds all. Lists are short.
func among(list []string, one string) bool {
	if len(list) == 0 {
		return true
	}
	for _, s := range list {
		if s == one {
			return true
		}
	}
	return false
}
