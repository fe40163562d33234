package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCheckHostile_WantsTheDocumentedRefusal(t *testing.T) {
	kill := window{Injection{Fault: "F1"}, 10 * time.Second, 12 * time.Second}
	refused := func(status int, code string, change func(*probe)) probe {
		p := probe{
			demand: demand{want: []int{422}, code: []string{"quantity"}}, ContentType: "application/problem+json",
			entry: entry{Begin: at(1), End: at(1), Status: status, Code: code},
		}
		if change != nil {
			change(&p)
		}
		return p
	}
	later := func(p *probe) { p.Begin, p.End, p.RetryAfter = at(11), at(11), true }
	for name, c := range map[string]struct {
		probe  probe
		breaks bool
	}{
		"as documented":                       {refused(422, "quantity", nil), false},
		"taken":                               {refused(201, "", nil), true},
		"another status":                      {refused(400, "quantity", nil), true},
		"another code":                        {refused(422, "sku", nil), true},
		"500":                                 {refused(500, "internal", nil), true},
		"500 while something is broken":       {refused(500, "internal", later), true},
		"taken while something is broken":     {refused(201, "", later), true},
		"503":                                 {refused(503, "unavailable", func(p *probe) { p.RetryAfter = true }), true},
		"503 while something is broken":       {refused(503, "unavailable", later), false},
		"no answer":                           {refused(0, "", func(p *probe) { p.Error = "EOF" }), true},
		"no answer while something is broken": {refused(0, "", func(p *probe) { later(p); p.Error = "EOF" }), false},
		"no problem+json":                     {refused(422, "quantity", func(p *probe) { p.ContentType = "text/html" }), true},
		"a header of the client's making":     {refused(422, "quantity", func(p *probe) { p.Injected = true }), true},
		"401 without a challenge":             {refused(401, "invalid_token", func(p *probe) { p.want, p.code = []int{401}, nil }), true},
	} {
		t.Run(name, func(t *testing.T) {
			var v verdict
			checkHostile(&v, []probe{c.probe}, []window{kill, {Injection{Fault: "F14"}, 0, 3 * time.Second}})
			if !c.breaks {
				require.Empty(t, v.found)
				return
			}
			only(t, v, "I11")
		})
	}
}

func TestHostile_EveryMemberIsReplacedOnce(t *testing.T) {
	object := map[string]any{"items": []any{map[string]any{"sku": "s", "quantity": 1}}, "address": map[string]any{"name": "n"}}
	all := map[string]bool{}
	for _, o := range replaced(object, map[string]any{"$gt": ""}) {
		all[string(mustJSON(o))] = true
	}
	require.Equal(t, map[string]bool{
		`{"address":{"name":"n"},"items":{"$gt":""}}`:                          true,
		`{"address":{"$gt":""},"items":[{"quantity":1,"sku":"s"}]}`:            true,
		`{"address":{"name":{"$gt":""}},"items":[{"quantity":1,"sku":"s"}]}`:   true,
		`{"address":{"name":"n"},"items":[{"quantity":1,"sku":{"$gt":""}}]}`:   true,
		`{"address":{"name":"n"},"items":[{"quantity":{"$gt":""},"sku":"s"}]}`: true,
	}, all)
}
