package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/orderwire/orderwire/deploy/stack"
)

// links are the proxies between the parts, by name.
type links struct {
	server *toxiproxy.ApiServer
	note   func(format string, args ...any)
	ports  stack.Ports
	mu     sync.Mutex
	byName map[string]*link
}

func newLinks(note func(string, ...any)) *links {
	return &links{
		note:   note,
		server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()),
		byName: map[string]*link{},
	}
}

// link is one proxy. Faults may overlap: each toxic has a name of its own, and cuts are counted.
type link struct {
	name  string
	note  func(format string, args ...any)
	mu    sync.Mutex
	proxy *toxiproxy.Proxy
	cuts  int
	next  int
	// stepper is between the proxy and the database; nil where the link leads elsewhere.
	stepper *stepper
}

// add puts a proxy in front of upstream and gives its address; it is what stack.Config.Link asks for.
func (l *links) add(name, upstream string) (string, error) {
	k := &link{name: name, note: l.note}
	if strings.HasPrefix(name, stack.LinkDatabase+"-") {
		addr, err := l.address()
		if err != nil {
			return "", fmt.Errorf("stepper %s: %w", name, err)
		}
		if k.stepper, err = newStepper(addr, upstream); err != nil {
			return "", fmt.Errorf("stepper %s: %w", name, err)
		}
		upstream = addr
	}
	addr, err := l.address()
	if err == nil {
		k.proxy = toxiproxy.NewProxy(l.server, name, addr, upstream)
		err = k.proxy.Start()
	}
	if err != nil {
		k.close()
		return "", fmt.Errorf("proxy %s: %w", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byName[name] = k
	return k.proxy.Listen, nil
}

// address gives one that nobody else takes.
func (l *links) address() (string, error) {
	port, err := l.ports.Free()
	return fmt.Sprintf("127.0.0.1:%d", port), err
}

func (l *links) get(name string) *link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byName[name]
}

// close ends all proxies.
func (l *links) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.byName {
		k.close()
	}
	l.ports.Close()
}

func (k *link) close() {
	if k.proxy != nil {
		k.proxy.Stop()
	}
	if k.stepper != nil {
		k.stepper.close()
	}
}

// toxic is what is done to the bytes of a link; see toxiproxy's README for types and attributes.
type toxic struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Stream     string         `json:"stream"` // upstream: towards the server; downstream: its answers
	Toxicity   float32        `json:"toxicity"`
	Attributes map[string]any `json:"attributes"`
}

// put adds the toxic; the function that it gives takes it away again.
func (k *link) put(t toxic) (func(), error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next++
	t.Name = fmt.Sprintf("%s-%d", t.Type, k.next)
	if t.Toxicity == 0 {
		t.Toxicity = 1
	}
	raw, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	if _, err := k.proxy.Toxics.AddToxicJson(bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("link %s: %s: %w", k.name, t.Type, err)
	}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		_ = k.proxy.Toxics.RemoveToxic(context.Background(), t.Name) // it is there: it was added above
	}, nil
}

// cut closes all connections and refuses new ones until the function that it gives is called.
func (k *link) cut() func() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cuts++
	if k.cuts == 1 {
		k.proxy.Stop()
	}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.cuts--
		if k.cuts == 0 {
			k.reopen()
		}
	}
}

// reopenWithin is how long a link that was cut waits for its port.
const reopenWithin = 10 * time.Second

// reopen listens on the port that the link had. A child that is being started has a copy of the old listener for a
// moment, so that may take a few tries.
func (k *link) reopen() {
	begun := time.Now()
	for said := false; ; {
		err := k.proxy.Start()
		took := time.Since(begun).Round(time.Millisecond)
		switch {
		case err == nil && said:
			k.note("link %s: open again after %s", k.name, took)
			return
		case err == nil:
			return
		case took > reopenWithin:
			k.note("link %s: stays cut, its port is taken: %v", k.name, err)
			return
		case !said:
			k.note("link %s: its port is taken, tried again: %v", k.name, err)
			said = true
		}
		time.Sleep(10 * time.Millisecond)
	}
}
