package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/load"
)

// loadCmd places orders as fast as asked for, and measures; see package load.
type loadCmd struct {
	remote
	Clients  int           `default:"16" help:"Closed loop: so many clients. Open loop: at most so many requests at once are in flight."`
	Rate     float64       `help:"Open loop: orders a second."`
	Orders   int           `default:"1000" help:"End after so many orders (0: no bound)."`
	Duration time.Duration `help:"End after this time (0: no bound)."`
	Items    int           `default:"1" help:"Items an order."`
	Wait     time.Duration `default:"30s" help:"How long to wait for the last events."`
	Patience time.Duration `default:"30s" help:"How long to ask again for an order without a clear answer."`
	OrderAPI baseURL       `name:"order-api" help:"Place orders here instead of through the gateway."`
	Notifier baseURL       `help:"Watch here instead of through the gateway."`
}

// Run places the orders and prints what was measured. Its exit code is 1 when an order was refused, unknown to the end
// or never seen.
func (c *loadCmd) Run(ctx context.Context, t *terminal) error {
	conf := load.Config{
		Clients: c.Clients, Rate: c.Rate, Orders: c.Orders, Duration: c.Duration, Items: c.Items, Wait: c.Wait, Patience: c.Patience,
		OrderAPI: string(c.OrderAPI), Notifier: string(c.Notifier), Say: t.say,
	}
	err := conf.Check()
	if errors.Is(err, load.ErrConfig) {
		t.say("orderctl: %v", err)
		return exitCode(exitUsage)
	}
	if conf.Operator, err = c.connect(ctx, true); err != nil {
		return err
	}
	result, err := load.Run(ctx, conf)
	if err != nil {
		return err
	}
	if err := c.print(t, result); err != nil {
		return err
	}
	if result.Unseen > 0 || len(result.Refused) > 0 || len(result.Unknown) > 0 {
		return exitCode(exitFailed)
	}
	return nil
}

func (c *loadCmd) print(t *terminal, result load.Result) error {
	if c.JSON {
		return json.NewEncoder(t.out).Encode(result)
	}
	fmt.Fprintf(t.out, "%d orders accepted in %.1f s: %.0f/s; %.0f/s through the whole chain\n\n",
		result.Accepted, result.Seconds, result.PerSecond, result.Through)
	rows := [][]string{{"FROM THE REQUEST TO", "COUNT", "P50", "P90", "P99", "MAX"}}
	for _, row := range []struct {
		name string
		p    load.Percentiles
	}{{"its answer", result.Answer}, {"order-created pushed", result.Created}, {"shipment-scheduled pushed", result.Scheduled}} {
		rows = append(rows, []string{
			row.name, fmt.Sprint(row.p.Count), milliseconds(row.p.P50), milliseconds(row.p.P90), milliseconds(row.p.P99), milliseconds(row.p.Max),
		})
	}
	if err := t.table(rows); err != nil {
		return err
	}
	for code, n := range result.Refused {
		fmt.Fprintf(t.out, "%d orders not accepted: %s\n", n, code)
	}
	for code, n := range result.Unknown {
		fmt.Fprintf(t.out, "%d orders that may be placed or not: to the end the answer was %s\n", n, code)
	}
	if result.Retries > 0 {
		fmt.Fprintf(t.out, "%d requests were made again, with the same Idempotency-Key\n", result.Retries)
	}
	if result.Unseen > 0 {
		fmt.Fprintf(t.out, "%d accepted orders were not seen scheduled within %s\n", result.Unseen, c.Wait)
	}
	return nil
}

func milliseconds(ms float64) string { return fmt.Sprintf("%.1f ms", ms) }
