package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// etag of an order is "<revision>.<version>": what clients change, and everything.
func etag(o *order.Order) string { return fmt.Sprintf(`"%d.%d"`, o.Revision, o.Version) }

// ifMatch reads If-Match and gives the check of an order against it. Revisions alone are compared: a status that moved
// in the background must not spoil an edit. Without the header it is 428 if required, else no check.
func ifMatch(c echo.Context, required bool) (func(*order.Order) error, error) {
	tags, whatever, present, err := web.EntityTags(c.Request(), "If-Match")
	if err != nil {
		return nil, err
	}
	if !present && required {
		return nil, &web.Problem{
			Status: http.StatusPreconditionRequired, Code: "precondition_required",
			Detail: "send the order's ETag in If-Match, or * for whatever it is now",
		}
	}
	return func(o *order.Order) error {
		if whatever || !present {
			return nil
		}
		revision := strconv.FormatInt(o.Revision, 10)
		for _, t := range tags {
			if r, _, _ := strings.Cut(t, "."); r == revision {
				return nil
			}
		}
		return &web.Problem{
			Status: http.StatusPreconditionFailed, Code: "stale",
			Detail: "the order was changed since; it is at " + etag(o),
		}
	}, nil
}

// ifNoneMatch tells whether the client has the order as it is.
func ifNoneMatch(c echo.Context, o *order.Order) (bool, error) {
	tags, whatever, _, err := web.EntityTags(c.Request(), "If-None-Match")
	if err != nil {
		return false, err
	}
	for _, t := range tags {
		if `"`+t+`"` == etag(o) {
			return true, nil
		}
	}
	return whatever, nil
}
