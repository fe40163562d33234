package auth

import (
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ticketAudience is behind the audience of tokens, so that neither passes for the other: a ticket opens nothing but what
// redeems it, and a token that lives long is refused where only a ticket may stand.
const ticketAudience = "/ticket"

type ticketClaims struct {
	claims
	// Until is when the token ends that the ticket was given for.
	Until *jwt.NumericDate `json:"until"`
}

// Ticket makes a token that may stand in a URL: it lives for ttl, and only Redeem takes it. ErrCannotSign without a
// shared secret.
func (v *Verifier) Ticket(p Principal, ttl time.Duration) (string, error) {
	if v.secret == nil {
		return "", ErrCannotSign
	}
	c := ticketClaims{claims: v.claimsOf(p, ttl), Until: jwt.NewNumericDate(p.Expires)}
	c.Audience = jwt.ClaimStrings{v.config.Audience + ticketAudience}
	ticket, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(v.secret)
	if err != nil {
		return "", fmt.Errorf("sign a ticket for %s: %w", p.Customer, err)
	}
	return ticket, nil
}

// Redeem gives whose ticket it is, with the end of the token that it was given for; ErrInvalid otherwise.
func (v *Verifier) Redeem(ticket string) (Principal, error) {
	if v.secret == nil {
		return Principal{}, fmt.Errorf("%w: there are no tickets here", ErrInvalid)
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(v.config.Issuer),
		jwt.WithAudience(v.config.Audience+ticketAudience), jwt.WithExpirationRequired())
	var c ticketClaims
	if _, err := parser.ParseWithClaims(ticket, &c, v.keys); err != nil {
		return Principal{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if !printable(c.Subject) || c.Until == nil {
		return Principal{}, fmt.Errorf("%w: not a ticket", ErrInvalid)
	}
	return Principal{Customer: c.Subject, Operator: slices.Contains(c.Roles, roleOperator), Expires: c.Until.Time}, nil
}
