package outbox

import "time"

type settings struct {
	maxEntries, maxBytes, maxSending, maxIdle, forgetAfter int

	linger, drainTimeout, clearEvery time.Duration

	sweepEvery, sweepAge time.Duration
	sweepPage            int

	backoff func(failures int) time.Duration
}

func defaults() settings {
	return settings{
		maxEntries: 8192, maxBytes: 16 << 20, maxSending: 2048, maxIdle: 8192, forgetAfter: 8,
		linger: 2 * time.Second, drainTimeout: 3 * time.Second, clearEvery: 300 * time.Millisecond,
		sweepEvery: 2 * time.Second, sweepAge: 5 * time.Second, sweepPage: 100,
		backoff: exponential(100*time.Millisecond, 5*time.Second),
	}
}

// Option changes a relay's settings.
type Option func(*settings)

// WithMemory bounds what the relay holds, in entries and bytes. More is left to the sweep.
func WithMemory(entries, bytes int) Option {
	return func(s *settings) { s.maxEntries, s.maxBytes = entries, bytes }
}

// WithSweep says how often stored outboxes are looked for, and from what age on they count as left behind: well above
// the time that an entry usually takes, and above the difference between clocks.
func WithSweep(every, age time.Duration) Option {
	return func(s *settings) { s.sweepEvery, s.sweepAge = every, age }
}

// WithBackoff bounds the wait before an entry is sent again.
func WithBackoff(first, longest time.Duration) Option {
	return func(s *settings) { s.backoff = exponential(first, longest) }
}

// WithDrainTimeout bounds the time between the end of Run's context and its return.
func WithDrainTimeout(d time.Duration) Option {
	return func(s *settings) { s.drainTimeout = d }
}

// WithClearEvery says how long a published entry waits for its document's next write, which removes it for nothing. Then it
// is cleared.
func WithClearEvery(d time.Duration) Option {
	return func(s *settings) { s.clearEvery = d }
}
