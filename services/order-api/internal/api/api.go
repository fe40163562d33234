// Package api is the HTTP face of order-api: orders and the price list.
//
// openapi.yaml comes first: the request types, the routes and the interface below are generated from it. Each route
// has a file of its own. A route reads what it is asked, calls the store, and says how it went; the rules are in
// package order, and one table, in problem.go, turns errors into refusals.
package api

import (
	"context"
	_ "embed"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
	"github.com/orderwire/orderwire/services/order-api/internal/store"
)

//go:generate env GOWORK=off go tool -modfile=../../../../deploy/tools/go.mod oapi-codegen -config oapi-codegen.yaml openapi.yaml

//go:embed openapi.yaml
var openAPI []byte

// timeout of a request's work in the database: with it away a client hears of that within two seconds.
const timeout = 1500 * time.Millisecond

// orders is what the routes ask of the store.
type orders interface {
	Place(ctx context.Context, p store.Placement) (store.Placed, error)
	Get(ctx context.Context, id string) (*order.Order, error)
	List(ctx context.Context, f store.Filter) (page []*order.Order, more bool, err error)
	Edit(ctx context.Context, id string, allow store.Allow, p order.Patch, trace string) (*order.Order, error)
	Cancel(ctx context.Context, id string, allow store.Allow, trace string) (*order.Order, error)
}

// products is the price list.
type products interface {
	Products(ctx context.Context, after string, limit int) (page []order.Product, more bool, err error)
	Product(ctx context.Context, sku string) (order.Product, error)
	PutProduct(ctx context.Context, p order.Product) (created bool, err error)
	DeleteProduct(ctx context.Context, sku string) error
}

// API answers requests.
type API struct {
	orders   orders
	products products
	login    *auth.Verifier
}

var _ ServerInterface = (*API)(nil)

// New makes the API. login signs development tokens; nil switches POST /dev/token off.
func New(o orders, p products, login *auth.Verifier) *API {
	return &API{orders: o, products: p, login: login}
}

// Access is who may come in: anybody (a token is checked if there is one), whoever has a token, operators.
type Access struct{ Anybody, Customer, Operator []echo.MiddlewareFunc }

// Register adds the routes; each is listed with who may use it. Whose order it is, is the route's own question.
func (a *API) Register(e *echo.Echo, may Access) {
	RegisterHandlersWithOptions(e, a, RegisterHandlersOptions{OperationMiddlewares: map[string][]echo.MiddlewareFunc{
		"placeOrder":       may.Customer, // place.go
		"listOrders":       may.Customer, // list.go
		"getOrder":         may.Customer, // get.go
		"changeOrder":      may.Customer, // change.go
		"cancelOrder":      may.Customer, // cancel.go
		"getOrderHistory":  may.Customer, // history.go
		"listProducts":     may.Anybody,  // products.go
		"getProduct":       may.Anybody,
		"putProduct":       may.Operator,
		"deleteProduct":    may.Operator,
		"developmentLogin": nil, // login.go
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

// caller is who asks. The routes that need one are behind the middleware that refuses requests without a token.
func caller(c echo.Context) auth.Principal {
	p, _ := auth.FromContext(c.Request().Context())
	return p
}

// mayKnow hides the orders of others as if they did not exist.
func mayKnow(p auth.Principal, o *order.Order) error {
	if p.Operator || p.Customer == o.CustomerID {
		return nil
	}
	return order.ErrNotFound
}

// own reads an order that the caller may know of.
func (a *API) own(c echo.Context, id string) (*order.Order, error) {
	ctx, cancel := bounded(c)
	defer cancel()
	o, err := a.orders.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return o, mayKnow(caller(c), o)
}
