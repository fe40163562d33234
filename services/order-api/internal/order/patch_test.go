package order_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

func set(v string) order.Field[string] { return order.Field[string]{Present: true, Value: v} }

var null = order.Field[string]{Present: true, Null: true}

func address(p order.AddressPatch) order.Patch {
	return order.Patch{ShippingAddress: order.Field[order.AddressPatch]{Present: true, Value: p}}
}

func TestEdit_MergesAsRFC7396Says(t *testing.T) {
	for name, c := range map[string]struct {
		patch     order.Patch
		change    func(*order.Order)
		revision  int64
		addresses int64
	}{
		"nothing":                  {order.Patch{}, func(*order.Order) {}, 1, 0},
		"an empty address patch":   {address(order.AddressPatch{}), func(*order.Order) {}, 1, 0},
		"what it is already":       {address(order.AddressPatch{City: set("Köln")}), func(*order.Order) {}, 1, 0},
		"one member of an address": {address(order.AddressPatch{City: set("Bonn")}), func(o *order.Order) { o.ShippingAddress.City = "Bonn" }, 2, 1},
		"a note":                   {order.Patch{Note: set("ring twice")}, func(o *order.Order) { o.Note = "ring twice" }, 2, 0},
		"a note away":              {order.Patch{Note: null}, func(o *order.Order) { o.Note = "" }, 2, 0},
	} {
		o := placed(t)
		o.Note = "as placed"
		want := *o
		changed, err := o.Edit(c.patch)
		require.NoError(t, err, name)
		require.Equal(t, c.revision > 1, changed, name)
		c.change(&want)
		want.Revision, want.AddressRevision, want.Edits = c.revision, c.addresses, int(c.revision-1)
		require.Equal(t, want, *o, name)
	}
}

func TestEdit_RefusesWhatAnOrderCannotBe(t *testing.T) {
	for pointer, patch := range map[string]order.Patch{
		"/shippingAddress":            {ShippingAddress: order.Field[order.AddressPatch]{Present: true, Null: true}},
		"/shippingAddress/name":       address(order.AddressPatch{Name: null}),
		"/shippingAddress/street":     address(order.AddressPatch{Street: set("")}),
		"/shippingAddress/postalCode": address(order.AddressPatch{PostalCode: set(strings.Repeat("1", 201))}),
		"/shippingAddress/country":    address(order.AddressPatch{Country: set("de")}),
		"/note":                       {Note: set(strings.Repeat("x", 1001))},
	} {
		o := placed(t)
		before := *o
		_, err := o.Edit(patch)
		var invalid *order.InvalidError
		require.ErrorAs(t, err, &invalid, pointer)
		require.Equal(t, pointer, invalid.Fields[0].Pointer)
		require.Equal(t, before, *o, "a refused patch leaves no trace")
	}
}
