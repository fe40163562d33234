package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// defaultGateway is where `orderctl up` listens unless it is moved.
const defaultGateway = "http://127.0.0.1:8080"

// remote is what every command that speaks to a running Orderwire takes.
type remote struct {
	Gateway  string `env:"ORDERWIRE_URL" default:"http://127.0.0.1:8080" help:"Where Orderwire is (${env})."`
	Token    string `env:"ORDERWIRE_TOKEN" help:"Bearer token (${env}). Without one, a development login is asked for it."`
	As       string `default:"demo" placeholder:"CUSTOMER" help:"Customer to be at a development login."`
	Operator bool   `help:"Be an operator at a development login."`
	JSON     bool   `help:"Print JSON."`
}

// problem is a refusal (RFC 9457).
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Errors []struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"errors"`
}

func (p *problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", p.Status, p.Code)
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for _, e := range p.Errors {
		fmt.Fprintf(&b, "\n  %s: %s", e.Pointer, e.Detail)
	}
	return b.String()
}

// unreachableError says that there was no answer.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

// client calls Orderwire's API.
type client struct {
	base  string
	token string
	http  *http.Client
}

func newClient(base, token string) *client {
	transport := &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: 20 * time.Second}
	return &client{base: strings.TrimSuffix(base, "/"), token: token, http: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
}

// connect gives a client with a token: the given one, or one of the development login.
func (r *remote) connect(ctx context.Context, operator bool) (*client, error) {
	c := newClient(r.Gateway, r.Token)
	if c.token != "" {
		return c, nil
	}
	answer, err := c.login(ctx, r.As, operator || r.Operator)
	var refused *problem
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil, errors.New("this Orderwire has no development login: give a token with --token or ORDERWIRE_TOKEN")
	}
	if err != nil {
		return nil, err
	}
	c.token = answer.Token
	return c, nil
}

// login is what a development login answers.
type login struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func (c *client) login(ctx context.Context, customer string, operator bool) (login, error) {
	var answer login
	_, err := c.call(ctx, http.MethodPost, "/dev/token", nil, map[string]any{"customer": customer, "operator": operator}, &answer)
	return answer, err
}

// answer is the outcome of a call that was not refused.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call sends a request with body as JSON and decodes the answer into out; either may be nil. A refusal is a *problem,
// no answer an *unreachableError.
func (c *client) call(ctx context.Context, method, path string, header http.Header, body, out any) (*answer, error) {
	var send io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		send = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, send)
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header.Clone()
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &unreachableError{err}
	}
	defer resp.Body.Close() // only read
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, &unreachableError{fmt.Errorf("%s %s: %w", method, path, err)}
	}
	if resp.StatusCode >= 300 && resp.StatusCode != http.StatusNotModified {
		return nil, refusal(resp, raw)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			return nil, fmt.Errorf("%s %s: the answer is not what was expected: %w", method, path, err)
		}
	}
	return &answer{resp.StatusCode, resp.Header, raw}, nil
}

// refusal reads a problem, or makes one of whatever else came.
func refusal(resp *http.Response, raw []byte) error {
	p := &problem{}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") && json.Unmarshal(raw, p) == nil {
		p.Status = resp.StatusCode
		return p
	}
	return &problem{Status: resp.StatusCode, Code: http.StatusText(resp.StatusCode), Detail: strings.TrimSpace(string(raw[:min(len(raw), 200)]))}
}

// list reads a list to its end, or to most items where most is above 0.
func list[T any](ctx context.Context, c *client, path string, query url.Values, most int) ([]T, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", "100")
	if most > 0 {
		query.Set("limit", strconv.Itoa(min(most, 100)))
	}
	all := []T{}
	for {
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next"`
		}
		if _, err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if most > 0 && len(all) >= most {
			return all[:most], nil
		}
		if page.Next == "" {
			return all, nil
		}
		query.Set("after", page.Next)
	}
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
