// Package shop is how another team tests its own code against a real Orderwire: one call starts it.
package shop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/orderwire/orderwire/deploy/orderwiretest"
)

func TestAnOrderIsConfirmedAndTakesItsStock(t *testing.T) {
	o := orderwiretest.Start(t)

	call(t, http.MethodPut, o.Gateway+"/v1/products/mug", o.OperatorToken, `{"name":"Mug","unitPrice":{"amount":1250,"currency":"EUR"}}`, nil)
	call(t, http.MethodPost, o.Gateway+"/v1/stock/mug/adjustments", o.OperatorToken, `{"quantity":10,"reason":"test"}`, nil)

	alice := o.Token(t, "alice")
	var order struct {
		ID     string `json:"id"`
		Status string `json:"status"`
		Total  struct {
			Amount int `json:"amount"`
		} `json:"total"`
	}
	call(t, http.MethodPost, o.Gateway+"/v1/orders", alice, `{"items":[{"sku":"mug","quantity":2}],
		"shippingAddress":{"name":"Alice","street":"1 Main Street","city":"Berlin","postalCode":"10115","country":"DE"}}`, &order)
	if order.Total.Amount != 2500 {
		t.Fatalf("the total is %d", order.Total.Amount)
	}

	deadline := time.Now().Add(30 * time.Second)
	for order.Status != "confirmed" {
		if time.Now().After(deadline) {
			t.Fatalf("the order is still %s", order.Status)
		}
		time.Sleep(20 * time.Millisecond)
		call(t, http.MethodGet, o.Gateway+"/v1/orders/"+order.ID, alice, "", &order)
	}
	var stock struct {
		Available int `json:"available"`
	}
	call(t, http.MethodGet, o.Gateway+"/v1/stock/mug", "", "", &stock)
	if stock.Available != 8 {
		t.Fatalf("%d mugs are left", stock.Available)
	}
}

// call fails the test unless the answer is a success, and decodes it.
func call(t *testing.T, method, url, token, body string, out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(fmt.Errorf("%s %s: %s: %w", method, url, resp.Status, err))
	}
	if resp.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s %s: %s: %s", method, url, resp.Status, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			t.Fatal(err)
		}
	}
}
