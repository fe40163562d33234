package api

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

// retryAfter is when a client should try again after a refusal that concerns the moment only.
const retryAfter = time.Second

// refuse turns an error of the store or of the rules into the answer to a client. What is not in it and is not a
// database away is an internal error.
func refuse(err error) error {
	var state *shipment.StateError
	switch {
	case errors.Is(err, shipment.ErrNotFound):
		return &web.Problem{Status: http.StatusNotFound, Code: "shipment_not_found", Detail: shipment.ErrNotFound.Error()}
	case errors.As(err, &state):
		return &web.Problem{Status: http.StatusConflict, Code: "shipment_state", Detail: state.Error()}
	case outbox.IsAway(err):
		return &web.Problem{
			Status: http.StatusServiceUnavailable, Code: "unavailable", RetryAfter: retryAfter, Cause: err,
			Detail: "the database did not answer in time; what was asked for may have happened",
		}
	}
	return err
}

func badRequest(code, detail string) error {
	return &web.Problem{Status: http.StatusBadRequest, Code: code, Detail: detail}
}

// unprocessable points at the one field that is wrong.
func unprocessable(pointer, code, detail string) error {
	return &web.Problem{
		Status: http.StatusUnprocessableEntity, Code: code, Detail: strings.TrimSpace(pointer + " " + detail),
		Errors: []web.FieldError{{Pointer: pointer, Code: code, Detail: detail}},
	}
}
