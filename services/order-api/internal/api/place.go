package api

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/service"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
	"github.com/orderwire/orderwire/services/order-api/internal/store"
)

// PlaceOrder takes an order: decode and check it here, price and store it together with others that come in now
// (store.Place), and leave the rest to its first event, which the relay publishes.
func (a *API) PlaceOrder(c echo.Context, _ PlaceOrderParams) error {
	if err := web.QueryOnly(c); err != nil {
		return err
	}
	key, err := web.IdempotencyKey(c)
	if err != nil {
		return err
	}
	var body NewOrder
	if err := web.DecodeJSON(c, &body); err != nil {
		return err
	}
	draft, err := draftFor(c, body)
	if err != nil {
		return err
	}
	if err := draft.Check(); err != nil {
		return refuse(err)
	}
	hash, err := fingerprint(body)
	if err != nil {
		return err
	}
	ctx, cancel := bounded(c)
	defer cancel()
	placed, err := a.orders.Place(ctx, store.Placement{
		Draft: draft, Key: key, Hash: hash, TraceParent: service.TraceParent(c.Request().Context()),
	})
	if err != nil {
		return refuse(err)
	}
	if placed.Replayed {
		c.Response().Header().Set("Idempotency-Replayed", "true")
	}
	c.Response().Header().Set(echo.HeaderLocation, "/v1/orders/"+placed.Order.ID)
	return answer(c, http.StatusCreated, placed.Order)
}

// draftFor says whose order it will be: the caller's, unless an operator names somebody else.
func draftFor(c echo.Context, body NewOrder) (order.Draft, error) {
	who := caller(c)
	d := order.Draft{
		CustomerID: who.Customer, ShippingAddress: addressOf(body.ShippingAddress),
		Items: make([]order.DraftItem, 0, len(body.Items)),
	}
	if body.CustomerId != nil && *body.CustomerId != who.Customer {
		if !who.Operator {
			return d, forbidden("only operators place orders for somebody else")
		}
		d.CustomerID = *body.CustomerId
	}
	for _, i := range body.Items {
		d.Items = append(d.Items, order.DraftItem{SKU: i.Sku, Quantity: i.Quantity})
	}
	if body.Note != nil {
		d.Note = *body.Note
	}
	if body.Total != nil {
		d.Total = &order.Money{Amount: body.Total.Amount, Currency: body.Total.Currency}
	}
	return d, nil
}

func addressOf(a Address) order.Address {
	return order.Address{Name: a.Name, Street: a.Street, City: a.City, PostalCode: a.PostalCode, Country: a.Country}
}

// fingerprint is what makes two requests the same one: the meaning of the body, not its spelling. Fields that are
// absent leave no trace, so that a field added to the API later does not make old requests new ones.
func fingerprint(body NewOrder) ([]byte, error) {
	canonical, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(canonical)
	return sum[:], nil
}
