package feed

// index finds the subscriptions that an event may concern. A subscription stands under one kind of key only, the one
// that is narrowest, so that nobody is found twice.
type index struct {
	byCustomer map[string]set
	byOrder    map[string]set
	all        set
	members    set
}

type set map[*Subscription]struct{}

func newIndex() index {
	return index{byCustomer: map[string]set{}, byOrder: map[string]set{}, all: set{}, members: set{}}
}

// keys tells where a filter stands: at its orders, at its customers, or with those who watch everything.
func (x *index) keys(f *Filter) (where map[string]set, keys []string) {
	switch {
	case len(f.Orders) > 0:
		return x.byOrder, f.Orders
	case !f.Operator:
		return x.byCustomer, []string{f.Viewer}
	case len(f.Customers) > 0:
		return x.byCustomer, f.Customers
	}
	return nil, nil
}

func (x *index) add(s *Subscription) {
	x.members[s] = struct{}{}
	where, keys := x.keys(s.filter)
	if where == nil {
		x.all[s] = struct{}{}
		return
	}
	for _, key := range keys {
		if where[key] == nil {
			where[key] = set{}
		}
		where[key][s] = struct{}{}
	}
}

func (x *index) remove(s *Subscription) {
	if _, ok := x.members[s]; !ok {
		return
	}
	delete(x.members, s)
	delete(x.all, s)
	where, keys := x.keys(s.filter)
	for _, key := range keys {
		delete(where[key], s)
		if len(where[key]) == 0 {
			delete(where, key)
		}
	}
}

// each calls found for every subscription whose filter the event passes.
func (x *index) each(e *Event, found func(*Subscription)) {
	for _, candidates := range [...]set{x.byCustomer[e.Customer], x.byOrder[e.Order], x.all} {
		for s := range candidates {
			if s.filter.Passes(e) {
				found(s)
			}
		}
	}
}
