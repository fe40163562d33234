package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

// money is an amount in the currency's smallest unit.
type money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// product is one line of the price list.
type product struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	UnitPrice money  `json:"unitPrice"`
}

// productCmd is the price list.
type productCmd struct {
	List   productListCmd   `cmd:"" help:"The price list."`
	Set    productSetCmd    `cmd:"" help:"Add a product, or change its name and price (operator)."`
	Delete productDeleteCmd `cmd:"" help:"Take a product off the price list (operator)."`
}

type productListCmd struct{ remote }

// Run prints the price list.
func (c *productListCmd) Run(ctx context.Context, t *terminal) error {
	all, err := client.List[product](ctx, client.New(string(c.Gateway), c.Token), "/v1/products", nil, 0)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(all)
	}
	rows := [][]string{{"SKU", "NAME", "PRICE"}}
	for _, p := range all {
		rows = append(rows, []string{p.SKU, p.Name, p.UnitPrice.String()})
	}
	return t.table(rows)
}

type productSetCmd struct {
	remote
	SKU      string `arg:"" help:"What it is ordered by."`
	Name     string `arg:"" help:"What people call it."`
	Price    int64  `arg:"" help:"In the currency's smallest unit: 1250 is 12.50."`
	Currency string `default:"EUR" help:"ISO 4217."`
}

// Run sets the product and prints it.
func (c *productSetCmd) Run(ctx context.Context, t *terminal) error {
	api, err := c.connect(ctx, true)
	if err != nil {
		return err
	}
	var p product
	a, err := api.Call(ctx, http.MethodPut, "/v1/products/"+url.PathEscape(c.SKU), nil,
		map[string]any{"name": c.Name, "unitPrice": money{c.Price, c.Currency}}, &p)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(json.RawMessage(a.Body))
	}
	fmt.Fprintf(t.out, "%s: %s, %s\n", p.SKU, p.Name, p.UnitPrice)
	return nil
}

type productDeleteCmd struct {
	remote
	SKU string `arg:"" help:"Which one."`
}

// Run deletes the product.
func (c *productDeleteCmd) Run(ctx context.Context, t *terminal) error {
	api, err := c.connect(ctx, true)
	if err != nil {
		return err
	}
	if _, err := api.Call(ctx, http.MethodDelete, "/v1/products/"+url.PathEscape(c.SKU), nil, nil, nil); err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]string{"sku": c.SKU})
	}
	fmt.Fprintf(t.out, "%s is off the price list\n", c.SKU)
	return nil
}
