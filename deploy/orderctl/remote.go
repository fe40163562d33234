package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

// defaultGateway is where `orderctl up` listens unless it is moved.
const defaultGateway = "http://127.0.0.1:8080"

// remote is what every command that speaks to a running Orderwire takes.
type remote struct {
	Gateway  baseURL `env:"ORDERWIRE_URL" default:"http://127.0.0.1:8080" help:"Where Orderwire is (${env})."`
	Token    string  `env:"ORDERWIRE_TOKEN" help:"Bearer token (${env}). Without one, a development login is asked for it."`
	As       string  `default:"demo" placeholder:"CUSTOMER" help:"Customer to be at a development login."`
	Operator bool    `help:"Be an operator at a development login."`
	JSON     bool    `help:"Print JSON."`
}

// baseURL is where a server is. kong names the flag where Validate refuses it.
type baseURL string

// Validate takes http and https with a host.
func (b baseURL) Validate() error {
	u, err := url.Parse(string(b))
	if b != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return fmt.Errorf("%q is no address like %s", string(b), defaultGateway)
	}
	return nil
}

// connect gives a client with a token: the given one, or one of the development login.
func (r *remote) connect(ctx context.Context, operator bool) (*client.Client, error) {
	c := client.New(string(r.Gateway), r.Token)
	if c.Token != "" {
		return c, nil
	}
	answer, err := c.Login(ctx, r.As, operator || r.Operator)
	var refused *client.Problem
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil, errors.New("this Orderwire has no development login: give a token with --token or ORDERWIRE_TOKEN")
	}
	if err != nil {
		return nil, err
	}
	c.Token = answer.Token
	return c, nil
}

// filters makes a query of pairs, without those whose value is empty.
func filters(pairs ...string) url.Values {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	return query
}
