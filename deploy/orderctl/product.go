package main

// money is an amount in the currency's smallest unit.
type money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// product is one line of the price list.
type product struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	UnitPrice money  `json:"unitPrice"`
}
