package audit

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFindings_SayHowManyViolationsTheyLeaveOut(t *testing.T) {
	const broken = 250
	for most, want := range map[int]struct{ listed, leftOut int }{maxListed: {100, 150}, math.MaxInt: {broken, 0}} {
		f := newFindings("live", most)
		f.check("I2", true, nil)
		for i := range broken {
			f.check("I2", false, func() Violation { return Violation{Detail: fmt.Sprint(i)} })
		}
		raw, err := json.Marshal(f.by["I2"])
		require.NoError(t, err)
		var told struct {
			Checked, Total, LeftOut int
			Violations              []Violation
		}
		require.NoError(t, json.Unmarshal(raw, &told))
		require.Equal(t, broken+1, told.Checked)
		require.Equal(t, broken, told.Total)
		require.Equal(t, want.leftOut, told.LeftOut)
		require.Len(t, told.Violations, want.listed)
		require.Equal(t, fmt.Sprint(want.listed-1), told.Violations[want.listed-1].Detail, "the first ones, in order")
	}
}
