// Package api is the HTTP face of shipping: shipments, and what a carrier says of them.
//
// openapi.yaml comes first: the request types, the routes and the interface below are generated from it. A route reads
// what it is asked, calls the store, and says how it went; the rules are in package shipment, and one table, in
// problem.go, turns errors into refusals.
package api

import (
	"context"
	_ "embed"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
	"github.com/orderwire/orderwire/services/shipping/internal/store"
)

//go:generate env GOWORK=off go tool -modfile=../../../../deploy/tools/go.mod oapi-codegen -config oapi-codegen.yaml openapi.yaml

//go:embed openapi.yaml
var openAPI []byte

// timeout of a request's work in the database: with it away a client hears of that within two seconds.
const timeout = 1500 * time.Millisecond

// shipments is what the routes ask of the store.
type shipments interface {
	Get(ctx context.Context, id string) (*shipment.Shipment, error)
	List(ctx context.Context, f store.Filter) (page []*shipment.Shipment, more bool, err error)
	Act(ctx context.Context, id, trace string, step shipment.Step) (*shipment.Shipment, error)
}

// API answers requests.
type API struct{ shipments shipments }

var _ ServerInterface = (*API)(nil)

// New makes the API.
func New(s shipments) *API { return &API{shipments: s} }

// Access is who may come in: whoever has a token, or operators.
type Access struct{ Customer, Operator []echo.MiddlewareFunc }

// Register adds the routes; each is listed with who may use it. Whose shipment it is, is the route's own question.
func (a *API) Register(e *echo.Echo, may Access) {
	RegisterHandlersWithOptions(e, a, RegisterHandlersOptions{OperationMiddlewares: map[string][]echo.MiddlewareFunc{
		"listShipments":    may.Customer, // list.go
		"getShipment":      may.Customer, // get.go
		"dispatchShipment": may.Operator, // dispatch.go
		"deliverShipment":  may.Operator, // deliver.go
		"failShipment":     may.Operator, // fail.go
	}})
	e.GET("/openapi.yaml", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/yaml", openAPI)
	})
}

// bounded gives the time that a request has for its work in the database. It starts when the body is here, so that a
// slow client spends its own time only.
func bounded(c echo.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Request().Context(), timeout)
}

// caller is who asks. All routes are behind the middleware that refuses requests without a token.
func caller(c echo.Context) auth.Principal {
	p, _ := auth.FromContext(c.Request().Context())
	return p
}

// own reads a shipment that the caller may know of; those of others are hidden as if they did not exist.
func (a *API) own(c echo.Context, id string) (*shipment.Shipment, error) {
	ctx, cancel := bounded(c)
	defer cancel()
	s, err := a.shipments.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if who := caller(c); !who.Operator && who.Customer != s.CustomerID {
		return nil, shipment.ErrNotFound
	}
	return s, nil
}
