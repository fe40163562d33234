package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

// order is what order-api says of an order.
type order struct {
	ID         string      `json:"id"`
	CustomerID string      `json:"customerId"`
	Status     string      `json:"status"`
	Version    int64       `json:"version"`
	Items      []orderItem `json:"items"`
	Total      money       `json:"total"`
	Address    address     `json:"shippingAddress"`
	Note       string      `json:"note"`
	Shipment   *struct {
		Status            string    `json:"status"`
		Carrier           string    `json:"carrier"`
		Service           string    `json:"service"`
		EstimatedDelivery time.Time `json:"estimatedDelivery"`
		TrackingNumber    string    `json:"trackingNumber"`
		Address           address   `json:"address"`
	} `json:"shipment"`
	Rejection *struct {
		Items []struct {
			SKU       string `json:"sku"`
			Wanted    int64  `json:"wanted"`
			Available int64  `json:"available"`
		} `json:"items"`
	} `json:"rejection"`
	Cancellation *struct {
		Outcome string `json:"outcome"`
	} `json:"cancellation"`
	AddressChange *struct {
		Outcome string `json:"outcome"`
	} `json:"addressChange"`
	Failure *struct {
		Reason string `json:"reason"`
	} `json:"failure"`
	CreatedAt time.Time `json:"createdAt"`
}

type orderItem struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int64  `json:"quantity"`
	LineTotal money  `json:"lineTotal"`
}

type address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postalCode"`
	Country    string `json:"country"`
}

func (a address) String() string {
	return fmt.Sprintf("%s, %s, %s %s, %s", a.Name, a.Street, a.PostalCode, a.City, a.Country)
}

// final tells that nothing more will happen to an order.
func final(status string) bool {
	return slices.Contains([]string{"delivered", "rejected", "cancelled", "failed"}, status)
}

// orderCmd is what a customer does.
type orderCmd struct {
	Place  orderPlaceCmd  `cmd:"" help:"Place an order."`
	Show   orderShowCmd   `cmd:"" help:"One order and its history."`
	List   orderListCmd   `cmd:"" help:"Orders, newest first."`
	Change orderChangeCmd `cmd:"" help:"Change the address or the note."`
	Cancel orderCancelCmd `cmd:"" help:"Cancel an order."`
	Watch  orderWatchCmd  `cmd:"" help:"Watch events as they happen; of one order until it has ended."`
}

type orderPlaceCmd struct {
	remote
	Items      []string `arg:"" placeholder:"SKU=QUANTITY" help:"What to order: mug-blue=2; mug-blue alone is one."`
	Name       string   `default:"Ada Lovelace" help:"Who gets it."`
	Street     string   `default:"12 St James's Square" help:"Of the address."`
	City       string   `default:"London" help:"Of the address."`
	PostalCode string   `default:"SW1Y 4JH" help:"Of the address."`
	Country    string   `default:"GB" help:"ISO 3166-1 alpha-2."`
	Note       string   `help:"A note with it."`
	Key        string   `type:"given" help:"Idempotency-Key: with the same key it is placed once."`
}

// Run places the order and prints it.
func (c *orderPlaceCmd) Run(ctx context.Context, t *terminal) error {
	type item struct {
		SKU      string `json:"sku"`
		Quantity int64  `json:"quantity"`
	}
	body := map[string]any{"shippingAddress": address{c.Name, c.Street, c.City, c.PostalCode, c.Country}}
	var items []item
	for _, s := range c.Items {
		sku, number, given := strings.Cut(s, "=")
		n := int64(1)
		if given {
			var err error
			if n, err = strconv.ParseInt(number, 10, 64); err != nil {
				t.say("orderctl: %q is no SKU=QUANTITY", s)
				return exitCode(exitUsage)
			}
		}
		items = append(items, item{sku, n})
	}
	body["items"] = items
	if c.Note != "" {
		body["note"] = c.Note
	}
	api, err := c.connect(ctx, false)
	if err != nil {
		return err
	}
	return c.orderAnswer(t)(api.Call(ctx, http.MethodPost, "/v1/orders", idempotent(c.Key), body, nil))
}

// orderAnswer prints an answer that is an order.
func (r *remote) orderAnswer(t *terminal) func(*client.Answer, error) error {
	return func(a *client.Answer, err error) error {
		if err != nil {
			return err
		}
		if r.JSON {
			return t.printJSON(json.RawMessage(a.Body))
		}
		var o order
		if err := json.Unmarshal(a.Body, &o); err != nil {
			return fmt.Errorf("the answer is no order: %w", err)
		}
		return t.printOrder(o)
	}
}

func (t *terminal) printOrder(o order) error {
	rows := [][]string{
		{"order", o.ID},
		{"status", o.Status + explain(o)},
		{"customer", o.CustomerID},
		{"placed", clock(o.CreatedAt)},
		{"to", o.Address.String()},
	}
	if o.Note != "" {
		rows = append(rows, []string{"note", o.Note})
	}
	for _, i := range o.Items {
		rows = append(rows, []string{"item", fmt.Sprintf("%d × %s (%s)  %s", i.Quantity, i.Name, i.SKU, i.LineTotal)})
	}
	rows = append(rows, []string{"total", o.Total.String()})
	if s := o.Shipment; s != nil {
		rows = append(rows, []string{"shipment", fmt.Sprintf("%s, %s %s, expected %s", s.Status, s.Carrier, s.Service, clock(s.EstimatedDelivery))})
		if s.TrackingNumber != "" {
			rows = append(rows, []string{"tracking", s.TrackingNumber})
		}
		if s.Address != o.Address {
			rows = append(rows, []string{"goes to", s.Address.String()})
		}
	}
	return t.table(rows)
}

// explain says in brackets what a status alone does not.
func explain(o order) string {
	var why []string
	if o.Rejection != nil {
		for _, i := range o.Rejection.Items {
			why = append(why, fmt.Sprintf("%s: %d wanted, %d there", i.SKU, i.Wanted, i.Available))
		}
	}
	if o.Failure != nil {
		why = append(why, o.Failure.Reason)
	}
	if o.Cancellation != nil && o.Cancellation.Outcome == "refused" {
		why = append(why, "cancellation came too late")
	}
	if o.AddressChange != nil && o.AddressChange.Outcome == "refused" {
		why = append(why, "new address came too late")
	}
	if len(why) == 0 {
		return ""
	}
	return " (" + strings.Join(why, "; ") + ")"
}

type orderShowCmd struct {
	remote
	ID string `arg:"" type:"given" help:"Which one."`
}

// Run prints the order and what has happened to it.
func (c *orderShowCmd) Run(ctx context.Context, t *terminal) error {
	api, err := c.connect(ctx, false)
	if err != nil {
		return err
	}
	path := "/v1/orders/" + url.PathEscape(c.ID)
	if c.JSON {
		return c.whole(ctx, t, api, path)
	}
	if err := c.orderAnswer(t)(api.Call(ctx, http.MethodGet, path, nil, nil, nil)); err != nil {
		return err
	}
	var history struct {
		Items []struct {
			Time    time.Time `json:"time"`
			Source  string    `json:"source"`
			Type    string    `json:"type"`
			Version int64     `json:"version"`
		} `json:"items"`
	}
	if _, err := api.Call(ctx, http.MethodGet, path+"/history", nil, nil, &history); err != nil {
		return err
	}
	rows := [][]string{{"\nTIME", "SOURCE", "EVENT", "VERSION"}}
	for _, h := range history.Items {
		rows = append(rows, []string{clock(h.Time), h.Source, h.Type, strconv.FormatInt(h.Version, 10)})
	}
	return t.table(rows)
}

// whole prints the order as it is answered, with its history in a field of its own.
func (c *orderShowCmd) whole(ctx context.Context, t *terminal, api *client.Client, path string) error {
	var o map[string]json.RawMessage
	var history struct {
		Items json.RawMessage `json:"items"`
	}
	if _, err := api.Call(ctx, http.MethodGet, path, nil, nil, &o); err != nil {
		return err
	}
	if _, err := api.Call(ctx, http.MethodGet, path+"/history", nil, nil, &history); err != nil {
		return err
	}
	o["history"] = history.Items
	return t.printJSON(o)
}

type orderListCmd struct {
	remote
	Status   string `type:"given" help:"With this status only."`
	Customer string `type:"given" help:"Of this customer only (operator)."`
	Limit    int    `default:"20" help:"At most so many (0: all)."`
}

// Run prints orders.
func (c *orderListCmd) Run(ctx context.Context, t *terminal) error {
	api, err := c.connect(ctx, c.Customer != "")
	if err != nil {
		return err
	}
	query := filters("status", c.Status, "customer", c.Customer)
	if c.JSON {
		all, err := client.List[json.RawMessage](ctx, api, "/v1/orders", query, c.Limit)
		if err != nil {
			return err
		}
		return t.printJSON(all)
	}
	all, err := client.List[order](ctx, api, "/v1/orders", query, c.Limit)
	if err != nil {
		return err
	}
	rows := [][]string{{"ORDER", "PLACED", "CUSTOMER", "STATUS", "TOTAL", "ITEMS"}}
	for _, o := range all {
		var items []string
		for _, i := range o.Items {
			items = append(items, fmt.Sprintf("%d×%s", i.Quantity, i.SKU))
		}
		rows = append(rows, []string{o.ID, clock(o.CreatedAt), o.CustomerID, o.Status, o.Total.String(), strings.Join(items, " ")})
	}
	return t.table(rows)
}

type orderChangeCmd struct {
	remote
	ID         string  `arg:"" type:"given" help:"Which one."`
	Name       *string `help:"Who gets it."`
	Street     *string `help:"Street."`
	City       *string `help:"City."`
	PostalCode *string `help:"Postal code."`
	Country    *string `help:"ISO 3166-1 alpha-2."`
	Note       *string `help:"The note; empty removes it."`
	IfMatch    string  `help:"Only if it is still as this ETag says (default: as it is when the command starts)."`
}

// Run changes the order and prints it.
func (c *orderChangeCmd) Run(ctx context.Context, t *terminal) error {
	to := map[string]string{}
	for field, value := range map[string]*string{"name": c.Name, "street": c.Street, "city": c.City, "postalCode": c.PostalCode, "country": c.Country} {
		if value != nil {
			to[field] = *value
		}
	}
	patch := map[string]any{}
	if len(to) > 0 {
		patch["shippingAddress"] = to
	}
	if c.Note != nil {
		patch["note"] = *c.Note
	}
	if len(patch) == 0 {
		t.say("orderctl: nothing to change: give --street, --note, …")
		return exitCode(exitUsage)
	}
	api, err := c.connect(ctx, false)
	if err != nil {
		return err
	}
	path := "/v1/orders/" + url.PathEscape(c.ID)
	if c.IfMatch == "" {
		now, err := api.Call(ctx, http.MethodGet, path, nil, nil, nil)
		if err != nil {
			return err
		}
		c.IfMatch = now.Header.Get("ETag")
	}
	header := http.Header{"If-Match": {c.IfMatch}, "Content-Type": {"application/merge-patch+json"}}
	return c.orderAnswer(t)(api.Call(ctx, http.MethodPatch, path, header, patch, nil))
}

type orderCancelCmd struct {
	remote
	ID string `arg:"" type:"given" help:"Which one."`
}

// Run asks for the cancellation; whether it comes in time, the order says later (order watch).
func (c *orderCancelCmd) Run(ctx context.Context, t *terminal) error {
	api, err := c.connect(ctx, false)
	if err != nil {
		return err
	}
	return c.orderAnswer(t)(api.Call(ctx, http.MethodPost, "/v1/orders/"+url.PathEscape(c.ID)+"/cancel", nil, nil, nil))
}
