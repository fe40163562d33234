// Package client calls Orderwire's HTTP API and follows its push service, for the tools of this module.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Problem is a refusal (RFC 9457).
type Problem struct {
	Type   string `json:"type,omitempty"`
	Title  string `json:"title,omitempty"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
	Errors []struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"errors,omitempty"`
}

func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", p.Status, p.Code)
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for _, e := range p.Errors {
		if line := e.Pointer + ": " + e.Detail; !strings.Contains(p.Detail, line) { // order-api's detail has them all
			b.WriteString("\n  " + line)
		}
	}
	return b.String()
}

// UnreachableError says that there was no answer.
type UnreachableError struct{ err error }

func (e *UnreachableError) Error() string { return e.err.Error() }
func (e *UnreachableError) Unwrap() error { return e.err }

// Client calls Orderwire's API.
type Client struct {
	Base  string // http://host:port, without a slash at its end
	Token string // "": none is sent
	http  *http.Client
}

// New gives a client of the Orderwire at base; an empty token is not sent.
func New(base, token string) *Client {
	transport := &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 512, IdleConnTimeout: 20 * time.Second}
	return &Client{Base: strings.TrimSuffix(base, "/"), Token: token, http: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
}

// As gives a client with another token that shares c's connections.
func (c *Client) As(token string) *Client { return &Client{Base: c.Base, Token: token, http: c.http} }

// Login is what a development login answers.
type Login struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// Login asks a development login for a token; it is there with DEV_LOGIN=true only.
func (c *Client) Login(ctx context.Context, customer string, operator bool) (Login, error) {
	var answer Login
	_, err := c.Call(ctx, http.MethodPost, "/dev/token", nil, map[string]any{"customer": customer, "operator": operator}, &answer)
	return answer, err
}

// Answer is the outcome of a call that was not refused.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Call sends a request with body as JSON and decodes the answer into out; either may be nil. A refusal is a *Problem,
// no answer an *UnreachableError.
func (c *Client) Call(ctx context.Context, method, path string, header http.Header, body, out any) (*Answer, error) {
	var send io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		send = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, send)
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header.Clone()
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if body != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &UnreachableError{err}
	}
	defer resp.Body.Close() // only read
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, &UnreachableError{fmt.Errorf("%s %s: %w", method, path, err)}
	}
	if resp.StatusCode >= 300 && resp.StatusCode != http.StatusNotModified {
		return nil, refusal(resp, raw)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			return nil, fmt.Errorf("%s %s: the answer is not what was expected: %w", method, path, err)
		}
	}
	return &Answer{resp.StatusCode, resp.Header, raw}, nil
}

// refusal reads a problem, or makes one of whatever else came.
func refusal(resp *http.Response, raw []byte) error {
	p := &Problem{}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") && json.Unmarshal(raw, p) == nil {
		p.Status = resp.StatusCode
		return p
	}
	return &Problem{Status: resp.StatusCode, Code: http.StatusText(resp.StatusCode), Detail: strings.TrimSpace(string(raw[:min(len(raw), 200)]))}
}

// List reads a list to its end, or to most items where most is above 0.
func List[T any](ctx context.Context, c *Client, path string, query url.Values, most int) ([]T, error) {
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
		if _, err := c.Call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, nil, &page); err != nil {
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
