package shipment

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every parcel has a rate: every country that there could be, and every number of pieces that an order can have.
func TestRates_CoverEveryParcel(t *testing.T) {
	used := map[Rate]bool{}
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			for _, pieces := range []int64{1, 5, 6, 10, 11, 100_000} {
				r := RateFor(string([]rune{a, b}), pieces)
				require.NotEmpty(t, r.Carrier)
				require.NotEmpty(t, r.Service)
				require.Positive(t, r.Cost)
				require.Equal(t, "EUR", r.Currency)
				require.Positive(t, r.Days)
				used[r] = true
			}
		}
	}
	for _, r := range rates {
		require.True(t, used[r.Rate], "the row of %s %s is never reached", r.Carrier, r.Service)
	}
	require.NotEmpty(t, RateFor("", 0).Carrier)
}

func TestRates_DependOnZoneAndPieces(t *testing.T) {
	for _, c := range []struct {
		country string
		pieces  int64
		service string
	}{
		{"IE", 5, "letterbox"},
		{"IE", 6, "parcel"},
		{"DE", 5, "standard"},
		{"DE", 6, "bulk"},
		{"CH", 5, "customs"},
		{"CH", 500, "customs"},
		{"AU", 10, "air"},
		{"AU", 11, "sea"},
	} {
		require.Equal(t, c.service, RateFor(c.country, c.pieces).Service, "%d to %s", c.pieces, c.country)
	}
}

func TestRates_PutNoCountryInTwoZones(t *testing.T) {
	all := slices.Concat(home, europe, near)
	slices.Sort(all)
	require.Len(t, slices.Compact(slices.Clone(all)), len(all))
}

// A repeat of the step that makes the number must make the same one.
func TestTrackingNumber_IsTheSameEachTime(t *testing.T) {
	seen := map[string]string{}
	for range 2 {
		for _, id := range []string{"", "a", "b", "0197a1b2-0000-7000-8000-000000000000"} {
			number := TrackingNumber(id)
			require.Regexp(t, `^OW\d{10}$`, number)
			if seen[number] == "" {
				seen[number] = "of " + id
			}
			require.Equal(t, "of "+id, seen[number])
		}
	}
	require.Len(t, seen, 4)
}
