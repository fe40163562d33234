// Package auth verifies bearer tokens: JSON Web Tokens (RFC 7519) whose algorithm the configuration fixes, never the
// token. The customer is the token's subject; an operator has the role "operator".
//
// It does not know what a customer may see; it says who somebody is.
package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

// Config says whose tokens count: those signed with a shared secret (HS256), or with a key of a JWKS (RFC 7517).
type Config struct {
	Secret     string `env:"JWT_SECRET"`
	SecretFile string `env:"JWT_SECRET_FILE"`
	JWKSURL    string `env:"JWT_JWKS_URL"`
	Issuer     string `env:"JWT_ISSUER" envDefault:"orderwire"`
	Audience   string `env:"JWT_AUDIENCE" envDefault:"orderwire"`
}

// minSecret is RFC 7518 §3.2: a key as long as the hash.
const minSecret = 32

// Validate tells what is missing or contradicts itself.
func (c Config) Validate() error {
	set := 0
	for _, v := range []string{c.Secret, c.SecretFile, c.JWKSURL} {
		if v != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return errors.New("JWT_SECRET, JWT_SECRET_FILE, JWT_JWKS_URL: want exactly one of them")
	case c.Secret != "" && len(c.Secret) < minSecret:
		return fmt.Errorf("JWT_SECRET has %d bytes: want %d or more", len(c.Secret), minSecret)
	case c.Issuer == "":
		return errors.New("JWT_ISSUER is empty")
	case c.Audience == "":
		return errors.New("JWT_AUDIENCE is empty")
	}
	return nil
}

// Principal is who somebody is.
type Principal struct {
	Customer string
	Operator bool
	Expires  time.Time
}

// roleOperator is the entry of the roles claim that makes an operator.
const roleOperator = "operator"

// leeway forgives clocks that differ.
const leeway = 5 * time.Second

// ErrInvalid says that a token does not count; the wrapped error says why.
var ErrInvalid = errors.New("invalid token")

// ErrCannotSign says that this verifier has no secret to sign with.
var ErrCannotSign = errors.New("tokens are signed elsewhere")

// Verifier verifies tokens, and signs them where it has the secret.
type Verifier struct {
	config Config
	secret []byte
	keys   jwt.Keyfunc
	parser *jwt.Parser
}

// NewVerifier makes a verifier. A JWKS is fetched now and again while ctx lives; it may be out of reach for a while.
func NewVerifier(ctx context.Context, c Config) (*Verifier, error) {
	v := &Verifier{config: c}
	methods := []string{"HS256"}
	switch {
	case c.JWKSURL != "":
		set, err := keyfunc.NewDefaultCtx(ctx, []string{c.JWKSURL})
		if err != nil {
			return nil, fmt.Errorf("JWT_JWKS_URL: %w", err)
		}
		v.keys, methods = set.Keyfunc, []string{"RS256", "ES256", "EdDSA"}
	case c.SecretFile != "":
		raw, err := os.ReadFile(c.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("JWT_SECRET_FILE: %w", err)
		}
		v.secret = []byte(strings.TrimRight(string(raw), "\r\n"))
		if len(v.secret) < minSecret {
			return nil, fmt.Errorf("JWT_SECRET_FILE holds %d bytes: want %d or more", len(v.secret), minSecret)
		}
	default:
		v.secret = []byte(c.Secret)
	}
	if v.keys == nil {
		v.keys = func(*jwt.Token) (any, error) { return v.secret, nil }
	}
	v.parser = jwt.NewParser(jwt.WithValidMethods(methods), jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience),
		jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))
	return v, nil
}

type claims struct {
	jwt.RegisteredClaims
	Roles []string `json:"roles,omitempty"`
}

// maxCustomer limits the length of a customer's name, which becomes part of documents and headers.
const maxCustomer = 128

// Verify gives who the token is about, or ErrInvalid.
func (v *Verifier) Verify(token string) (Principal, error) {
	var c claims
	if _, err := v.parser.ParseWithClaims(token, &c, v.keys); err != nil {
		return Principal{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if !printable(c.Subject) {
		return Principal{}, fmt.Errorf("%w: sub must be 1 to %d printable ASCII characters", ErrInvalid, maxCustomer)
	}
	return Principal{Customer: c.Subject, Operator: slices.Contains(c.Roles, roleOperator), Expires: c.ExpiresAt.Time}, nil
}

func printable(s string) bool {
	for _, r := range s {
		if r < '!' || r > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxCustomer
}

// Sign makes a token for p that ends after ttl: for development logins, tools and tests. ErrCannotSign without a
// shared secret.
func (v *Verifier) Sign(p Principal, ttl time.Duration) (string, error) {
	if v.secret == nil {
		return "", ErrCannotSign
	}
	if !printable(p.Customer) {
		return "", fmt.Errorf("%w: a customer is 1 to %d printable ASCII characters", ErrInvalid, maxCustomer)
	}
	c := v.claimsOf(p, ttl)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(v.secret)
	if err != nil {
		return "", fmt.Errorf("sign a token for %s: %w", p.Customer, err)
	}
	return token, nil
}

// claimsOf is what a token says of p.
func (v *Verifier) claimsOf(p Principal, ttl time.Duration) claims {
	now := time.Now()
	c := claims{RegisteredClaims: jwt.RegisteredClaims{
		Subject: p.Customer, Issuer: v.config.Issuer, Audience: jwt.ClaimStrings{v.config.Audience},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}}
	if p.Operator {
		c.Roles = []string{roleOperator}
	}
	return c
}

type contextKey struct{}

// WithPrincipal puts p into a context.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// FromContext gives the principal of a request; false when it came without a token.
func FromContext(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}
