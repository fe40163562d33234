package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/auth"
)

var config = auth.Config{Secret: strings.Repeat("s", 32), Issuer: "orderwire", Audience: "orderwire"}

func verifier(t *testing.T, c auth.Config) *auth.Verifier {
	t.Helper()
	require.NoError(t, c.Validate())
	v, err := auth.NewVerifier(t.Context(), c)
	require.NoError(t, err)
	return v
}

func TestVerify_TakesWhatSignMade(t *testing.T) {
	v := verifier(t, config)
	token, err := v.Sign(auth.Principal{Customer: "alice", Operator: true}, time.Hour)
	require.NoError(t, err)
	p, err := v.Verify(token)
	require.NoError(t, err)
	require.Equal(t, "alice", p.Customer)
	require.True(t, p.Operator)
	require.WithinDuration(t, time.Now().Add(time.Hour), p.Expires, 5*time.Second)
}

func TestVerify_RefusesEverythingElse(t *testing.T) {
	v := verifier(t, config)
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"sub": "alice", "iss": "orderwire", "aud": "orderwire", "exp": time.Now().Add(time.Hour).Unix()}
	}
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		c := good()
		change(c)
		token, err := jwt.NewWithClaims(method, c).SignedString(key)
		require.NoError(t, err)
		return token
	}
	same := func(jwt.MapClaims) {}
	secret := []byte(config.Secret)
	_, err := v.Verify(sign(jwt.SigningMethodHS256, secret, same))
	require.NoError(t, err, "the others differ from this one in one thing each")
	for name, token := range map[string]string{
		"empty":            "",
		"garbage":          "a.b.c",
		"no signature":     sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same),
		"another method":   sign(jwt.SigningMethodHS512, secret, same),
		"another secret":   sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), same),
		"expired":          sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() }),
		"no expiry":        sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { delete(c, "exp") }),
		"not yet":          sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Minute).Unix() }),
		"another issuer":   sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["iss"] = "mallory" }),
		"no issuer":        sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { delete(c, "iss") }),
		"another audience": sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["aud"] = "shop" }),
		"no subject":       sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { delete(c, "sub") }),
		"line break":       sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["sub"] = "alice\r\nX: y" }),
		"long subject":     sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["sub"] = strings.Repeat("a", 129) }),
	} {
		_, err := v.Verify(token)
		require.ErrorIs(t, err, auth.ErrInvalid, name)
	}
}

func TestVerify_TakesKeysOfAJWKSAndNoSecret(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	public, err := key.PublicKey.Bytes() // 4, x, y
	require.NoError(t, err)
	b64 := base64.RawURLEncoding
	jwks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"k1","x":%q,"y":%q}]}`,
			b64.EncodeToString(public[1:33]), b64.EncodeToString(public[33:]))
	}))
	t.Cleanup(jwks.Close)
	v := verifier(t, auth.Config{JWKSURL: jwks.URL, Issuer: "orderwire", Audience: "orderwire"})
	claims := jwt.MapClaims{"sub": "alice", "iss": "orderwire", "aud": "orderwire", "exp": time.Now().Add(time.Hour).Unix()}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = "k1"
	signed, err := token.SignedString(key)
	require.NoError(t, err)
	p, err := v.Verify(signed)
	require.NoError(t, err)
	require.Equal(t, "alice", p.Customer)

	// The classic confusion: the public key used as a shared secret.
	confused := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	confused.Header["kid"] = "k1"
	signed, err = confused.SignedString(public)
	require.NoError(t, err)
	_, err = v.Verify(signed)
	require.ErrorIs(t, err, auth.ErrInvalid)
	_, err = v.Sign(p, time.Hour)
	require.ErrorIs(t, err, auth.ErrCannotSign)
}

func TestConfig_WantsExactlyOneSourceOfKeys(t *testing.T) {
	for name, c := range map[string]auth.Config{
		"none":  {Issuer: "i", Audience: "a"},
		"two":   {Secret: strings.Repeat("s", 32), JWKSURL: "https://x", Issuer: "i", Audience: "a"},
		"short": {Secret: "short", Issuer: "i", Audience: "a"},
	} {
		require.ErrorContains(t, c.Validate(), "JWT_SECRET", name)
	}
}
