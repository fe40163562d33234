package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// links are the proxies between the parts, by name.
type links struct {
	server *toxiproxy.ApiServer
	mu     sync.Mutex
	byName map[string]*link
}

func newLinks() *links {
	return &links{
		server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()),
		byName: map[string]*link{},
	}
}

// link is one proxy. Faults may overlap: each toxic has a name of its own, and cuts are counted.
type link struct {
	name  string
	mu    sync.Mutex
	proxy *toxiproxy.Proxy
	cuts  int
	next  int
}

// add puts a proxy in front of upstream and gives its address; it is what stack.Config.Link asks for.
func (l *links) add(name, upstream string) (string, error) {
	p := toxiproxy.NewProxy(l.server, name, "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		return "", fmt.Errorf("proxy %s: %w", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byName[name] = &link{name: name, proxy: p}
	return p.Listen, nil
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
		k.proxy.Stop()
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
			_ = k.proxy.Start() // on the port that it had; who took it meanwhile shows as a link that never heals
		}
	}
}
