package web

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"
)

// DecodeJSON reads the request's body into v, strictly. 415 for another media type or an encoding, 413 for more than
// 64 KiB, 400 for what is not one JSON value without duplicate keys, and 422 with pointers for a value that does not
// fit: an unknown field, a wrong type, a number out of range.
func DecodeJSON(c echo.Context, v any) error {
	r := c.Request()
	if !isJSON(r.Header.Get(echo.HeaderContentType)) {
		return &Problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "a body is application/json"}
	}
	if enc := r.Header.Get(echo.HeaderContentEncoding); enc != "" && !strings.EqualFold(enc, "identity") {
		return &Problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_encoding", Detail: "a body is sent as it is, without " + enc}
	}
	raw, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return bodyTooLarge()
	case err != nil:
		return &Problem{Status: http.StatusBadRequest, Code: "body_incomplete", Detail: "the body did not arrive whole"}
	}
	return decode(raw, v)
}

// isJSON takes application/json and what is JSON by its suffix (RFC 6838 §4.2.8), a merge patch for one.
func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"))
}

// decode looks for broken JSON first: a body that cannot be parsed is 400 whatever else is wrong with it.
func decode(raw []byte, v any) error {
	var whole jsontext.Value
	if err := json.Unmarshal(raw, &whole); err != nil {
		p := &Problem{Status: http.StatusBadRequest, Code: "malformed_json", Detail: explain(err)}
		if errors.Is(err, jsontext.ErrDuplicateName) {
			p.Code = "duplicate_key"
		}
		return p
	}
	err := json.Unmarshal(raw, v, json.RejectUnknownMembers(true))
	var semantic *json.SemanticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &semantic):
		return misfit(semantic)
	default:
		return &Problem{Status: http.StatusBadRequest, Code: "malformed_json", Detail: explain(err)}
	}
}

func misfit(e *json.SemanticError) *Problem {
	pointer := string(e.JSONPointer)
	f := FieldError{Pointer: pointer, Code: "wrong_type", Detail: "has the wrong type"}
	switch {
	case errors.Is(e.Err, json.ErrUnknownName):
		f.Code, f.Detail = "unknown_field", "is not a field here"
	case e.JSONKind == '0' && isWhole(e.GoType) && strings.ContainsAny(string(e.JSONValue), ".eE"):
		f.Code, f.Detail = "not_an_integer", fmt.Sprintf("%s is not a whole number", e.JSONValue)
	case e.JSONKind == '0' && isWhole(e.GoType):
		f.Code, f.Detail = "out_of_range", fmt.Sprintf("%s is not possible here", e.JSONValue)
	case e.JSONKind != 0:
		f.Detail = "a " + e.JSONKind.String() + " is not possible here"
	}
	return &Problem{Status: http.StatusUnprocessableEntity, Code: f.Code, Detail: pointer + " " + f.Detail, Errors: []FieldError{f}}
}

func isWhole(t reflect.Type) bool {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t != nil && (reflect.Int <= t.Kind() && t.Kind() <= reflect.Int64 || reflect.Uint <= t.Kind() && t.Kind() <= reflect.Uint64)
}

func explain(err error) string {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%v at byte %d, behind %q", syntax.Err, syntax.ByteOffset, syntax.JSONPointer)
	}
	return err.Error()
}

// JSON answers with a body that is JSON already.
func JSON(c echo.Context, status int, body []byte) error {
	return c.Blob(status, echo.MIMEApplicationJSON, body)
}
