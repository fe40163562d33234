package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

// tokenCmd prints a token of the development login.
type tokenCmd struct {
	Customer string  `arg:"" optional:"" default:"demo" help:"Whose token."`
	Gateway  baseURL `env:"ORDERWIRE_URL" default:"http://127.0.0.1:8080" help:"Where Orderwire is (${env})."`
	Operator bool    `help:"An operator's token."`
	JSON     bool    `help:"Print JSON, with the time of expiry."`
}

// Run prints the token alone, so that it can stand in $(…).
func (c *tokenCmd) Run(ctx context.Context, t *terminal) error {
	answer, err := client.New(string(c.Gateway), "").Login(ctx, c.Customer, c.Operator)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(answer)
	}
	fmt.Fprintln(t.out, answer.Token)
	return nil
}
