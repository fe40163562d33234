package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/web"
)

// answer sends v. Its ETag is a digest of what is sent: operators see more than others under the same address, so
// theirs differs.
func answer(c echo.Context, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	sum := sha256.Sum256(body)
	etag := hex.EncodeToString(sum[:12])
	h := c.Response().Header()
	h.Set("ETag", `"`+etag+`"`)
	h.Add("Vary", "Authorization")
	if status == http.StatusOK {
		known, err := ifNoneMatch(c, etag)
		if err != nil {
			return err
		}
		if known {
			return c.NoContent(http.StatusNotModified)
		}
	}
	return web.JSON(c, status, body)
}

// ifNoneMatch tells whether the client has what it asks for.
func ifNoneMatch(c echo.Context, etag string) (bool, error) {
	tags, whatever, _, err := web.EntityTags(c.Request(), "If-None-Match")
	return whatever || slices.Contains(tags, etag), err
}
