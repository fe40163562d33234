package order

import (
	"fmt"
	"time"
)

// Draft is an order as its customer asks for it.
type Draft struct {
	CustomerID      string
	Items           []DraftItem
	ShippingAddress Address
	Note            string
	// Total is what the customer expects to pay; nil if it does not say.
	Total *Money
}

// DraftItem is one wanted item.
type DraftItem struct {
	SKU      string
	Quantity int32
}

// Product is one entry of the price list.
type Product struct {
	SKU       string `bson:"_id"`
	Name      string `bson:"name"`
	UnitPrice Money  `bson:"unitPrice"`
}

// Check finds what is wrong with the draft whatever the prices are; an *InvalidError points at it.
func (d Draft) Check() error {
	var v problems
	v.customer("/customerId", d.CustomerID)
	if n := len(d.Items); n < 1 || n > MaxItems {
		v.add("/items", "items", fmt.Sprintf("an order has 1 to %d items", MaxItems))
		return v.err()
	}
	seen := make(map[string]bool, len(d.Items))
	for i, item := range d.Items {
		at := fmt.Sprintf("/items/%d/", i)
		switch {
		case !ValidSKU(item.SKU):
			v.add(at+"sku", "sku", "an SKU has 1 to 64 of a–z, 0–9 and -, and begins with none of the last")
		case seen[item.SKU]:
			v.add(at+"sku", "duplicate_sku", "each SKU may occur once")
		}
		seen[item.SKU] = true
		if item.Quantity < 1 || item.Quantity > MaxQuantity {
			v.add(at+"quantity", "quantity", fmt.Sprintf("quantity must be within 1 and %d", MaxQuantity))
		}
	}
	v.address("/shippingAddress", d.ShippingAddress)
	v.note(d.Note)
	return v.err()
}

// Place makes an order of a draft at the prices of the price list. An unknown SKU, a mix of currencies and a total
// other than the computed one are an *InvalidError.
func Place(id string, d Draft, prices map[string]Product, at time.Time) (*Order, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	var v problems
	at = Now(at)
	o := &Order{
		ID: id, CustomerID: d.CustomerID, ShippingAddress: d.ShippingAddress, Note: d.Note, Revision: 1,
		Items: make([]Item, 0, len(d.Items)), History: []Line{}, CreatedAt: at, UpdatedAt: at,
	}
	for i, item := range d.Items {
		pointer := fmt.Sprintf("/items/%d/sku", i)
		p, ok := prices[item.SKU]
		if !ok {
			v.add(pointer, "unknown_sku", fmt.Sprintf("%s is not in the price list", item.SKU))
			continue
		}
		line := Item{SKU: p.SKU, Name: p.Name, Quantity: item.Quantity, UnitPrice: p.UnitPrice}
		if o.Total.Currency == "" {
			o.Total.Currency = p.UnitPrice.Currency
		}
		if p.UnitPrice.Currency != o.Total.Currency {
			v.add(pointer, "currency", fmt.Sprintf("%s is priced in %s, other items in %s", p.SKU, p.UnitPrice.Currency, o.Total.Currency))
		}
		o.Total.Amount += line.LineTotal().Amount
		o.Items = append(o.Items, line)
	}
	if len(v) == 0 && d.Total != nil && *d.Total != o.Total {
		v.add("/total", "total_mismatch", fmt.Sprintf("the total is %d %s", o.Total.Amount, o.Total.Currency))
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	return o, nil
}

// Check finds what is wrong with a price list entry.
func (p Product) Check() error {
	var v problems
	if !ValidSKU(p.SKU) {
		v.add("/sku", "sku", "an SKU has 1 to 64 of a–z, 0–9 and -, and begins with none of the last")
	}
	v.line("/name", "name", p.Name, MaxProductName)
	if p.UnitPrice.Amount < 0 || p.UnitPrice.Amount > MaxPrice {
		v.add("/unitPrice/amount", "amount", fmt.Sprintf("amount must be within 0 and %d", int64(MaxPrice)))
	}
	if !currency.MatchString(p.UnitPrice.Currency) {
		v.add("/unitPrice/currency", "currency", "currency must be an ISO 4217 code, such as EUR")
	}
	return v.err()
}

// CheckCustomer finds what is wrong with the name of a customer.
func CheckCustomer(pointer, name string) error {
	var v problems
	v.customer(pointer, name)
	return v.err()
}
