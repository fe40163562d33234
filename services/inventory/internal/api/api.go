// Package api is the HTTP face of inventory: stock levels, and adjustments of them.
//
// openapi.yaml comes first: the request types, the routes and the interface below are generated from it. Each route
// has a file of its own. A route reads what it is asked, calls the store, and says how it went; one table, in
// problem.go, turns errors into refusals.
package api

import (
	"context"
	_ "embed"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
	"github.com/orderwire/orderwire/services/inventory/internal/store"
)

//go:generate env GOWORK=off go tool -modfile=../../../../deploy/tools/go.mod oapi-codegen -config oapi-codegen.yaml openapi.yaml

//go:embed openapi.yaml
var openAPI []byte

// timeout of a request's work in the database: an answer, if only 503, comes within two seconds. An adjustment may have
// to wait for the batch in flight and meet those of other instances.
const timeout = 1800 * time.Millisecond

// levels is what the routes ask of the store.
type levels interface {
	Level(ctx context.Context, sku string) (stock.Level, error)
	Levels(ctx context.Context, after string, limit int) (page []stock.Level, more bool, err error)
	Adjust(ctx context.Context, a store.Adjustment) (level stock.Level, replayed bool, err error)
}

// API answers requests.
type API struct{ levels levels }

var _ ServerInterface = (*API)(nil)

// New makes the API.
func New(l levels) *API { return &API{levels: l} }

// Access is who may come in: anybody (a token is checked if there is one), or operators.
type Access struct{ Anybody, Operator []echo.MiddlewareFunc }

// Register adds the routes; each is listed with who may use it.
func (a *API) Register(e *echo.Echo, may Access) {
	RegisterHandlersWithOptions(e, a, RegisterHandlersOptions{OperationMiddlewares: map[string][]echo.MiddlewareFunc{
		"listStock":   may.Anybody,  // list.go
		"getStock":    may.Anybody,  // get.go
		"adjustStock": may.Operator, // adjust.go
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

// show gives as much of a level as the caller may see.
func show(c echo.Context, l stock.Level) Stock {
	s := Stock{Sku: l.SKU, Available: l.Available}
	if p, _ := auth.FromContext(c.Request().Context()); p.Operator {
		s.Reserved, s.Shipped, s.WrittenOff = &l.Reserved, &l.Shipped, &l.WrittenOff
	}
	return s
}
