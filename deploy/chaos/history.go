package main

import (
	"encoding/json"
	"os"
	"sync"
	"time"
)

// The outcomes of a request.
const (
	outcomeOK   = "ok"
	outcomeFail = "fail" // refused: it has not happened
	outcomeInfo = "info" // unknown: it may or may not have happened
)

// entry is one request of the history; an operation that is tried again has several with the same Op.
type entry struct {
	Op         int64    `json:"op"`
	Try        int      `json:"try"`
	Client     string   `json:"client"`
	Kind       string   `json:"kind"`
	Begin      duration `json:"begin"` // since the run's
	End        duration `json:"end"`
	Order      string   `json:"order,omitempty"`
	Key        string   `json:"key,omitempty"`
	SKU        string   `json:"sku,omitempty"`
	Quantity   int64    `json:"quantity,omitempty"`
	Note       string   `json:"note,omitempty"`
	Status     int      `json:"status,omitempty"`
	Outcome    string   `json:"outcome"`
	Code       string   `json:"code,omitempty"`
	RetryAfter bool     `json:"retryAfter,omitempty"`
	Version    int64    `json:"version,omitempty"`
	Error      string   `json:"error,omitempty"`
}

// history keeps every request, in memory for the check and as JSONL for people.
type history struct {
	mu       sync.Mutex
	all      []entry
	accepted map[string]int // orders, by how many were accepted before

	file *os.File
	out  *json.Encoder
	ops  int64
}

func newHistory(path string) (*history, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &history{accepted: map[string]int{}, file: f, out: json.NewEncoder(f)}, nil
}

func (h *history) operation() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops++
	return h.ops
}

func (h *history) add(e entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, e)
	if _, again := h.accepted[e.Order]; e.Kind == "place" && e.Outcome == outcomeOK && !again {
		h.accepted[e.Order] = len(h.accepted)
	}
	h.out.Encode(e) //nolint:errcheck // the check works on what is in memory; close tells
}

// count is how many orders were accepted so far.
func (h *history) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.accepted)
}

func (h *history) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.file.Close()
}

// window is a time in which something was broken.
type window struct {
	Injection
	From, To time.Duration
}

// unavailable counts the seconds in which orders were tried to be placed and none was taken.
func unavailable(all []entry) int {
	tried, taken := map[int64]bool{}, map[int64]bool{}
	for _, e := range all {
		if e.Kind != "place" {
			continue
		}
		second := int64(time.Duration(e.End) / time.Second)
		tried[second] = true
		if e.Outcome == outcomeOK {
			taken[second] = true
		}
	}
	return len(tried) - len(taken)
}
