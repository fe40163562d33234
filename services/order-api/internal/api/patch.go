package api

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// mergePatch is the body of a PATCH. The generated OrderPatch cannot tell an absent member from null, and in a merge
// patch (RFC 7396) that is the difference between "leave it" and "remove it".
type mergePatch struct {
	ShippingAddress field[addressPatch] `json:"shippingAddress"`
	Note            field[string]       `json:"note"`
}

// UnmarshalJSONFrom takes objects only: any other patch, null included, would replace the order as a whole.
func (p *mergePatch) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == 'n' {
		return errors.New("a patch of an order is an object")
	}
	type members mergePatch
	return json.UnmarshalDecode(d, (*members)(p))
}

type addressPatch struct {
	Name       field[string] `json:"name"`
	Street     field[string] `json:"street"`
	City       field[string] `json:"city"`
	PostalCode field[string] `json:"postalCode"`
	Country    field[string] `json:"country"`
}

// field is a member of a merge patch. It is decoded by the decoder it stands in, and so as strictly.
type field[T any] order.Field[T]

// UnmarshalJSONFrom is called for a member that is present, null included.
func (f *field[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	f.Present = true
	if d.PeekKind() == 'n' {
		f.Null = true
		return d.SkipValue()
	}
	return json.UnmarshalDecode(d, &f.Value)
}

func (p mergePatch) patch() order.Patch {
	a := p.ShippingAddress
	return order.Patch{
		Note: order.Field[string](p.Note),
		ShippingAddress: order.Field[order.AddressPatch]{
			Present: a.Present, Null: a.Null,
			Value: order.AddressPatch{
				Name: order.Field[string](a.Value.Name), Street: order.Field[string](a.Value.Street),
				City: order.Field[string](a.Value.City), PostalCode: order.Field[string](a.Value.PostalCode),
				Country: order.Field[string](a.Value.Country),
			},
		},
	}
}
