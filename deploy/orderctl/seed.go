package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/orderwire/orderwire/deploy/internal/client"
	"github.com/orderwire/orderwire/deploy/stack"
)

// demo is what the demo shop sells.
var demo = []struct {
	sku, name string
	cents     int64
	stock     int64
}{
	{"mug-blue", "Blue mug", 1250, 100},
	{"mug-red", "Red mug", 1250, 100},
	{"tea-earl-grey", "Earl Grey, 100 g", 890, 250},
	{"coffee-espresso", "Espresso beans, 500 g", 1490, 150},
	{"teapot-glass", "Glass teapot", 3990, 20},
	{"kettle-steel", "Steel kettle", 4950, 8},
	{"poster-harbour", "Harbour poster, the last one", 2400, 1},
}

// seedCmd is for a running Orderwire, for instance the one-shot container of the compose file.
type seedCmd struct {
	remote
}

// Run puts in demo products and stock.
func (s *seedCmd) Run(ctx context.Context, t *terminal) error {
	api, err := s.connect(ctx, true)
	if err != nil {
		return err
	}
	added, err := seed(ctx, api)
	if err != nil {
		return err
	}
	if s.JSON {
		return t.printJSON(map[string]int{"added": added})
	}
	fmt.Fprintf(t.out, "%d of %d demo products were new\n", added, len(demo))
	return nil
}

// seed puts in the products that are missing, and the stock of all. It may be done again: a price that was changed
// stays, and the stock's Idempotency-Key makes a second time nothing.
func seed(ctx context.Context, api *client.Client) (added int, err error) {
	have := map[string]bool{}
	products, err := client.List[product](ctx, api, "/v1/products", nil, 0)
	if err != nil {
		return 0, err
	}
	for _, p := range products {
		have[p.SKU] = true
	}
	for _, d := range demo {
		if !have[d.sku] {
			body := map[string]any{"name": d.name, "unitPrice": money{d.cents, "EUR"}}
			if _, err := api.Call(ctx, http.MethodPut, "/v1/products/"+d.sku, nil, body, nil); err != nil {
				return added, fmt.Errorf("product %s: %w", d.sku, err)
			}
			added++
		}
		header := http.Header{"Idempotency-Key": {"demo-seed"}}
		body := map[string]any{"quantity": d.stock, "reason": "demo"}
		if _, err := api.Call(ctx, http.MethodPost, "/v1/stock/"+d.sku+"/adjustments", header, body, nil); err != nil {
			return added, fmt.Errorf("stock of %s: %w", d.sku, err)
		}
	}
	return added, nil
}

// seedOnce seeds a stack whose data directory does not say that its database has been seeded, so that products which
// were deleted stay deleted.
func seedOnce(ctx context.Context, t *terminal, s *stack.Stack, api *client.Client) error {
	mark := sha256.Sum256([]byte(s.Database.URI))
	file := filepath.Join(s.Dir, "seeded-"+hex.EncodeToString(mark[:6]))
	if s.Database.Kind != "external" { // then the data is beside the mark, whatever the port
		file = filepath.Join(s.Dir, "seeded-"+s.Database.Kind)
	}
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	t.say("putting in demo products and stock")
	if _, err := seed(ctx, api); err != nil {
		return err
	}
	return os.WriteFile(file, nil, 0o644)
}
