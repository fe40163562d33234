package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/orderwire/orderwire/pkg/group"
	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
	"github.com/orderwire/orderwire/services/order-api/internal/store"
)

// retryAfter is when a client should try again after a refusal that concerns the moment only.
const retryAfter = time.Second

// refusals is the one table from errors to answers. What is not in it, is not a database away, and is not what the
// client did wrong, is an internal error.
var refusals = []struct {
	err    error
	status int
	code   string
}{
	{order.ErrNotFound, http.StatusNotFound, "order_not_found"},
	{store.ErrNoProduct, http.StatusNotFound, "product_not_found"},
	{order.ErrTooManyEdits, http.StatusConflict, "too_many_edits"},
	{store.ErrKeyReused, http.StatusUnprocessableEntity, "idempotency_key_reused"},
	{store.ErrBusy, http.StatusServiceUnavailable, "order_busy"},
	{group.ErrOverloaded, http.StatusServiceUnavailable, "overloaded"},
	{group.ErrClosed, http.StatusServiceUnavailable, "unavailable"},
}

// refuse turns an error of the store or of the domain into the answer to a client.
func refuse(err error) error {
	var (
		invalid *order.InvalidError
		state   *order.StateError
		problem *web.Problem
	)
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &invalid):
		return unprocessable(invalid)
	case errors.As(err, &state):
		return &web.Problem{Status: http.StatusConflict, Code: "order_state", Detail: state.Error()}
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return answerFor(r.status, r.code, r.err.Error())
		}
	}
	if outbox.IsAway(err) {
		away := answerFor(http.StatusServiceUnavailable, "unavailable", "the database did not answer in time; what was asked for may have happened")
		away.Cause = err
		return away
	}
	return err
}

func answerFor(status int, code, detail string) *web.Problem {
	p := &web.Problem{Status: status, Code: code, Detail: detail}
	if status == http.StatusServiceUnavailable {
		p.RetryAfter = retryAfter
	}
	return p
}

// unprocessable points at every wrong field. Where all are wrong for one reason, that reason is the answer's code.
func unprocessable(e *order.InvalidError) *web.Problem {
	p := &web.Problem{Status: http.StatusUnprocessableEntity, Code: e.Fields[0].Code, Detail: e.Error()}
	for _, f := range e.Fields {
		if f.Code != p.Code {
			p.Code = "invalid"
		}
		p.Errors = append(p.Errors, web.FieldError{Pointer: f.Pointer, Code: f.Code, Detail: f.Detail})
	}
	return p
}

func forbidden(detail string) error {
	return &web.Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: detail}
}

func badRequest(code, detail string) error {
	return &web.Problem{Status: http.StatusBadRequest, Code: code, Detail: detail}
}

func badCursor() error {
	return badRequest("bad_cursor", "after must be the next of an earlier page")
}
