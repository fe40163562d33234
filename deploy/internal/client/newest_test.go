package client

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewest_DropsRepeatsOfTheLastKeysAndForgetsTheOthers(t *testing.T) {
	n := newest{most: 100}
	key := func(i int) string { return fmt.Sprint("order-", i) }
	const all = 1000 // two keys are heard of at each step, so 49 steps behind is among the last hundred
	for i := range all {
		require.True(t, n.take(key(i), "2"), i)
		for _, behind := range []int{0, 49} {
			if i >= behind {
				require.False(t, n.take(key(i-behind), "2"), "%d behind %d", behind, i)
				require.False(t, n.take(key(i-behind), "1"), "%d behind %d", behind, i)
			}
		}
		require.LessOrEqual(t, len(n.recent)+len(n.older), 2*n.most)
	}
	require.True(t, n.take(key(all-1), "3"))
	require.False(t, n.take(key(all-1), "3"))
	require.True(t, n.take(key(0), "2"), "forgotten")
}

func TestNewest_AnOrderThatIsHeardOfIsNotForgotten(t *testing.T) {
	n := newest{most: 10}
	require.True(t, n.take("busy", "1"))
	for i := range 1000 {
		require.True(t, n.take(fmt.Sprint(i), "1"))
		require.False(t, n.take("busy", "1"))
	}
}
