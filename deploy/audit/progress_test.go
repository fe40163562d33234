package audit

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProgress_SaysNowAndThenHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		a := &auditor{config: Config{Say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}}
		known, open := a.progress("events", 20_000), a.progress("orders", 0)
		for range 10_000 { // 10 s
			time.Sleep(time.Millisecond)
			known.step(1)
		}
		require.Len(t, said, 1)
		require.Regexp(t, `^events: 5\d\d\d of about 20000 \(2\d %\)$`, said[0])
		open.step(300)
		require.Equal(t, "orders: 300", said[1])
	})
}
