package kafka

import (
	"testing"

	"go.uber.org/goleak"
)

// leftBySarama is its breaker for a broker that is away: it sleeps ten seconds, whatever is closed meanwhile.
var leftBySarama = goleak.IgnoreAnyFunction("github.com/eapache/go-resiliency/breaker.(*Breaker).timer")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, leftBySarama) }
