package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
	"github.com/orderwire/orderwire/services/order-api/internal/store"
)

// ListProducts gives a page of the price list, by SKU.
func (a *API) ListProducts(c echo.Context, _ ListProductsParams) error {
	if err := web.QueryOnly(c, "limit", "after"); err != nil {
		return err
	}
	limit, err := web.Limit(c)
	if err != nil {
		return err
	}
	from, err := after(c)
	if err != nil {
		return err
	}
	ctx, cancel := bounded(c)
	defer cancel()
	page, more, err := a.products.Products(ctx, from, limit)
	if err != nil {
		return refuse(err)
	}
	list := ProductList{Items: make([]Product, 0, len(page))}
	for _, p := range page {
		list.Items = append(list.Items, show(p))
	}
	if more {
		cursor := next(page[len(page)-1].SKU)
		list.Next = &cursor
	}
	return c.JSON(http.StatusOK, list)
}

// GetProduct gives one entry of the price list.
func (a *API) GetProduct(c echo.Context, sku SKU) error {
	if err := web.QueryOnly(c); err != nil {
		return err
	}
	ctx, cancel := bounded(c)
	defer cancel()
	p, err := a.products.Product(ctx, sku)
	if err != nil {
		return refuse(err)
	}
	return c.JSON(http.StatusOK, show(p))
}

// PutProduct sets a name and a price; every group of orders reads the list anew, so it is in force once answered.
func (a *API) PutProduct(c echo.Context, sku SKU) error {
	if err := web.QueryOnly(c); err != nil {
		return err
	}
	var body NewProduct
	if err := web.DecodeJSON(c, &body); err != nil {
		return err
	}
	p := order.Product{SKU: sku, Name: body.Name, UnitPrice: order.Money(body.UnitPrice)}
	ctx, cancel := bounded(c)
	defer cancel()
	created, err := a.products.PutProduct(ctx, p)
	if err != nil {
		return refuse(err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return c.JSON(status, show(p))
}

// DeleteProduct takes an entry off the price list.
func (a *API) DeleteProduct(c echo.Context, sku SKU) error {
	if err := web.QueryOnly(c); err != nil {
		return err
	}
	if !order.ValidSKU(sku) {
		return refuse(store.ErrNoProduct)
	}
	ctx, cancel := bounded(c)
	defer cancel()
	if err := a.products.DeleteProduct(ctx, sku); err != nil {
		return refuse(err)
	}
	return c.NoContent(http.StatusNoContent)
}

func show(p order.Product) Product {
	return Product{Sku: p.SKU, Name: p.Name, UnitPrice: Money{Amount: p.UnitPrice.Amount, Currency: p.UnitPrice.Currency}}
}
