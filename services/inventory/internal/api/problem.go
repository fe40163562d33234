package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

// retryAfter is when a client should try again after a refusal that concerns the moment only.
const retryAfter = time.Second

// refusals is the one table from errors to answers. What is not in it and is not a database away is an internal error.
var refusals = []struct {
	err    error
	status int
	code   string
}{
	{stock.ErrNotFound, http.StatusNotFound, "stock_not_found"},
	{stock.ErrBelowZero, http.StatusConflict, "stock_below_zero"},
	{stock.ErrKeyReused, http.StatusUnprocessableEntity, "idempotency_key_reused"},
}

// refuse turns an error of the store into the answer to a client.
func refuse(err error) error {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return &web.Problem{Status: r.status, Code: r.code, Detail: r.err.Error()}
		}
	}
	if outbox.IsAway(err) {
		return &web.Problem{
			Status: http.StatusServiceUnavailable, Code: "unavailable", RetryAfter: retryAfter, Cause: err,
			Detail: "the database did not answer in time; what was asked for may have happened",
		}
	}
	return err
}
