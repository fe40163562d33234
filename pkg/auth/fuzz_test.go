package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/auth"
)

// FuzzTokens: tokens and tickets, as they come and, because no fuzzer guesses a signature, with whatever claims and
// header signed as ours are. They are refused as invalid, or say who somebody is in a name that is fit for headers.
func FuzzTokens(f *testing.F) {
	v, err := auth.NewVerifier(f.Context(), config)
	require.NoError(f, err)
	who := auth.Principal{Customer: "alice", Operator: true, Expires: time.Now().Add(24 * time.Hour)}
	token, err := v.Sign(who, 24*time.Hour)
	require.NoError(f, err)
	ticket, err := v.Ticket(who, 24*time.Hour)
	require.NoError(f, err)
	const header = `{"alg":"HS256","typ":"JWT"}`
	for _, seed := range []string{"", "a.b.c", token, ticket, token + "=", ticket[1:]} {
		f.Add(seed, header, "{}")
	}
	for _, claims := range []string{
		`{"sub":"alice","iss":"orderwire","aud":"orderwire","exp":4e9}`,
		`{"sub":"alice","iss":"orderwire","aud":["orderwire","orderwire/ticket"],"exp":4e9,"until":4e9,"roles":["operator"]}`,
		`{"sub":"alice","iss":"orderwire","aud":"orderwire/ticket","exp":1e300,"until":-1e300}`,
		`{"sub":"alice","iss":"orderwire","aud":"orderwire/ticket","exp":4000000000,"until":null}`,
		`{"sub":"alice\r\n","iss":"orderwire","aud":"orderwire","exp":"4e9","nbf":{},"roles":"operator"}`,
		`null`, `[]`, `{"exp":9223372036854775807}`, `{`,
	} {
		f.Add("", header, claims)
	}
	f.Add("", `{"alg":"none"}`, `{"sub":"alice","iss":"orderwire","aud":"orderwire","exp":4e9}`)
	f.Add("", `{"alg":"HS512"}`, `{"sub":"alice","iss":"orderwire","aud":"orderwire","exp":4e9}`)
	f.Fuzz(func(t *testing.T, text, header, claims string) {
		for _, presented := range []string{text, signed(header, claims)} {
			for name, verify := range map[string]func(string) (auth.Principal, error){"token": v.Verify, "ticket": v.Redeem} {
				p, err := verify(presented)
				if err != nil {
					require.ErrorIs(t, err, auth.ErrInvalid)
					require.Zero(t, p)
					continue
				}
				require.Regexp(t, `^[!-~]{1,128}$`, p.Customer, name)
				require.False(t, p.Expires.IsZero(), name)
			}
		}
	})
}

// signed makes a token of any header and claims with the secret that the verifier has.
func signed(header, claims string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	body := b64([]byte(header)) + "." + b64([]byte(claims))
	mac := hmac.New(sha256.New, []byte(config.Secret))
	fmt.Fprint(mac, body)
	return body + "." + b64(mac.Sum(nil))
}
