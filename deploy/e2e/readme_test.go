package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The simulated carrier of the README's test, later than a test takes to do something before it.
const (
	dispatchAfter = 8 * time.Second
	deliverAfter  = 2 * time.Second
)

// TestReadme_ItsCommandsDoWhatItSays runs the commands of the section "Try" as they stand there, behind a make run; only
// addresses and the order's id are put in. What the other commands for an order do is tried on the way.
func TestReadme_ItsCommandsDoWhatItSays(t *testing.T) {
	shell, overHTTP := readmeTry(t)
	require.Equal(t, []string{
		"bin/orderctl product list", "bin/orderctl order place", "bin/orderctl order watch", "bin/orderctl order place", "bin/orderctl order cancel",
		"bin/orderctl load", "bin/orderctl explain", "bin/orderctl audit",
	}, verbs(shell),
		"the README has other commands to try than this test knows: write what they promise")
	products, placeTwo, watch, placeOne, cancel, load, explain, audit := shell[0], shell[1], shell[2], shell[3], shell[4], shell[5], shell[6], shell[7]
	require.Len(t, overHTTP, 3, "%q", overHTTP)

	r := newMakeRun(t, "CARRIER_DISPATCH_AFTER="+dispatchAfter.String(), "CARRIER_DELIVER_AFTER="+deliverAfter.String())
	r.start()
	defer r.interrupt()
	require.Contains(t, r.must("bin/orderctl seed"), "0 of 7 demo products were new")
	require.Equal(t, stockRow{SKU: "mug-blue", Available: 100}, r.stock("mug-blue"))

	for _, ordered := range []string{placeTwo, placeOne} {
		sku := regexp.MustCompile(`(\S+)=\d`).FindStringSubmatch(ordered)
		require.NotNil(t, sku, ordered)
		require.Regexp(t, `(?m)^`+sku[1]+` `, r.must(products))
	}

	t.Log("watch, place, cancel")
	watching := r.stream("exec " + watch)
	watching.until("watching")
	cancelled := r.place(placeTwo)
	watching.until(cancelled, "order-created", "pending")
	watching.until(cancelled, "order-updated", "confirmed")
	require.Equal(t, stockRow{SKU: "mug-blue", Available: 98, Reserved: 2}, r.stock("mug-blue"))
	r.must(of(cancel, cancelled))
	watching.until(cancelled, "order-updated", "cancelled")
	require.EventuallyWithT(t, func(c *assertT) {
		equal(c, stockRow{SKU: "mug-blue", Available: 100}, r.stock("mug-blue"))
	}, patience, pollEvery, "the stock comes back")

	t.Log("the carrier comes by itself")
	shipped := r.place(placeOne)
	one := r.stream("exec bin/orderctl order watch " + shipped)
	require.Zero(t, one.end(), "it ends with the order")
	steps := strings.Join(one.seen, "\n")
	require.Regexp(t, `(?s)order-created.*stock-reserved`, steps)
	require.Regexp(t, `(?s)confirmed.*shipped.*delivered`, steps)
	require.Contains(t, steps, "shipment-delivered")
	watching.until(shipped, "delivered")
	code, out := r.run(of(cancel, shipped))
	require.Equal(t, 3, code, "too late")
	require.Contains(t, out, "delivered", "it says why")
	scheduled, dispatched, delivered := r.times(shipped)
	require.GreaterOrEqual(t, dispatched.Sub(scheduled), dispatchAfter)
	require.GreaterOrEqual(t, delivered.Sub(dispatched), deliverAfter)

	t.Log("the same over HTTP")
	token, post, events := overHTTP[0], overHTTP[1], overHTTP[2]
	reading := r.stream(token + "\nexec " + events)
	reading.until("data:", "notifier.subscribed")
	var o order
	require.NoError(t, json.Unmarshal([]byte(r.must(token+"\n"+post)), &o))
	require.Equal(t, "pending", o.Status)
	require.Equal(t, "demo", o.CustomerID)
	reading.until("data:", "order-created", o.ID)
	require.Equal(t, -1, reading.interrupt(), "curl ends at the signal")
	watching.until(o.ID, "order-updated", "confirmed")

	t.Log("what a carrier, a customer and an operator do besides")
	require.Regexp(t, o.ID+` +scheduled`, r.must("bin/orderctl shipment list"))
	require.Equal(t, o.ID+": dispatched\n", r.must("bin/orderctl shipment dispatch "+o.ID))
	require.Equal(t, o.ID+": delivered\n", r.must("bin/orderctl shipment deliver "+o.ID))
	watching.until(o.ID, "delivered")
	require.Regexp(t, o.ID+`.*1×mug-blue`, r.must("bin/orderctl order list"))
	require.NotContains(t, r.must("bin/orderctl order list --as somebody"), o.ID)
	require.Regexp(t, `(?s)1 × Blue mug.*order-created`, r.must("bin/orderctl order show "+o.ID))
	require.Contains(t, r.must(`bin/orderctl product set tea-mint "Mint tea" 790`), "7.90 EUR")
	require.Regexp(t, `tea-mint +Mint tea +7\.90 EUR`, r.must("bin/orderctl product list"))
	require.Contains(t, r.must("bin/orderctl product delete tea-mint"), "off the price list")
	require.NotContains(t, r.must("bin/orderctl product list"), "tea-mint")
	require.Zero(t, watching.interrupt())

	t.Log("load, explain, audit")
	require.Contains(t, r.must(load), "100 orders accepted")
	require.Contains(t, r.must(of(explain, shipped)), "delivered")
	require.Eventually(t, func() bool {
		code, out = r.run(audit)
		return code == 0
	}, patience, time.Second, "once nothing moves: %s", out)
	require.Contains(t, out, "103 orders")
}

// readmeTry gives the commands of the two blocks of the README's section "Try".
func readmeTry(t *testing.T) (shell, overHTTP []string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(raw), "\n## Try\n")
	require.True(t, found, "README.md has no section Try")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?s)\n```\n(.*?)```\n").FindAllStringSubmatch(section, -1)
	require.Len(t, blocks, 2, "blocks of commands in the section Try")
	return commands(blocks[0][1]), commands(blocks[1][1])
}

// readmeCarrier gives the times that the README tells of the simulated carrier.
func readmeCarrier(t *testing.T) (dispatchAfter, deliverAfter string) {
	t.Helper()
	shell, _ := readmeTry(t)
	found := regexp.MustCompile(`shipped after (\d+) s, delivered (\d+) s later`).FindStringSubmatch(strings.Join(shell, "\n"))
	require.NotNil(t, found, "README.md says nothing of the simulated carrier")
	return found[1] + "s", found[2] + "s"
}

// commands splits a block. A line whose single quotes are open goes on in the next one.
func commands(block string) []string {
	var all []string
	open := ""
	for line := range strings.Lines(block) {
		open += line
		code, _, _ := strings.Cut(open, " # ")
		if strings.Count(code, "'")%2 == 0 {
			all = append(all, strings.TrimSuffix(open, "\n"))
			open = ""
		}
	}
	return all
}

// verbs gives the command of each line, without what it is given.
func verbs(lines []string) []string {
	var all []string
	for _, line := range lines {
		all = append(all, regexp.MustCompile(`^bin/orderctl ((?:(?:order|product|stock|shipment|dlq) )?[a-z]+)`).FindString(line))
	}
	return all
}

// of puts in the order's id.
func of(line, id string) string { return strings.Replace(line, "ORDER", id, 1) }

// stock reads a row as an operator.
func (r *makeRun) stock(sku string) stockRow {
	r.t.Helper()
	return rowOf(r.t, r.must("bin/orderctl stock list --operator --json"), sku)
}

// times says when the parcel of an order was scheduled, dispatched and delivered.
func (r *makeRun) times(id string) (scheduled, dispatched, delivered time.Time) {
	r.t.Helper()
	var shown struct {
		History []struct {
			Type string
			Time time.Time
		}
	}
	require.NoError(r.t, json.Unmarshal([]byte(r.must("bin/orderctl order show --json "+id)), &shown))
	at := map[string]time.Time{}
	for _, h := range shown.History {
		at[h.Type] = h.Time
	}
	for _, typ := range []string{"shipment-scheduled", "shipment-dispatched", "shipment-delivered"} {
		require.Contains(r.t, at, typ)
	}
	return at["shipment-scheduled"], at["shipment-dispatched"], at["shipment-delivered"]
}
