package push

import (
	"net/http"
	"time"

	"github.com/orderwire/orderwire/pkg/web"
)

// Close codes (RFC 6455 §7.4 and the IANA registry; 4000–4999 are the application's). 44xx: the same again will be
// refused again. 45xx: come back later.
const (
	codeNormal      = 1000
	codeUnsupported = 1003
	codeAbnormal    = 1006 // never sent: the connection broke
	codeInvalidText = 1007
	codePolicy      = 1008
	codeTooBig      = 1009
	codeInternal    = 1011
	codeRestart     = 1012
	codeTryLater    = 1013
	codeBadMessage  = 4400
	codeToken       = 4401
	codeForbidden   = 4403
	codeGone        = 4410
	codeLimit       = 4429
	codeSlow        = 4508
	codeKafkaLost   = 4509
)

// Code gives the close code for a refusal.
func Code(p *web.Problem) int {
	switch p.Status {
	case http.StatusUnauthorized:
		return codeToken
	case http.StatusForbidden:
		return codeForbidden
	case http.StatusGone:
		return codeGone
	case http.StatusTooManyRequests:
		return codeLimit
	case http.StatusServiceUnavailable:
		return codeTryLater
	}
	if p.Status >= http.StatusInternalServerError {
		return codeInternal
	}
	return codeBadMessage
}

// ending is how a session ends.
type ending struct {
	code   int
	reason string // at most 123 bytes
	// problem is told before the end.
	problem *web.Problem
	// restart: the session may go on elsewhere, right away; what is queued is sent before.
	restart bool
	// gone: nobody hears anything any more.
	gone bool
}

// restartSoon spreads those who come back.
const restartSoon = time.Second

func gone(code int) ending { return ending{code: code, gone: true} }

func refused(p *web.Problem) ending { return ending{code: Code(p), reason: p.Code, problem: p} }

// errorData is the data of a notifier.error: the problem, and when to try again.
type errorData struct {
	*web.Problem
	RetryAfterMs int64 `json:"retryAfterMs,omitempty"`
}
