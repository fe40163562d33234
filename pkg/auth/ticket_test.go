package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/auth"
)

func TestTicket_IsNoTokenAndATokenIsNoTicket(t *testing.T) {
	v := verifier(t, config)
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	who := auth.Principal{Customer: "alice", Operator: true, Expires: until}
	ticket, err := v.Ticket(who, time.Minute)
	require.NoError(t, err)
	p, err := v.Redeem(ticket)
	require.NoError(t, err)
	require.Equal(t, who.Customer, p.Customer)
	require.True(t, p.Operator)
	require.True(t, until.Equal(p.Expires), "it knows the end of the token that it was given for")

	_, err = v.Verify(ticket)
	require.ErrorIs(t, err, auth.ErrInvalid)
	token, err := v.Sign(who, time.Minute)
	require.NoError(t, err)
	_, err = v.Redeem(token)
	require.ErrorIs(t, err, auth.ErrInvalid)
	late, err := v.Ticket(who, -time.Second)
	require.NoError(t, err)
	_, err = v.Redeem(late)
	require.ErrorIs(t, err, auth.ErrInvalid, "no leeway: it is short enough")
	other := config
	other.Secret = "another secret of at least thirty-two bytes"
	_, err = verifier(t, other).Redeem(ticket)
	require.ErrorIs(t, err, auth.ErrInvalid)
}
