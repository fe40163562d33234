package api

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/notifier/internal/push"
)

// parseQuery reads the subscription that a query is. Anything that it does not know is 400; a customer that is not
// the caller's to ask for is 403.
func parseQuery(q url.Values, who auth.Principal) (push.Request, error) {
	r := push.Request{Who: who}
	for name, values := range q {
		var err error
		switch name {
		case "type", "order", "customer", "ticket": // below, and in access.go
		case "after":
			err = once(name, values)
		case "strict":
			r.Strict, err = flag(name, values)
		case "named":
			r.Named, err = flag(name, values)
		default:
			err = badQuery("there is no parameter %q here", name)
		}
		if err != nil {
			return r, err
		}
	}
	var err error
	if r.Origin, err = push.ParseOrigin(q.Get("after")); err != nil {
		return r, badQuery("after is %q: want latest, earliest, a time (RFC 3339) or a cursor", q.Get("after"))
	}
	r.Filter, err = push.NewFilter(who, q["type"], q["order"], q["customer"])
	return r, err
}

func once(name string, values []string) error {
	if len(values) != 1 {
		return badQuery("parameter %q comes %d times", name, len(values))
	}
	return nil
}

func flag(name string, values []string) (bool, error) {
	if err := once(name, values); err != nil {
		return false, err
	}
	if values[0] != "true" && values[0] != "false" {
		return false, badQuery("%s is %q: want true or false", name, values[0])
	}
	return values[0] == "true", nil
}

func badQuery(format string, args ...any) *web.Problem {
	return &web.Problem{Status: http.StatusBadRequest, Code: "bad_query", Detail: fmt.Sprintf(format, args...)}
}
