package web

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"
)

func badQuery(format string, args ...any) *Problem {
	return &Problem{Status: http.StatusBadRequest, Code: "bad_query", Detail: fmt.Sprintf(format, args...)}
}

// Query reads all parameters. What cannot be parsed is 400: echo leaves it out, so that a filter or a position that is
// misspelt would not count.
func Query(c echo.Context) (url.Values, error) {
	q, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return nil, badQuery("the query cannot be parsed: %v", err)
	}
	for name, values := range q {
		for _, text := range append(values, name) {
			if !utf8.ValidString(text) {
				return nil, badQuery("parameter %q is not UTF-8", name)
			}
		}
	}
	return q, nil
}

// QueryOnly refuses parameters other than these, and one that comes twice.
func QueryOnly(c echo.Context, names ...string) error {
	q, err := Query(c)
	if err != nil {
		return err
	}
	for name, values := range q {
		if !slices.Contains(names, name) {
			return badQuery("there is no parameter %q here", name)
		}
		if len(values) > 1 {
			return badQuery("parameter %q comes %d times", name, len(values))
		}
	}
	return nil
}

// The size of a page.
const (
	defaultLimit = 50
	maxLimit     = 100
)

// Limit reads the parameter of that name: 1 to 100, 50 where it is absent.
func Limit(c echo.Context) (int, error) {
	s := c.QueryParam("limit")
	if s == "" && !c.QueryParams().Has("limit") {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxLimit {
		return 0, badQuery("limit is %q: want 1 to %d", s, maxLimit)
	}
	return n, nil
}

// EncodeCursor makes an opaque cursor of the place where the next page starts.
func EncodeCursor(v any) string {
	raw, err := json.Marshal(v)
	if err != nil { // a cursor is a struct of plain fields
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// DecodeCursor reads what EncodeCursor made; anything else is 400, also what would be read as the same place, or, as
// null is, as none: a list would begin again.
func DecodeCursor(s string, v any) error {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(raw, v, json.RejectUnknownMembers(true))
	}
	if err != nil || EncodeCursor(v) != s {
		return badQuery("after is no cursor of this list")
	}
	return nil
}
