package web

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// maxKey limits an idempotency key, in characters.
const maxKey = 255

// IdempotencyKey reads the header of that name (draft-ietf-httpapi-idempotency-key-header): "" where it is absent.
// Quoted or bare it is the same key; anything but 1 to 255 printable ASCII characters is 400.
func IdempotencyKey(c echo.Context) (string, error) {
	values := c.Request().Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := strings.TrimSpace(values[0])
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	ok := len(values) == 1 && key != "" && len(key) <= maxKey
	for _, b := range []byte(key) {
		ok = ok && b >= ' ' && b <= '~'
	}
	if !ok {
		return "", &Problem{Status: http.StatusBadRequest, Code: "bad_idempotency_key", Detail: "Idempotency-Key is 1 to 255 printable ASCII characters, once"}
	}
	return key, nil
}

// EntityTags reads If-Match or If-None-Match (RFC 9110 §13.1): the opaque tags, without W/ and the suffix that a
// compressing proxy adds, and whether it is *. ok is false when the header is absent; 400 when it cannot be parsed.
func EntityTags(r *http.Request, header string) (tags []string, any, ok bool, err error) {
	values := r.Header.Values(header)
	if len(values) == 0 {
		return nil, false, false, nil
	}
	rest := strings.TrimSpace(strings.Join(values, ","))
	if rest == "*" {
		return nil, true, true, nil
	}
	for rest != "" {
		rest = strings.TrimPrefix(rest, "W/")
		if !strings.HasPrefix(rest, `"`) {
			return nil, false, true, badEntityTag(header)
		}
		tag, behind, closed := strings.Cut(rest[1:], `"`)
		if !closed {
			return nil, false, true, badEntityTag(header)
		}
		tags = append(tags, strings.TrimSuffix(tag, "-gzip"))
		rest = strings.TrimLeft(behind, " \t")
		if rest != "" && !strings.HasPrefix(rest, ",") {
			return nil, false, true, badEntityTag(header)
		}
		rest = strings.TrimLeft(rest, ", \t")
	}
	if len(tags) == 0 {
		return nil, false, true, badEntityTag(header)
	}
	return tags, false, true, nil
}

func badEntityTag(header string) *Problem {
	return &Problem{Status: http.StatusBadRequest, Code: "bad_header", Detail: header + ` is a list of entity tags, or *`}
}
