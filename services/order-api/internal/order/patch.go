package order

// Field is a member of a merge patch (RFC 7396): absent, null, or a value.
type Field[T any] struct {
	Present bool
	Null    bool
	Value   T
}

// Patch is a merge patch of what a customer may change.
type Patch struct {
	ShippingAddress Field[AddressPatch]
	Note            Field[string]
}

// AddressPatch is a merge patch of an address.
type AddressPatch struct {
	Name, Street, City, PostalCode, Country Field[string]
}

// Check finds what is wrong with the patch whatever it is applied to.
func (p Patch) Check() error {
	var v problems
	if p.Note.Present && !p.Note.Null {
		v.note(p.Note.Value)
	}
	if !p.ShippingAddress.Present {
		return v.err()
	}
	if p.ShippingAddress.Null {
		v.add("/shippingAddress", "required", "an order needs an address")
		return v.err()
	}
	a := p.ShippingAddress.Value
	for _, f := range []struct {
		name  string
		patch Field[string]
	}{
		{"name", a.Name}, {"street", a.Street}, {"city", a.City}, {"postalCode", a.PostalCode}, {"country", a.Country},
	} {
		if f.patch.Present { // null removes the member, and an address needs all of them: "" says the same
			v.addressLine("/shippingAddress/"+f.name, f.name, f.patch.Value)
		}
	}
	return v.err()
}

// apply gives the address and the note after the patch. Removing the note empties it.
func (p Patch) apply(a Address, note string) (Address, string, error) {
	if err := p.Check(); err != nil {
		return a, note, err
	}
	if p.Note.Present {
		note = p.Note.Value
	}
	if p.ShippingAddress.Present {
		n := p.ShippingAddress.Value
		for _, f := range []struct {
			to    *string
			patch Field[string]
		}{
			{&a.Name, n.Name}, {&a.Street, n.Street}, {&a.City, n.City}, {&a.PostalCode, n.PostalCode}, {&a.Country, n.Country},
		} {
			if f.patch.Present {
				*f.to = f.patch.Value
			}
		}
	}
	return a, note, nil
}
