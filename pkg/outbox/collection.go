package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/orderwire/orderwire/pkg/chaos"
	"github.com/orderwire/orderwire/pkg/mongodb"
)

// aggregate is a pointer to a struct that embeds Document.
type aggregate[T any] interface {
	*T
	Envelope() *Document
}

// Collection reads documents and writes them together with their events. It offers fresh events to its relay once
// they are stored.
type Collection[T any, P aggregate[T]] struct {
	coll  *mongo.Collection
	relay *Relay
	// conflicted says that the last transaction met another one. The next takes no clears along, in case they were
	// where they met; it is guarded by the relay's writer lock.
	conflicted bool
}

// NewCollection gives the collection of T's, whose events relay publishes: NewCollection[Order](coll, relay).
func NewCollection[T any, P aggregate[T]](coll *mongo.Collection, relay *Relay) *Collection[T, P] {
	return &Collection[T, P]{coll: coll, relay: relay}
}

// Find reads the documents of these ids; those that do not exist are missing in the answer.
func (c *Collection[T, P]) Find(ctx context.Context, ids ...string) (map[string]P, error) {
	found := make(map[string]P, len(ids))
	for some := range slices.Chunk(ids, 1000) {
		docs, err := c.Query(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: some}}}})
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			found[doc.Envelope().ID] = doc
		}
	}
	return found, nil
}

// Get reads one document, or gives ErrNotFound.
func (c *Collection[T, P]) Get(ctx context.Context, id string) (P, error) {
	raw, err := c.coll.FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, fmt.Errorf("%s %s: %w", c.coll.Name(), id, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", c.coll.Name(), id, err)
	}
	return decode[T, P](raw)
}

// Query reads the documents that match filter.
func (c *Collection[T, P]) Query(ctx context.Context, filter bson.D, opts ...options.Lister[options.FindOptions]) ([]P, error) {
	cursor, err := c.coll.Find(ctx, filter, opts...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c.coll.Name(), err)
	}
	defer cursor.Close(context.WithoutCancel(ctx)) // also when ctx is over: an open cursor stays with the server for minutes
	docs := make([]P, 0, cursor.RemainingBatchLength())
	for cursor.Next(ctx) {
		// A document that is kept must not keep all of the answer that it came in.
		doc, err := decode[T, P](slices.Clone(cursor.Current))
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	if err := cursor.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", c.coll.Name(), err)
	}
	return docs, nil
}

// decode gives a stored document, which remembers how it was read.
func decode[T any, P aggregate[T]](raw bson.Raw) (P, error) {
	doc := P(new(T))
	if err := bson.Unmarshal(raw, doc); err != nil {
		return nil, fmt.Errorf("decode document %s: %w", raw.Lookup("_id"), err)
	}
	doc.Envelope().asRead = raw
	return doc, nil
}

// Insert stores new documents by one unordered insertMany, and answers for each of them: nil, *DuplicateKeyError, or
// another error. Where the outcome is unknown it is read back, so that a retried insert that met itself is a success;
// a document that is not there then is answered with ErrUnknown.
// A document that was refused may be inserted again as it is.
func (c *Collection[T, P]) Insert(ctx context.Context, docs []P) []error {
	errs := make([]error, len(docs))
	raws := make([]bson.Raw, 0, len(docs))
	sent := make([]int, 0, len(docs)) // index in docs of each of raws
	for i, doc := range docs {
		raw, err := insertion(doc)
		if err != nil {
			errs[i] = err
			continue
		}
		raws, sent = append(raws, raw), append(sent, i)
	}
	if len(raws) == 0 {
		return errs
	}
	if chaos.On(chaos.PublishBeforeWrite) {
		c.publishEarly(docs)
	}
	chaos.Pass(chaos.BeforeWrite)
	_, err := c.coll.InsertMany(ctx, raws, options.InsertMany().SetOrdered(false))
	chaos.Pass(chaos.AfterWrite)
	refused := writeErrors(err)
	var unsure []int // index in raws
	for j, i := range sent {
		switch we, isRefused := refused[j]; {
		case err == nil || refused != nil && !isRefused:
			c.offer(docs[i].Envelope())
		case !isRefused:
			errs[i] = fmt.Errorf("insert %s: %w: %w", docs[i].Envelope().ID, ErrUnknown, err)
			unsure = append(unsure, j)
		default:
			errs[i] = insertError(docs[i].Envelope().ID, we)
			if isTaken(errs[i], "_id_") {
				unsure = append(unsure, j)
			}
		}
	}
	if len(unsure) > 0 {
		c.readBack(ctx, docs, errs, raws, sent, unsure)
	}
	return errs
}

// readBack settles those of a batch that may be stored although the answer says otherwise.
func (c *Collection[T, P]) readBack(ctx context.Context, docs []P, errs []error, raws []bson.Raw, sent, unsure []int) {
	ids := make([]string, len(unsure))
	for k, j := range unsure {
		ids[k] = docs[sent[j]].Envelope().ID
	}
	cursor, err := c.coll.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
	if err != nil {
		return // the errors at hand say what is known
	}
	var stored []bson.Raw
	if err := cursor.All(ctx, &stored); err != nil {
		return
	}
	byID := make(map[string]bson.Raw, len(stored))
	for _, raw := range stored {
		byID[raw.Lookup("_id").StringValue()] = raw
	}
	for _, j := range unsure {
		doc := docs[sent[j]].Envelope()
		raw, ok := byID[doc.ID]
		switch {
		case !ok:
		case isOurs(raw, raws[j], doc):
			c.offer(doc)
			errs[sent[j]] = nil
		default:
			errs[sent[j]] = &DuplicateKeyError{Index: "_id_", ID: doc.ID}
		}
	}
}

// isOurs tells whether a stored document is the one that was sent: it holds the same entries, or the same state.
func isOurs(stored, sent bson.Raw, doc *Document) bool {
	var d Document
	if err := bson.Unmarshal(stored, &d); err != nil {
		return false
	}
	if d.holds(doc) {
		return true
	}
	a, errA := state(stored)
	b, errB := state(sent)
	if errA != nil || errB != nil {
		return false
	}
	return slices.EqualFunc(a, b, func(a, b bson.E) bool {
		va, vb := a.Value.(bson.RawValue), b.Value.(bson.RawValue)
		return a.Key == b.Key && va.Type == vb.Type && bytes.Equal(va.Value, vb.Value)
	})
}

// Update reads a document, lets decide change it, and writes it guarded by the version that was read. Where the guard
// misses it reads and decides again, until ctx ends. It gives the document as written.
//
// decide returns ErrUnchanged to write nothing, or an error that ends the update. It may be called several times, each
// time with a document just read.
func (c *Collection[T, P]) Update(ctx context.Context, id string, decide func(P) error) (P, error) {
	var lost []P // our writes of which we know no good end: the first may arrive after the second has been decided
	for try := 0; ; try++ {
		doc, err := c.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(lost, func(l P) bool { return doc.Envelope().holds(l.Envelope()) }) {
			c.relay.Offer(id, doc.Envelope().Outbox, nil)
			return doc, nil
		}
		if err := decide(doc); errors.Is(err, ErrUnchanged) {
			c.relay.Offer(id, doc.Envelope().Outbox, nil) // as in Apply: an earlier call may have ended in ErrUnknown
			return doc, nil
		} else if err != nil {
			return nil, err
		}
		err = c.write(ctx, doc)
		if err == nil {
			return doc, nil
		}
		// An unknown outcome is asked for once; whoever does not come through then is told so.
		again := errors.Is(err, ErrConflict) || errors.Is(err, ErrUnknown) && try == 0
		if !again || pause(ctx, try) != nil {
			return nil, err
		}
		lost = append(lost, doc)
	}
}

// write makes the one guarded write of doc, or inserts it where it is new.
func (c *Collection[T, P]) write(ctx context.Context, doc P) error {
	d := doc.Envelope()
	if d.readVersion() == 0 {
		return c.Insert(ctx, []P{doc})[0]
	}
	filter, update, err := c.guarded(doc)
	if err != nil {
		return err
	}
	if chaos.On(chaos.PublishBeforeWrite) {
		c.publishEarly([]P{doc})
	}
	chaos.Pass(chaos.BeforeWrite)
	result, err := c.coll.UpdateOne(ctx, filter, update)
	chaos.Pass(chaos.AfterWrite)
	switch {
	case err == nil && result.MatchedCount == 0:
		return fmt.Errorf("write %s %s: %w", c.coll.Name(), d.ID, ErrConflict)
	case err == nil:
		c.offer(d)
		return nil
	case mongodb.IsTransient(err) && !mongodb.IsAway(err):
		return fmt.Errorf("write %s %s: %w: %w", c.coll.Name(), d.ID, ErrConflict, err)
	case mongodb.IsRefused(err):
		return fmt.Errorf("write %s %s: %w", c.coll.Name(), d.ID, err)
	default:
		return fmt.Errorf("write %s %s: %w: %w", c.coll.Name(), d.ID, ErrUnknown, err)
	}
}

// offer tells the relay of a document that is stored: of its fresh entries, and of those that the write has removed.
func (c *Collection[T, P]) offer(d *Document) {
	if d.empties {
		c.relay.noteRemoved(d.ID, d.Outbox)
		d.Outbox = nil
	}
	c.relay.Offer(d.ID, d.Outbox, d.fresh)
	d.written()
}

// guarded gives the filter and the update that write doc over the version that was read, and notes in doc whether they
// remove the entries that are stored.
//
// They do once all of them are published, which spares a clearing. Nothing is lost by it, as only a guarded write adds
// entries; and nothing comes back that another relay has removed meanwhile, as none is kept. A document's sequences never
// begin again: it is not deleted and stored anew while services run.
func (c *Collection[T, P]) guarded(doc P) (filter, update bson.D, err error) {
	d := doc.Envelope()
	filter = bson.D{{Key: "_id", Value: d.ID}, {Key: "version", Value: d.readVersion()}}
	if chaos.On(chaos.NoVersionGuard) {
		filter = filter[:1]
	}
	raw, err := encode(doc, nil)
	if err != nil {
		return nil, nil, err
	}
	fields, err := state(raw)
	if err != nil {
		return nil, nil, err
	}
	// What is as it was read stays out: a database's work on an update grows with the fields that are set.
	fields = slices.DeleteFunc(fields, func(e bson.E) bool {
		now, before := e.Value.(bson.RawValue), d.asRead.Lookup(e.Key)
		return e.Key == "_id" || now.Type == before.Type && bytes.Equal(now.Value, before.Value)
	})
	d.empties = len(d.Outbox) > 0 && c.relay.published(d.ID, d.Outbox)
	if d.empties {
		fields = append(fields, bson.E{Key: "outbox", Value: append([]Entry{}, d.fresh...)}) // an array, if an empty one
	}
	update = bson.D{{Key: "$set", Value: fields}}
	if len(d.fresh) > 0 && !d.empties {
		update = append(update, bson.E{Key: "$push", Value: bson.D{
			{Key: "outbox", Value: bson.D{{Key: "$each", Value: d.fresh}}},
		}})
	}
	return filter, update, nil
}

// insertion gives the new document as it is stored.
func insertion[T any, P aggregate[T]](doc P) (bson.Raw, error) {
	d := doc.Envelope()
	if len(d.Outbox) > 0 || d.readVersion() != 0 {
		return nil, fmt.Errorf("document %s is not new", d.ID)
	}
	return encode(doc, d.fresh)
}

// encode gives doc as BSON, in the version of the write being made, with the given outbox.
func encode[T any, P aggregate[T]](doc P, outbox []Entry) (bson.Raw, error) {
	d := doc.Envelope()
	if err := d.check(); err != nil {
		return nil, err
	}
	d.Touch()
	stored := d.Outbox
	defer func() { d.Outbox = stored }()
	d.Outbox = outbox
	var buffer bytes.Buffer
	encoder := bson.NewEncoder(bson.NewDocumentWriter(&buffer))
	encoder.NilSliceAsEmpty()
	encoder.NilMapAsEmpty()
	if err := encoder.Encode(doc); err != nil {
		return nil, fmt.Errorf("encode document %s: %w", d.ID, err)
	}
	return buffer.Bytes(), nil
}

// state gives the fields of a stored document but its outbox.
func state(raw bson.Raw) (bson.D, error) {
	elements, err := raw.Elements()
	if err != nil {
		return nil, fmt.Errorf("read a document's fields: %w", err)
	}
	fields := make(bson.D, 0, len(elements))
	for _, e := range elements {
		if e.Key() != "outbox" {
			fields = append(fields, bson.E{Key: e.Key(), Value: e.Value()})
		}
	}
	return fields, nil
}

// writeErrors gives the refusals of an unordered insert by their index; nil when err says nothing for certain about
// the others: an error without any refusal is about all of them.
func writeErrors(err error) map[int]mongo.WriteError {
	var bulk mongo.BulkWriteException
	if !errors.As(err, &bulk) || bulk.WriteConcernError != nil || len(bulk.WriteErrors) == 0 {
		return nil
	}
	refused := make(map[int]mongo.WriteError, len(bulk.WriteErrors))
	for _, we := range bulk.WriteErrors {
		refused[we.Index] = we.WriteError
	}
	return refused
}

func insertError(id string, we mongo.WriteError) error {
	if mongodb.IsDuplicateKey(we) {
		return &DuplicateKeyError{Index: mongodb.DuplicateKeyIndex(we.Message), ID: id}
	}
	return fmt.Errorf("insert %s: %w", id, we)
}

func isTaken(err error, index string) bool {
	var taken *DuplicateKeyError
	return errors.As(err, &taken) && taken.Index == index
}

// pause waits a random while, longer with every try, so that those in conflict part.
func pause(ctx context.Context, try int) error {
	timer := time.NewTimer(rand.N(min(2*time.Millisecond<<min(try, 10), 100*time.Millisecond)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
