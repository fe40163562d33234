package web

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"github.com/orderwire/orderwire/pkg/auth"
)

// verifier tells who a token is about.
type verifier interface {
	Verify(token string) (auth.Principal, error)
}

// Authenticate puts the principal of the bearer token (RFC 6750) into the request's context. A token that does not
// count is 401 also where none is required.
func Authenticate(v verifier, required bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			header := c.Request().Header.Get(echo.HeaderAuthorization)
			if header == "" {
				if required {
					return &Problem{Status: http.StatusUnauthorized, Code: "unauthenticated", Detail: "send Authorization: Bearer and a token"}
				}
				return next(c)
			}
			scheme, token, _ := strings.Cut(header, " ")
			if !strings.EqualFold(scheme, "Bearer") {
				return invalidToken("the scheme is not Bearer")
			}
			p, err := v.Verify(strings.TrimSpace(token))
			if err != nil {
				return invalidToken(err.Error())
			}
			c.SetRequest(c.Request().WithContext(auth.WithPrincipal(c.Request().Context(), p)))
			return next(c)
		}
	}
}

func invalidToken(detail string) *Problem {
	return &Problem{Status: http.StatusUnauthorized, Code: "invalid_token", Detail: detail, Challenge: `Bearer error="invalid_token"`}
}

// RequireOperator refuses everybody else. It stands behind Authenticate.
func RequireOperator(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if p, _ := auth.FromContext(c.Request().Context()); !p.Operator {
			return &Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: "this is for operators"}
		}
		return next(c)
	}
}

// maxBuckets bounds the memory of the rate limit: with more customers than that at once some are forgotten.
const maxBuckets = 10_000

// RateLimit gives each customer a bucket of tokens, and each address one for requests without a token. It stands behind
// Authenticate. The headers are those of draft-ietf-httpapi-ratelimit-headers.
func RateLimit(c Config) echo.MiddlewareFunc {
	if c.RateLimit == 0 {
		return func(next echo.HandlerFunc) echo.HandlerFunc { return next }
	}
	b := &buckets{limit: rate.Limit(c.RateLimit), burst: c.RateBurst, of: map[string]*rate.Limiter{}}
	policy := fmt.Sprintf(`"default";q=%d;w=%d`, c.RateBurst, int(math.Ceil(float64(c.RateBurst)/c.RateLimit)))
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ctx echo.Context) error {
			who := "address " + ctx.RealIP()
			if p, ok := auth.FromContext(ctx.Request().Context()); ok {
				who = "customer " + p.Customer
			}
			left, wait := b.take(who, time.Now())
			h := ctx.Response().Header()
			h.Set("RateLimit-Policy", policy)
			h.Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%d`, left, int(math.Ceil(wait.Seconds()))))
			if wait > 0 {
				return &Problem{Status: http.StatusTooManyRequests, Code: "too_many_requests", Detail: "slow down", RetryAfter: wait}
			}
			return next(ctx)
		}
	}
}

type buckets struct {
	limit rate.Limit
	burst int
	mu    sync.Mutex
	of    map[string]*rate.Limiter
}

// take gives how many requests are left, and how long to wait when this one is too many.
func (b *buckets) take(who string, now time.Time) (left int, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.of[who]
	if l == nil {
		if len(b.of) >= maxBuckets {
			b.forget(now)
		}
		l = rate.NewLimiter(b.limit, b.burst)
		b.of[who] = l
	}
	if l.AllowN(now, 1) {
		return int(l.TokensAt(now)), 0
	}
	return 0, time.Duration((1 - l.TokensAt(now)) / float64(b.limit) * float64(time.Second))
}

// forget makes room in the map: full buckets go, which changes nothing for anybody, and any others where there are not
// enough of those, so that a flood of names cannot grow it. The search is long, so it makes room for many.
func (b *buckets) forget(now time.Time) {
	for who, l := range b.of {
		if l.TokensAt(now) >= float64(b.burst) {
			delete(b.of, who)
		}
	}
	for who := range b.of {
		if len(b.of) <= maxBuckets*3/4 {
			return
		}
		delete(b.of, who)
	}
}
