package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

// stockLevel is what there is of a SKU; only operators see more than what is available.
type stockLevel struct {
	SKU        string `json:"sku"`
	Available  int64  `json:"available"`
	Reserved   *int64 `json:"reserved,omitempty"`
	Shipped    *int64 `json:"shipped,omitempty"`
	WrittenOff *int64 `json:"writtenOff,omitempty"`
}

// stockCmd is what there is.
type stockCmd struct {
	List   stockListCmd   `cmd:"" help:"What there is; with --operator what is reserved, shipped and written off, too."`
	Adjust stockAdjustCmd `cmd:"" help:"Add to the stock of a SKU, or take away from it (operator)."`
}

type stockListCmd struct{ remote }

// Run prints the stock.
func (c *stockListCmd) Run(ctx context.Context, t *terminal) error {
	api := client.New(string(c.Gateway), c.Token)
	if c.Operator {
		var err error
		if api, err = c.connect(ctx, true); err != nil {
			return err
		}
	}
	all, err := client.List[stockLevel](ctx, api, "/v1/stock", nil, 0)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(all)
	}
	return t.table(stockRows(all))
}

// stockRows leaves the columns out that only operators see, where they are not there.
func stockRows(all []stockLevel) [][]string {
	rows := [][]string{{"SKU", "AVAILABLE"}}
	isOperator := slices.ContainsFunc(all, func(s stockLevel) bool { return s.Reserved != nil })
	if isOperator {
		rows[0] = append(rows[0], "RESERVED", "SHIPPED", "WRITTEN OFF")
	}
	for _, s := range all {
		row := []string{s.SKU, strconv.FormatInt(s.Available, 10)}
		if isOperator {
			row = append(row, count(s.Reserved), count(s.Shipped), count(s.WrittenOff))
		}
		rows = append(rows, row)
	}
	return rows
}

// count shows a number that may be missing.
func count(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

type stockAdjustCmd struct {
	remote
	SKU      string `arg:"" help:"Which one; the first adjustment creates its row."`
	Quantity int64  `arg:"" help:"How many come in; below zero: go out (write it after --)."`
	Reason   string `default:"orderctl" help:"Why."`
	Key      string `type:"given" help:"Idempotency-Key: with the same key it is done once."`
}

// Run makes the adjustment and prints the stock after it.
func (c *stockAdjustCmd) Run(ctx context.Context, t *terminal) error {
	api, err := c.connect(ctx, true)
	if err != nil {
		return err
	}
	var s stockLevel
	a, err := api.Call(ctx, http.MethodPost, "/v1/stock/"+url.PathEscape(c.SKU)+"/adjustments", idempotent(c.Key),
		map[string]any{"quantity": c.Quantity, "reason": c.Reason}, &s)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(json.RawMessage(a.Body))
	}
	fmt.Fprintf(t.out, "%s: %d available\n", s.SKU, s.Available)
	return nil
}

// idempotent makes the header of a key; without one, none.
func idempotent(key string) http.Header {
	if key == "" {
		return nil
	}
	return http.Header{"Idempotency-Key": {key}}
}
