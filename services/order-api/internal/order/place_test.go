package order_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

var prices = map[string]order.Product{
	"mug-blue": {SKU: "mug-blue", Name: "Blue mug", UnitPrice: order.Money{Amount: 1250, Currency: "EUR"}},
	"mug-red":  {SKU: "mug-red", Name: "Red mug", UnitPrice: order.Money{Amount: 1300, Currency: "EUR"}},
	"hat":      {SKU: "hat", Name: "Hat", UnitPrice: order.Money{Amount: 2000, Currency: "USD"}},
	"dear":     {SKU: "dear", Name: "Dear", UnitPrice: order.Money{Amount: order.MaxPrice, Currency: "EUR"}},
}

func draft(change ...func(*order.Draft)) order.Draft {
	d := order.Draft{
		CustomerID: "alice", Items: []order.DraftItem{{"mug-blue", 2}},
		ShippingAddress: order.Address{Name: "Alice", Street: "Ring 1", City: "Köln", PostalCode: "50667", Country: "DE"},
	}
	for _, f := range change {
		f(&d)
	}
	return d
}

func placed(t *testing.T) *order.Order {
	t.Helper()
	o, err := order.Place("o-1", draft(), prices, time.Now())
	require.NoError(t, err)
	o.Version = 1
	return o
}

func TestPlace_PricesComeFromTheList(t *testing.T) {
	o, err := order.Place("o-1", draft(func(d *order.Draft) {
		d.Items = append(d.Items, order.DraftItem{"mug-red", 3})
		d.Total = &order.Money{Amount: 2*1250 + 3*1300, Currency: "EUR"}
	}), prices, time.Now())
	require.NoError(t, err)
	require.Equal(t, order.Money{Amount: 6400, Currency: "EUR"}, o.Total)
	require.Equal(t, []order.Item{
		{SKU: "mug-blue", Name: "Blue mug", Quantity: 2, UnitPrice: order.Money{Amount: 1250, Currency: "EUR"}},
		{SKU: "mug-red", Name: "Red mug", Quantity: 3, UnitPrice: order.Money{Amount: 1300, Currency: "EUR"}},
	}, o.Items)
	require.Equal(t, order.Money{Amount: 3900, Currency: "EUR"}, o.Items[1].LineTotal())
	require.EqualValues(t, 1, o.Revision)
}

func TestPlace_TheDearestOrderFitsAJavaScriptNumber(t *testing.T) {
	const largest = int64(order.MaxPrice) * order.MaxQuantity * order.MaxItems
	require.LessOrEqual(t, largest, int64(1)<<53)
}

func TestPlace_PointsAtWhatIsWrong(t *testing.T) {
	type problem struct{ pointer, code string }
	for name, c := range map[string]struct {
		change func(*order.Draft)
		want   []problem
	}{
		"no items":     {func(d *order.Draft) { d.Items = nil }, []problem{{"/items", "items"}}},
		"101 items":    {func(d *order.Draft) { d.Items = make([]order.DraftItem, 101) }, []problem{{"/items", "items"}}},
		"unknown SKU":  {func(d *order.Draft) { d.Items[0].SKU = "teapot" }, []problem{{"/items/0/sku", "unknown_sku"}}},
		"malformed":    {func(d *order.Draft) { d.Items[0].SKU = "Mug" }, []problem{{"/items/0/sku", "sku"}}},
		"an operator":  {func(d *order.Draft) { d.Items[0].SKU = `{"$gt":""}` }, []problem{{"/items/0/sku", "sku"}}},
		"twice":        {func(d *order.Draft) { d.Items = append(d.Items, d.Items[0]) }, []problem{{"/items/1/sku", "duplicate_sku"}}},
		"quantity 0":   {func(d *order.Draft) { d.Items[0].Quantity = 0 }, []problem{{"/items/0/quantity", "quantity"}}},
		"quantity -1":  {func(d *order.Draft) { d.Items[0].Quantity = -1 }, []problem{{"/items/0/quantity", "quantity"}}},
		"1001 of them": {func(d *order.Draft) { d.Items[0].Quantity = 1001 }, []problem{{"/items/0/quantity", "quantity"}}},
		"two currencies": {
			func(d *order.Draft) { d.Items = append(d.Items, order.DraftItem{"hat", 1}) },
			[]problem{{"/items/1/sku", "currency"}},
		},
		"another total":    {func(d *order.Draft) { d.Total = &order.Money{Amount: 2499, Currency: "EUR"} }, []problem{{"/total", "total_mismatch"}}},
		"another currency": {func(d *order.Draft) { d.Total = &order.Money{Amount: 2500, Currency: "USD"} }, []problem{{"/total", "total_mismatch"}}},
		"long note":        {func(d *order.Draft) { d.Note = strings.Repeat("ü", 1001) }, []problem{{"/note", "too_long"}}},
		"no address": {func(d *order.Draft) { d.ShippingAddress = order.Address{} }, []problem{
			{"/shippingAddress/name", "required"},
			{"/shippingAddress/street", "required"},
			{"/shippingAddress/city", "required"},
			{"/shippingAddress/postalCode", "required"},
			{"/shippingAddress/country", "required"},
		}},
		"no country":    {func(d *order.Draft) { d.ShippingAddress.Country = "XX" }, []problem{{"/shippingAddress/country", "country"}}},
		"two lines":     {func(d *order.Draft) { d.ShippingAddress.Street = "a\r\nb" }, []problem{{"/shippingAddress/street", "control_character"}}},
		"endless line":  {func(d *order.Draft) { d.ShippingAddress.City = strings.Repeat("x", 201) }, []problem{{"/shippingAddress/city", "too_long"}}},
		"long customer": {func(d *order.Draft) { d.CustomerID = strings.Repeat("x", 201) }, []problem{{"/customerId", "customer"}}},
	} {
		_, err := order.Place("o-1", draft(c.change), prices, time.Now())
		var invalid *order.InvalidError
		require.ErrorAs(t, err, &invalid, name)
		var got []problem
		for _, f := range invalid.Fields {
			got = append(got, problem{f.Pointer, f.Code})
		}
		require.Equal(t, c.want, got, name)
	}
}

func TestPlace_TakesTheLimitsThemselves(t *testing.T) {
	d := draft(func(d *order.Draft) {
		d.Items[0].Quantity = 1000
		d.Note = strings.Repeat("ü", 1000)
	})
	_, err := order.Place("o-1", d, prices, time.Now())
	require.NoError(t, err)
}

func TestProduct_IsChecked(t *testing.T) {
	good := prices["mug-blue"]
	require.NoError(t, good.Check())
	for name, change := range map[string]func(*order.Product){
		"SKU":      func(p *order.Product) { p.SKU = "-mug" },
		"name":     func(p *order.Product) { p.Name = " " },
		"price":    func(p *order.Product) { p.UnitPrice.Amount = -1 },
		"dear":     func(p *order.Product) { p.UnitPrice.Amount = order.MaxPrice + 1 },
		"currency": func(p *order.Product) { p.UnitPrice.Currency = "eur" },
	} {
		p := good
		change(&p)
		require.Error(t, p.Check(), name)
	}
}
