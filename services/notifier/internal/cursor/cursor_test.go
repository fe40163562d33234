package cursor

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawn gives any cursor.
func drawn(t *rapid.T) Cursor {
	var c Cursor
	for i := range Topics {
		c.Lineage[i] = rapid.Uint32().Draw(t, "hash")
		c.Next[i] = rapid.SliceOfN(rapid.Int64Min(0), 0, 30).Draw(t, "offsets")
	}
	return c
}

func TestCursor_ComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawn(t)
		again, err := Parse(c.String())
		require.NoError(t, err)
		require.Equal(t, c.Lineage, again.Lineage)
		for i := range Topics {
			require.ElementsMatch(t, c.Next[i], again.Next[i])
		}
		require.Equal(t, c.String(), again.String())
	})
}

func TestParse_RefusesWhatIsNoCursor(t *testing.T) {
	whole := Cursor{Lineage: Lineage{1, 2}, Next: Position{{1, 2}, {300}}}.String()
	raw, err := base64.RawURLEncoding.DecodeString(whole)
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	for name, text := range map[string]string{
		"empty":                "",
		"words":                "nonsense",
		"cut":                  encode(raw[:len(raw)-1]),
		"longer":               encode(append(raw[:len(raw):len(raw)], 0)),
		"padded":               base64.URLEncoding.EncodeToString(raw[:len(raw)-1]),
		"another version":      encode(append([]byte{2}, raw[1:]...)),
		"many partitions":      encode(append(raw[:9:9], 0xff, 0xff, 0xff, 0xff, 0x0f)),
		"a number too long":    encode(append(raw[:9:9], 1, 0x81, 0x80, 0x00, 0)),
		"a negative offset":    encode(append(raw[:9:9], 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0)),
		"only a lineage":       encode(raw[:9]),
		"no lineage":           encode(raw[:5]),
		"trailing white space": whole + " ",
	} {
		_, err := Parse(text)
		require.ErrorIs(t, err, ErrInvalid, name)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("")
	f.Add("nonsense")
	f.Add(Cursor{Lineage: Lineage{1, 2}, Next: Position{{1, 2}, {300}}}.String())
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		require.Equal(t, text, c.String(), "there is one text for a cursor")
	})
}

func TestHash_TellsLogsApart(t *testing.T) {
	require.NotEqual(t, Hash("a", [16]byte{1}), Hash("a", [16]byte{2}), "a topic that was made again")
	require.NotEqual(t, Hash("a", [16]byte{1}), Hash("b", [16]byte{1}), "another cluster")
	require.EqualValues(t, 0xdafe4e6d, Hash("a", [16]byte{1}), "cursors that are out there must stay good")
}

func TestPosition_ComparesPartitionByPartition(t *testing.T) {
	p, q := Position{{5, 5}, {5}}, Position{{4, 6}, {5, 1}}
	require.False(t, p.Covers(q))
	require.True(t, p.Covers(Position{{5, 4}, {0}}))
	require.True(t, p.Covers(Position{}))
	require.False(t, p.Covers(Position{{}, {0, 0}}), "a partition that it does not know")
	require.EqualValues(t, 1+1, p.Distance(q))
	require.EqualValues(t, 1, q.Distance(p))
	require.Equal(t, Position{{5, 6}, {5, 1}}, p.Max(q))
	require.Equal(t, Position{{5, 5}, {5}}, p, "the others are left as they were")
}
