package e2e

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// byCommand does with orderctl what a customer, an operator and a carrier do, and looks with it at what came of that.
func byCommand(t *testing.T, s *system) {
	ctl := cli{t, filepath.Join(binaries(t), "orderctl"), s.GatewayURL, "customer-" + uuid.NewString()}
	sku := s.product(t, 0)

	// An operator.
	require.Equal(t, sku+": 10 available\n", ctl.must("stock", "adjust", sku, "10"))
	require.Equal(t, stockRow{SKU: sku, Available: 10}, ctl.stock(sku))
	require.Equal(t, sku+": 7 available\n", ctl.must("stock", "adjust", sku, "--", "-3"))
	require.Equal(t, stockRow{SKU: sku, Available: 7}, ctl.stock(sku))
	code, out := ctl.run("stock", "adjust", sku, "--", "-8")
	require.Equal(t, 3, code, "there are not so many: %s", out)
	require.Equal(t, stockRow{SKU: sku, Available: 7}, ctl.stock(sku))

	// A customer.
	const old, street = "12 St James's Square", "2 Short Street"
	refused := ctl.place(sku + "=2")
	ctl.await(refused, `shipment +scheduled`)
	require.Regexp(t, `(?m)^to +.*`+old, ctl.must("order", "show", refused))
	require.Regexp(t, `(?m)^to +.*`+street, ctl.must("order", "change", refused, "--street", street))
	ctl.await(refused, `shipping +shipment-updated`)
	shown := ctl.must("order", "show", refused) // its history was read after the order itself
	require.Regexp(t, `(?m)^to +.*`+street, shown)
	require.NotContains(t, shown, "goes to", "the parcel's address is the order's")
	require.NotContains(t, shown, old)

	// A carrier.
	lost := ctl.place(sku + "=3")
	ctl.await(lost, `shipment +scheduled`)
	require.Equal(t, refused+": dispatched\n", ctl.must("shipment", "dispatch", refused, "--tracking", "TRACK-2"))
	require.Equal(t, lost+": dispatched\n", ctl.must("shipment", "dispatch", lost))
	require.Regexp(t, `(?m)^tracking +TRACK-2$`, ctl.await(refused, `status +shipped\n`))
	ctl.await(lost, `status +shipped\n`)
	ctl.awaitStock(stockRow{SKU: sku, Available: 2, Shipped: 5})
	code, out = ctl.run("order", "change", refused, "--street", "3 Late Lane")
	require.Equal(t, 3, code, "the parcel has left: %s", out)

	require.Equal(t, refused+": failed\n", ctl.must("shipment", "fail", refused, "--reason", "refused"))
	ctl.await(refused, `status +failed \(refused\)`)
	ctl.awaitStock(stockRow{SKU: sku, Available: 4, Shipped: 3})
	require.Equal(t, lost+": failed\n", ctl.must("shipment", "fail", lost))
	ctl.await(lost, `status +failed \(lost\)`)
	ctl.awaitStock(stockRow{SKU: sku, Available: 4, WrittenOff: 3})
	code, out = ctl.run("shipment", "deliver", lost)
	require.Equal(t, 3, code, "it is lost: %s", out)

	delivered := ctl.place(sku)
	ctl.await(delivered, `shipment +scheduled`)
	ctl.must("shipment", "dispatch", delivered)
	require.Equal(t, delivered+": delivered\n", ctl.must("shipment", "deliver", delivered))
	ctl.await(delivered, `status +delivered\n`)
	ctl.awaitStock(stockRow{SKU: sku, Available: 3, Shipped: 1, WrittenOff: 3})
}

// cli is somebody with orderctl, who gets tokens of the development login.
type cli struct {
	t                     *testing.T
	orderctl, gateway, as string
}

// run gives the exit code of a command, and all that it prints.
func (c cli) run(args ...string) (code int, out string) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), c.orderctl, slices.Insert(slices.Clone(args), 2, "--as", c.as)...)
	cmd.Env = []string{"ORDERWIRE_URL=" + c.gateway}
	raw, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(c.t, err, args)
	}
	return cmd.ProcessState.ExitCode(), string(raw)
}

// must gives what a command prints that has to end well.
func (c cli) must(args ...string) string {
	c.t.Helper()
	code, out := c.run(args...)
	require.Zero(c.t, code, "%v\n%s", args, out)
	return out
}

// place gives the id of an order of this.
func (c cli) place(items string) string {
	c.t.Helper()
	out := c.must("order", "place", items)
	found := regexp.MustCompile(`(?m)^order +(\S+)`).FindStringSubmatch(out)
	require.NotNil(c.t, found, out)
	return found[1]
}

// await gives what is shown of an order as soon as a line of it is like that.
func (c cli) await(id, line string) (shown string) {
	c.t.Helper()
	require.EventuallyWithT(c.t, func(ct *assertT) {
		shown = c.must("order", "show", id)
		assert.Regexp(ct, line, shown)
	}, patience, pollEvery)
	return shown
}

func (c cli) stock(sku string) stockRow {
	c.t.Helper()
	return rowOf(c.t, c.must("stock", "list", "--operator", "--json"), sku)
}

func (c cli) awaitStock(want stockRow) {
	c.t.Helper()
	require.EventuallyWithT(c.t, func(ct *assertT) { equal(ct, want, c.stock(want.SKU)) }, patience, pollEvery)
}

// rowOf finds a row in what `orderctl stock list --operator --json` prints.
func rowOf(t *testing.T, printed, sku string) stockRow {
	t.Helper()
	var all []stockRow
	require.NoError(t, json.Unmarshal([]byte(printed), &all), printed)
	n := slices.IndexFunc(all, func(s stockRow) bool { return s.SKU == sku })
	require.GreaterOrEqual(t, n, 0, sku)
	return all[n]
}
