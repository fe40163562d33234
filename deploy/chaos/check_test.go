package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func only(t *testing.T, v verdict, invariant string) {
	t.Helper()
	require.Len(t, v.found, 1, "%v", v.found)
	require.Equal(t, invariant, v.found[0].Invariant)
}

func at(seconds int) duration { return duration(time.Duration(seconds) * time.Second) }

func TestCheckAnswers_FindsWhatBreaksTheContract(t *testing.T) {
	kill := window{Injection{Fault: "F1"}, 10 * time.Second, 12 * time.Second}
	rolling := window{Injection{Fault: "F4"}, 10 * time.Second, 12 * time.Second}
	older := window{Injection{Fault: "F17", Variant: "beside"}, 10 * time.Second, 20 * time.Second}
	ok := entry{Kind: "place", Key: "k", Order: "1", Status: 201, Outcome: outcomeOK, Version: 1}
	for name, c := range map[string]struct {
		all    []entry
		window window
		breaks string
	}{
		"503 while something is away":          {[]entry{{Kind: "place", Status: 503, RetryAfter: true, Begin: at(11), End: at(11)}}, kill, ""},
		"503 without Retry-After":              {[]entry{{Kind: "place", Status: 503, Begin: at(11), End: at(11)}}, kill, "I11"},
		"503 long after everything healed":     {[]entry{{Kind: "place", Status: 503, RetryAfter: true, Begin: at(60), End: at(60)}}, kill, "I11"},
		"502 after a kill":                     {[]entry{{Kind: "place", Status: 502, Begin: at(11), End: at(11)}}, kill, ""},
		"502 in a rolling restart":             {[]entry{{Kind: "place", Status: 502, Begin: at(11), End: at(11)}}, rolling, "I11"},
		"503 after an older instance's end":    {[]entry{{Kind: "place", Status: 503, RetryAfter: true, Begin: at(23), End: at(24)}}, older, ""},
		"503 beside an older instance":         {[]entry{{Kind: "place", Status: 503, RetryAfter: true, Begin: at(11), End: at(12)}}, older, "I11"},
		"502 after an older instance's end":    {[]entry{{Kind: "place", Status: 502, Begin: at(23), End: at(24)}}, older, "I11"},
		"no answer at an older instance's end": {[]entry{{Kind: "place", Error: "EOF", Outcome: outcomeInfo, Begin: at(19), End: at(19)}}, older, "I11"},
		"no answer beside an older instance":   {[]entry{{Kind: "place", Error: "EOF", Outcome: outcomeInfo, Begin: at(11), End: at(11)}}, older, "I11"},
		"no answer after a kill":               {[]entry{{Kind: "place", Error: "EOF", Outcome: outcomeInfo, Begin: at(11), End: at(11)}}, kill, ""},
		"no answer in a rolling restart":       {[]entry{{Kind: "place", Error: "EOF", Outcome: outcomeInfo, Begin: at(11), End: at(11)}}, rolling, "I11"},
		"no answer while nothing is broken":    {[]entry{{Kind: "place", Error: "EOF", Outcome: outcomeInfo, Begin: at(60), End: at(60)}}, kill, "I11"},
		"503 beside a record nobody can read":  {[]entry{{Kind: "place", Status: 503, RetryAfter: true, Begin: at(11), End: at(11)}}, window{Injection{Fault: "F12"}, 10 * time.Second, 12 * time.Second}, "I11"},
		"503 while offsets are reset":          {[]entry{{Kind: "place", Status: 503, RetryAfter: true, Begin: at(11), End: at(11)}}, window{Injection{Fault: "F11", Variant: "reset"}, 10 * time.Second, 12 * time.Second}, ""},
		"an answer that cannot be read":        {[]entry{{Kind: "get", Status: 200, Error: "the answer cannot be read", Outcome: outcomeInfo, Begin: at(11), End: at(11)}}, kill, "I11"},
		"a product that is gone":               {[]entry{{Kind: "product", SKU: "plenty-0", Status: 404, Outcome: outcomeFail, Begin: at(11), End: at(11)}}, kill, "I1"},
		"500":                                  {[]entry{{Kind: "place", Status: 500, Begin: at(11), End: at(11)}}, kill, "I11"},
		"an accepted order is denied":          {[]entry{ok, {Kind: "get", Order: "1", Status: 404, Outcome: outcomeFail}}, kill, "I1"},
		"a key that makes two orders":          {[]entry{ok, {Kind: "place", Key: "k", Order: "2", Status: 201, Outcome: outcomeOK}}, kill, "I1"},
		"an order that goes back":              {[]entry{{Kind: "get", Order: "1", Status: 200, Outcome: outcomeOK, Version: 3}, {Kind: "get", Order: "1", Status: 200, Outcome: outcomeOK, Version: 2}}, kill, "I1"},
		"a shipment that is not there (yet)":   {[]entry{{Kind: "dispatch", Order: "1", Status: 404, Outcome: outcomeFail}}, kill, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var v verdict
			checkAnswers(&v, c.all, []window{c.window})
			if c.breaks == "" {
				require.Empty(t, v.found)
				return
			}
			only(t, v, c.breaks)
		})
	}
}

func known() *placed {
	return &placed{
		id: "1", customer: "c", key: "k", version: 2, body: newOrder{Items: []item{{"plenty-0", 2}}, Note: "n"},
		notes: map[string]bool{"n": true}, streets: map[string]bool{"s": true},
	}
}

func delivered() order {
	return order{
		ID: "1", CustomerID: "c", Status: "delivered", Version: 5, Items: []item{{"plenty-0", 2}}, Note: "n", ShippingAddress: address{Street: "s"},
	}
}

func TestCheckOrders_FindsWhatIsLostChangedStuckOrFromNobody(t *testing.T) {
	var v verdict
	checkOrders(&v, []*placed{known()}, []order{delivered(), delivered()})
	require.Empty(t, v.found)

	for name, c := range map[string]struct {
		invariant string
		plant     func(*placed, *order)
	}{
		"lost":          {"I1", func(_ *placed, o *order) { o.ID = "" }},
		"stuck":         {"I8", func(_ *placed, o *order) { o.Status = "pending" }},
		"overwritten":   {"I1", func(p *placed, _ *order) { p.notes = map[string]bool{"m": true} }},
		"address lost":  {"I1", func(p *placed, _ *order) { p.streets = map[string]bool{"t": true} }},
		"other items":   {"I1", func(_ *placed, o *order) { o.Items = []item{{"plenty-0", 1}} }},
		"rolled back":   {"I1", func(p *placed, _ *order) { p.version = 9 }},
		"of another":    {"I11", func(_ *placed, o *order) { o.CustomerID = "d" }},
		"not cancelled": {"I1", func(p *placed, _ *order) { p.cancel = true }},
		"never placed":  {"I12", func(p *placed, _ *order) { p.id, p.body.Note = "", "other" }},
	} {
		t.Run(name, func(t *testing.T) {
			var v verdict
			p, o := known(), delivered()
			c.plant(p, &o)
			there := []order{o}
			if o.ID == "" {
				there = nil
			}
			checkOrders(&v, []*placed{p}, there)
			only(t, v, c.invariant)
		})
	}
	t.Run("an order whose answer was lost is explained", func(t *testing.T) {
		var v verdict
		p := known()
		p.id = ""
		checkOrders(&v, []*placed{p}, []order{delivered()})
		require.Empty(t, v.found)
	})
}

func TestCheckStock_FindsLeaksAndOversell(t *testing.T) {
	put := []entry{{Kind: "adjust", Key: "a", SKU: "plenty-0", Quantity: 10, Outcome: outcomeInfo}, {Kind: "adjust", Key: "a", SKU: "plenty-0", Quantity: 10, Outcome: outcomeOK}}
	for row, breaks := range map[stockRow]bool{
		{SKU: "plenty-0", Available: 8, Shipped: 2}:              false,
		{SKU: "plenty-0", Available: 7, Shipped: 2}:              true,
		{SKU: "plenty-0", Available: 7, Reserved: 1, Shipped: 2}: true,
	} {
		var v verdict
		checkStock(&v, put, []order{delivered()}, []stockRow{row})
		require.Equal(t, breaks, len(v.found) > 0, "%+v: %v", row, v.found)
	}
}

func TestCheckLog_FindsHolesAndMoves(t *testing.T) {
	l := lane{topicOrders, "order-api", "1"}
	one, two, three := record{lane: l, Sequence: "0000000001"}, record{lane: l, Sequence: "0000000002"}, record{lane: l, Sequence: "0000000003"}
	var v verdict
	checkLog(&v, []record{one, two, one, two, three})
	require.Empty(t, v.found, "repeats are harmless")
	checkLog(&v, []record{one, three})
	only(t, v, "I4")
	v, two.Partition = verdict{}, 4
	checkLog(&v, []record{one, two})
	only(t, v, "I4")
}

func TestCheckWatcher_FindsGapsDisorderAndForeignEvents(t *testing.T) {
	at := func(order, customer, sequence string) record {
		return record{lane: lane{topicOrders, "order-api", order}, Sequence: sequence, Customer: customer}
	}
	a, b, foreign := at("1", "c", "1"), at("2", "c", "1"), at("3", "d", "1")
	log := []record{a, foreign, b, a}
	push := func(all ...record) []pushed {
		var out []pushed
		for _, r := range all {
			out = append(out, pushed{lane: r.lane, Sequence: r.Sequence})
		}
		return out
	}
	var v verdict
	checkWatcher(&v, "w", "c", log, push(a, b))
	require.Empty(t, v.found)
	for name, seen := range map[string][]pushed{
		"gap": push(b), "end": push(a), "disorder": push(b, a), "foreign": push(a, foreign, b), "nothing": nil,
	} {
		v = verdict{}
		checkWatcher(&v, "w", "c", log, seen)
		require.NotEmpty(t, v.found, name)
	}
}
