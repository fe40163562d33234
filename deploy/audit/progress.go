package audit

import "time"

// sayEvery is how often a long audit says how far it is.
const sayEvery = 5 * time.Second

// progress counts what one step of an audit has done, and says so now and then.
type progress struct {
	say   func(format string, args ...any)
	what  string
	total int64 // 0: not known
	done  int64
	said  time.Time
}

func (a *auditor) progress(what string, total int64) *progress {
	return &progress{say: a.config.Say, what: what, total: total, said: time.Now()}
}

func (p *progress) step(n int) {
	p.done += int64(n)
	if p.done&0xff != 0 && n == 1 { // to ask for the time is not free
		return
	}
	now := time.Now()
	if now.Sub(p.said) < sayEvery {
		return
	}
	p.said = now
	if p.total > 0 {
		p.say("%s: %d of about %d (%d %%)", p.what, p.done, p.total, min(100, 100*p.done/p.total))
		return
	}
	p.say("%s: %d", p.what, p.done)
}
