package chaos

// Failpoint is a place in the code at which a process can be made to die.
type Failpoint string

// The failpoints, where a crash hurts most.
const (
	// Start is when all parts of a service have been started.
	Start Failpoint = "start"
	// Join is when a group member has its assignment.
	Join Failpoint = "join"
	// BeforeWrite is before a document is written with its events.
	BeforeWrite Failpoint = "before-write"
	// AfterWrite is when a document is stored, and nobody has heard of it yet: no relay, no caller.
	AfterWrite Failpoint = "after-write"
	// BeforeClear is when the broker has taken an event, which is still in the outbox.
	BeforeClear Failpoint = "before-clear"
	// BeforeMark is when a batch has had its effect, and no offset is marked.
	BeforeMark Failpoint = "before-mark"
	// BeforeCommit is when offsets are marked, and not committed.
	BeforeCommit Failpoint = "before-commit"
	// AfterDeadLetter is when a dead letter is in its topic, and its record is not marked.
	AfterDeadLetter Failpoint = "after-dead-letter"
	// Redrive is when a redriven record has had its effect, and no offset is marked.
	Redrive Failpoint = "redrive"
)

// Failpoints lists them all.
func Failpoints() []Failpoint {
	return []Failpoint{
		Start, Join, BeforeWrite, AfterWrite, BeforeClear, BeforeMark, BeforeCommit, AfterDeadLetter, Redrive,
	}
}

// Control is a wrong behaviour that a checker must find: a negative control.
type Control string

// The negative controls.
const (
	// NoDedup takes an event that was heard before as if it were new.
	NoDedup Control = "no-dedup"
	// MarkOnReceipt marks an offset when the record is read.
	MarkOnReceipt Control = "mark-on-receipt"
	// MarkOutOfOrder marks what is finished although something before it is not.
	MarkOutOfOrder Control = "mark-out-of-order"
	// ClearBeforeAck removes an event from its outbox when it is sent.
	ClearBeforeAck Control = "clear-before-ack"
	// PublishBeforeWrite publishes the events of a write that may fail.
	PublishBeforeWrite Control = "publish-before-write"
	// UnguardedStock reads stock outside the transaction, and takes from it without asking whether there is as much.
	UnguardedStock Control = "unguarded-stock"
	// RandomPartitioner spreads an order's events.
	RandomPartitioner Control = "random-partitioner"
	// StartAtNewest makes a group that has committed nothing begin at the end.
	StartAtNewest Control = "start-at-newest"
	// SwallowDeadLetters keeps no dead letters.
	SwallowDeadLetters Control = "swallow-dead-letters"
	// SkipSilently keeps some events from clients and tells them nothing.
	SkipSilently Control = "skip-silently"
	// TwoInFlight has two unacknowledged events of an order and topic.
	TwoInFlight Control = "two-in-flight"
	// NoVersionGuard writes a document over whatever is there.
	NoVersionGuard Control = "no-version-guard"
	// TrustType believes an event's type and not its snapshot.
	TrustType Control = "trust-type"
)

// Controls lists them all.
func Controls() []Control {
	return []Control{
		NoDedup, MarkOnReceipt, MarkOutOfOrder, ClearBeforeAck, PublishBeforeWrite, UnguardedStock, RandomPartitioner,
		StartAtNewest, SwallowDeadLetters, SkipSilently, TwoInFlight, NoVersionGuard, TrustType,
	}
}
