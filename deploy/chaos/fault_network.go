package main

import (
	"context"
	"fmt"
	"time"

	"github.com/orderwire/orderwire/deploy/stack"
)

// someLink draws a link: to a broker, to a service's database, or a client's.
func someLink(d *drawer) string {
	switch d.one("broker", "database", "api", "notifier") {
	case "broker":
		return brokerLink(d)
	case "database":
		return stack.LinkDatabase + "-" + d.one(consumers...)
	case "api":
		return linkAPI
	default:
		return linkNotifier
	}
}

func brokerLink(d *drawer) string {
	return fmt.Sprintf("%s-%d", stack.LinkBroker, 1+d.r.IntN(max(d.t.nodes, 1)))
}

// F7: a link is cut, resets, is slow, narrow, or passes one way only.
func drawNetwork(d *drawer) {
	d.every(3*time.Second, 8*time.Second, func(at time.Duration) {
		lasts := d.between(time.Second, 8*time.Second)
		switch how := d.one("cut", "reset", "latency", "bandwidth", "one-way"); how {
		case "latency":
			d.add(at, lasts, how, 100+d.r.IntN(1900), someLink(d))
		case "bandwidth":
			d.add(at, lasts, how, 30, someLink(d))
		default:
			d.add(at, lasts, how, 0, someLink(d))
		}
	})
}

// F8: what is asked arrives and is done, and the answer is lost: produce, offset commit, database write, HTTP 201.
func drawLostAnswer(d *drawer) {
	d.every(2*time.Second, 6*time.Second, func(at time.Duration) {
		target := d.one(brokerLink(d), stack.LinkDatabase+"-"+d.one(consumers...), linkAPI)
		d.add(at, d.between(200*time.Millisecond, 3*time.Second), "lost-answer", 0, target)
	})
}

// doNetwork puts what the variant says on the links.
func doNetwork(_ context.Context, b *breaker, i Injection) (healer, error) {
	var heals []func()
	heal := func(context.Context) {
		for _, h := range heals {
			h()
		}
	}
	for _, name := range i.Target {
		k := b.sys.links.get(name)
		if k == nil {
			return heal, fmt.Errorf("no link is called %q", name)
		}
		if i.Variant == "cut" {
			heals = append(heals, k.cut())
			continue
		}
		for _, t := range toxics(i) {
			h, err := k.put(t)
			if err != nil {
				return heal, err
			}
			heals = append(heals, h)
		}
	}
	return heal, nil
}

func toxics(i Injection) []toxic {
	switch i.Variant {
	case "reset": // connections end in a reset half a second after they were made
		return []toxic{{Type: "reset_peer", Stream: "upstream", Attributes: map[string]any{"timeout": 500}}}
	case "latency":
		return []toxic{{Type: "latency", Stream: "downstream", Attributes: map[string]any{"latency": i.N, "jitter": i.N / 2}}}
	case "bandwidth":
		at := map[string]any{"rate": i.N} // kB/s
		return []toxic{{Type: "bandwidth", Stream: "upstream", Attributes: at}, {Type: "bandwidth", Stream: "downstream", Attributes: at}}
	case "one-way": // nothing reaches the server, which does not notice
		return []toxic{{Type: "timeout", Stream: "upstream", Attributes: map[string]any{"timeout": 0}}}
	case "lost-answer": // everything reaches the server, nothing comes back
		return []toxic{{Type: "timeout", Stream: "downstream", Attributes: map[string]any{"timeout": 0}}}
	case "silent":
		at := map[string]any{"timeout": 0}
		return []toxic{{Type: "timeout", Stream: "upstream", Attributes: at}, {Type: "timeout", Stream: "downstream", Attributes: at}}
	default:
		return nil
	}
}
