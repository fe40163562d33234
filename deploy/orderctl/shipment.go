package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

// shipment is what shipping says of an order; its id is the order's.
type shipment struct {
	ID                string    `json:"id"`
	CustomerID        string    `json:"customerId"`
	Status            string    `json:"status"`
	Carrier           string    `json:"carrier"`
	Service           string    `json:"service"`
	Cost              money     `json:"cost"`
	EstimatedDelivery time.Time `json:"estimatedDelivery"`
	TrackingNumber    string    `json:"trackingNumber"`
}

// shipmentCmd is what a carrier does.
type shipmentCmd struct {
	List     shipmentListCmd     `cmd:"" help:"Shipments, newest first."`
	Dispatch shipmentDispatchCmd `cmd:"" help:"The parcel has left (operator)."`
	Deliver  shipmentDeliverCmd  `cmd:"" help:"The parcel has arrived (operator)."`
	Fail     shipmentFailCmd     `cmd:"" help:"The parcel was refused or lost (operator)."`
}

type shipmentListCmd struct {
	remote
	Order  string `type:"given" help:"Of this order only."`
	Status string `type:"given" help:"With this status only."`
	Limit  int    `default:"20" help:"At most so many (0: all)."`
}

// Run prints shipments.
func (c *shipmentListCmd) Run(ctx context.Context, t *terminal) error {
	api, err := c.connect(ctx, false)
	if err != nil {
		return err
	}
	query := filters("order", c.Order, "status", c.Status)
	if c.JSON {
		all, err := client.List[json.RawMessage](ctx, api, "/v1/shipments", query, c.Limit)
		if err != nil {
			return err
		}
		return t.printJSON(all)
	}
	all, err := client.List[shipment](ctx, api, "/v1/shipments", query, c.Limit)
	if err != nil {
		return err
	}
	rows := [][]string{{"ORDER", "STATUS", "CARRIER", "SERVICE", "COST", "EXPECTED", "TRACKING"}}
	for _, s := range all {
		rows = append(rows, []string{s.ID, s.Status, s.Carrier, s.Service, s.Cost.String(), clock(s.EstimatedDelivery), s.TrackingNumber})
	}
	return t.table(rows)
}

// carrierStep posts one of a carrier's three messages and prints the shipment after it.
func (r *remote) carrierStep(ctx context.Context, t *terminal, order, step string, body any) error {
	api, err := r.connect(ctx, true)
	if err != nil {
		return err
	}
	var s shipment
	a, err := api.Call(ctx, http.MethodPost, "/v1/shipments/"+url.PathEscape(order)+"/"+step, nil, body, &s)
	if err != nil {
		return err
	}
	if r.JSON {
		return t.printJSON(json.RawMessage(a.Body))
	}
	fmt.Fprintf(t.out, "%s: %s\n", s.ID, s.Status)
	return nil
}

type shipmentDispatchCmd struct {
	remote
	Order    string `arg:"" type:"given" help:"Whose shipment."`
	Tracking string `help:"The carrier's tracking number."`
}

// Run tells that the parcel has left.
func (c *shipmentDispatchCmd) Run(ctx context.Context, t *terminal) error {
	body := map[string]any{}
	if c.Tracking != "" {
		body["trackingNumber"] = c.Tracking
	}
	return c.carrierStep(ctx, t, c.Order, "dispatch", body)
}

type shipmentDeliverCmd struct {
	remote
	Order string `arg:"" type:"given" help:"Whose shipment."`
}

// Run tells that the parcel has arrived.
func (c *shipmentDeliverCmd) Run(ctx context.Context, t *terminal) error {
	return c.carrierStep(ctx, t, c.Order, "deliver", map[string]any{})
}

type shipmentFailCmd struct {
	remote
	Order  string `arg:"" type:"given" help:"Whose shipment."`
	Reason string `enum:"refused,lost" default:"lost" help:"refused: it comes back to the stock; lost: it is written off."`
}

// Run tells that the parcel will not arrive.
func (c *shipmentFailCmd) Run(ctx context.Context, t *terminal) error {
	return c.carrierStep(ctx, t, c.Order, "fail", map[string]any{"reason": c.Reason})
}
