package push

import (
	"fmt"
	"net/http"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/notifier/internal/feed"
)

// The most values of a filter, and the most characters of one.
const (
	maxTypes     = 32
	maxOrders    = 100
	maxCustomers = 100
	maxValue     = 128
)

// NewFilter is what somebody wants of what they may see. Values that make no sense are a *web.Problem: 400, or 403 for
// customers that are not theirs to ask for.
func NewFilter(who auth.Principal, types, orders, customers []string) (feed.Filter, error) {
	f := feed.Filter{Viewer: who.Customer, Operator: who.Operator, Types: types, Orders: orders, Customers: customers}
	for _, v := range []struct {
		name   string
		values []string
		most   int
	}{{"type", types, maxTypes}, {"order", orders, maxOrders}, {"customer", customers, maxCustomers}} {
		if len(v.values) > v.most {
			return f, badFilter("%s has %d values: want %d at most", v.name, len(v.values), v.most)
		}
		for _, value := range v.values {
			if !sane(value) {
				return f, badFilter("%s holds a value that is not 1 to %d printable ASCII characters", v.name, maxValue)
			}
		}
	}
	for _, t := range types {
		if len(feed.Match(t)) == 0 {
			return f, badFilter("type %q is no type of event, and the beginning of none with *", t)
		}
	}
	if len(customers) > 0 && !who.Operator {
		return f, &web.Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: "customer is for operators"}
	}
	return f, nil
}

func sane(s string) bool {
	for _, r := range s {
		if r < '!' || r > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxValue
}

func badFilter(format string, args ...any) *web.Problem {
	return &web.Problem{Status: http.StatusBadRequest, Code: "bad_query", Detail: fmt.Sprintf(format, args...)}
}
