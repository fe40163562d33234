package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/mongodb"
)

// Problem is a refusal (RFC 9457). It is an error, to be returned by a route.
type Problem struct {
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Code   string       `json:"code"` // stable; what a program looks at
	Detail string       `json:"detail,omitempty"`
	Errors []FieldError `json:"errors,omitempty"`
	// RetryAfter goes into the header of that name; 503 and 429 always have one.
	RetryAfter time.Duration `json:"-"`
	// Allow goes into the header of that name.
	Allow string `json:"-"`
	// Challenge goes into WWW-Authenticate.
	Challenge string `json:"-"`
	// Cause is for the log, and is not told to clients.
	Cause error `json:"-"`
}

// FieldError is one thing that is wrong with a body; Pointer is a JSON pointer (RFC 6901).
type FieldError struct {
	Pointer string `json:"pointer"`
	Code    string `json:"code,omitempty"`
	Detail  string `json:"detail"`
}

func (p *Problem) Error() string {
	if p.Cause != nil {
		return p.Code + ": " + p.Cause.Error()
	}
	return p.Code + ": " + p.Detail
}

func (p *Problem) Unwrap() error { return p.Cause }

// ContentTypeProblem is the media type of a Problem.
const ContentTypeProblem = "application/problem+json"

// Filled gives a copy with what follows from the status: many may be answered with the same problem at once.
func (p *Problem) Filled() *Problem {
	filled := *p
	if filled.Type == "" {
		filled.Type = "about:blank"
	}
	if filled.Title == "" {
		filled.Title = http.StatusText(filled.Status)
	}
	if filled.RetryAfter == 0 && (filled.Status == http.StatusServiceUnavailable || filled.Status == http.StatusTooManyRequests) {
		filled.RetryAfter = time.Second
	}
	if filled.Status == http.StatusUnauthorized && filled.Challenge == "" {
		filled.Challenge = "Bearer"
	}
	return &filled
}

// Write answers with the problem, filled; for whoever holds a plain ResponseWriter.
func (p *Problem) Write(w http.ResponseWriter) error {
	p = p.Filled()
	h := w.Header()
	h.Set("Content-Type", ContentTypeProblem)
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(max(int((p.RetryAfter+time.Second-1)/time.Second), 1)))
	}
	if p.Allow != "" {
		h.Set("Allow", p.Allow)
	}
	if p.Challenge != "" {
		h.Set("WWW-Authenticate", p.Challenge)
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	w.WriteHeader(p.Status)
	_, err = w.Write(body)
	return err
}

// Unavailable is 503: a part that is needed is away.
func Unavailable(detail string) *Problem {
	return &Problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: detail}
}

// asProblem turns any error of a route into a refusal. What it does not know is 500, and is logged.
func asProblem(err error, c echo.Context) *Problem {
	var p *Problem
	var he *echo.HTTPError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &tooLarge):
		return bodyTooLarge()
	case errors.As(err, &he):
		return fromEcho(he, c)
	case isGone(err, c):
		return Unavailable("the request was given up; what was asked for may have happened")
	case errors.Is(err, context.DeadlineExceeded), mongodb.IsAway(err):
		return Unavailable("a part of the system did not answer in time; try again")
	}
	return &Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "something went wrong here; it is in the log under this request's id"}
}

// isGone tells whether a route failed because nobody waits for its answer any more.
func isGone(err error, c echo.Context) bool {
	return errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil
}

func fromEcho(he *echo.HTTPError, c echo.Context) *Problem {
	switch he.Code {
	case http.StatusNotFound:
		return &Problem{Status: he.Code, Code: "not_found", Detail: "there is nothing at " + c.Request().URL.Path}
	case http.StatusMethodNotAllowed:
		allow, _ := c.Get(echo.ContextKeyHeaderAllow).(string)
		return &Problem{Status: he.Code, Code: "method_not_allowed", Detail: c.Request().Method + " is not possible here", Allow: allow}
	case http.StatusRequestEntityTooLarge:
		return bodyTooLarge()
	}
	detail, _ := he.Message.(string)
	return &Problem{Status: he.Code, Code: "http_" + strconv.Itoa(he.Code), Detail: detail}
}

func bodyTooLarge() *Problem {
	return &Problem{
		Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
		Detail: "a body is at most " + strconv.Itoa(maxBody) + " bytes",
	}
}

// errorHandler is Echo's one way out for errors.
func errorHandler(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		p := asProblem(err, c)
		if p.Status >= http.StatusInternalServerError {
			level := slog.LevelError
			if isGone(err, c) {
				level = slog.LevelInfo
			}
			log.Log(c.Request().Context(), level, "a request failed", "request_id", c.Response().Header().Get(echo.HeaderXRequestID),
				"method", c.Request().Method, "route", c.Path(), "status", p.Status, "error", err)
		}
		if c.Request().Method == http.MethodHead {
			c.Response().WriteHeader(p.Status)
			return
		}
		if err := p.Write(c.Response()); err != nil {
			log.Debug("the client went away", "error", err)
		}
	}
}
