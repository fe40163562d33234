package audit

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// violated checks what was set aside, and gives what is violated.
func violated(t *testing.T, a *auditor) (all []string) {
	t.Helper()
	require.NoError(t, a.kept.each(maxEntries, func(b *bucket) error {
		_, err := a.bucket(t.Context(), b)
		return err
	}))
	for _, i := range a.found.Invariants {
		for _, v := range i.Violations {
			all = append(all, i.ID+" "+v.Detail)
		}
	}
	return all
}

// Where the order, the reservation and the log agree that shipping was never asked, the goods are held for ever.
func TestReservation_WhatHoldsGoodsHasAskedForShipping(t *testing.T) {
	const id = "o-1"
	for _, c := range []struct {
		name   string
		is     ends
		sticks bool
	}{
		{"held", ends{held, noCause}, true},
		{"shipped", ends{shippedOut, noCause}, true},
		{"lost under way", ends{writtenOff, causeFailed}, true},
		{"came back", ends{released, causeFailed}, true},
		{"cancelled before it came to inventory", ends{released, causeCancelled}, false},
		{"rejected", ends{rejected, noCause}, false},
	} {
		v := &reservationDocument{Envelope: Envelope{ID: id}, Facts: reservationFacts{Status: c.is.Status, Cause: c.is.Cause}}
		o := &orderDocument{Envelope: Envelope{ID: id}, HasStock: true, Stock: stockFacts{Status: c.is.Status, Cause: c.is.Cause}}
		o.Amounts = amountsTo(o)
		o.Facts.Status = o.Amounts
		var want []string
		if c.sticks {
			want = []string{"I9 goods were held, and shipping was never asked to ship them"}
		}
		a := offline(t)
		require.NoError(t, a.kept.put(&entry{Order: o}))
		require.NoError(t, a.kept.put(&entry{Reservation: v}))
		require.Equal(t, want, violated(t, a), c.name)
	}
}
