package outbox

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/orderwire/orderwire/pkg/mongodb"
)

// maxApply is how many documents one transaction changes at most. A longer one saves little, meets others more often, and
// holds the writer lock while a client's own write waits for it.
const maxApply = 200

// Apply changes a batch of different documents in one short transaction, which costs one durable commit however many
// they are. A lone change is a plain guarded write.
//
// fold is called with each document, nil where there is none, and gives it back as it is to be written; a new one gets
// its id. It gives nil or ErrUnchanged to write nothing, or an error, which becomes the answer for this id alone. It
// may be called several times for an id, each time with a document just read: after a conflict all is read and folded
// again, in half the batch, down to one document, until ctx ends.
//
// The answer holds the ids that failed and why; ErrUnknown among them says that applying again tells.
func (c *Collection[T, P]) Apply(ctx context.Context, ids []string, fold func(id string, doc P) (P, error)) map[string]error {
	failed := map[string]error{}
	todo := unique(ids)
	size, try := min(len(todo), maxApply), 0
	for len(todo) > 0 {
		chunk := todo[:min(size, len(todo))]
		refused, err := c.applyOnce(ctx, chunk, fold)
		isConflict := errors.Is(err, ErrConflict) || isTaken(err, "_id_")
		switch {
		case err == nil:
			maps.Copy(failed, refused)
			todo = todo[len(chunk):]
			size, try = min(2*size, maxApply), 0
			continue
		case ctx.Err() != nil || !isConflict && !isPartial(err):
			for _, id := range todo {
				failed[id] = err
			}
			return failed
		case isConflict:
			// Somebody else's write: the smaller of two batches gets through.
		case len(chunk) == 1:
			failed[chunk[0]] = err
			todo = todo[1:]
			continue
		}
		size = max(1, len(chunk)/2)
		if err := pause(ctx, try); err != nil {
			continue // and ends with the error of the next try
		}
		try++
	}
	return failed
}

// applyOnce reads, folds and writes ids, and gives what fold refused; an error says that nothing may be written.
func (c *Collection[T, P]) applyOnce(ctx context.Context, ids []string, fold func(id string, doc P) (P, error)) (map[string]error, error) {
	if err := c.relay.lock(ctx); err != nil {
		return nil, err
	}
	defer c.relay.unlock()
	docs, err := c.Find(ctx, ids...)
	if err != nil {
		return nil, err
	}
	refused := map[string]error{}
	var changed []P
	for _, id := range ids {
		doc, err := fold(id, docs[id])
		switch {
		case errors.Is(err, ErrUnchanged) || err == nil && doc == nil:
			if unchanged := docs[id]; unchanged != nil {
				// What a try of ours with an unknown outcome has stored is on nobody's way yet.
				c.relay.Offer(id, unchanged.Envelope().Outbox, nil)
			}
		case err != nil:
			refused[id] = err
		default:
			if d := doc.Envelope(); d.ID == "" {
				d.ID = id
			} else if d.ID != id {
				refused[id] = fmt.Errorf("document %s given for %s", d.ID, id)
				continue
			}
			changed = append(changed, doc)
		}
	}
	switch len(changed) {
	case 0:
		return refused, nil
	case 1:
		return refused, c.write(ctx, changed[0])
	default:
		return refused, c.commit(ctx, func(context.Context) ([]P, error) { return changed, nil })
	}
}

// isPartial tells whether err may be about one document of a batch rather than all.
func isPartial(err error) bool {
	return !mongodb.IsAway(err) && !errors.Is(err, ErrUnknown)
}

func unique(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	var some []string
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			some = append(some, id)
		}
	}
	return some
}
