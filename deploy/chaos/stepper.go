package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"
)

// stepper stands in front of the database and passes on whole messages of MongoDB's wire protocol, unread. During a
// step-down it lets the database look like a primary that has become a secondary, and for which there is no heir yet.
type stepper struct {
	listener net.Listener
	upstream string
	ctx      context.Context //nolint:containedctx // its life, which outlasts the call that makes it
	cancel   context.CancelFunc
	running  sync.WaitGroup

	downs   atomic.Int32             // step-downs that go on
	answers atomic.Pointer[[]demise] // that they draw from
	refused atomic.Int64             // commands of which nothing was done
	hidden  atomic.Int64             // commands that were done, with an error for an answer

	mu    sync.Mutex
	conns map[*conversation]bool
}

// demise is how a primary that has stepped down answers.
type demise struct {
	code int32
	name string
	// done tells that the command was done all the same: it was interrupted while its caller waited for it.
	done bool
}

// demises are the answers of MongoDB to a write (src/mongo/base/error_codes.yml). The codes do not promise what they
// suggest here: InterruptedAtShutdown also comes after a write.
var demises = []demise{
	{code: 10107, name: "NotWritablePrimary"},
	{code: 11600, name: "InterruptedAtShutdown"},
	{code: 189, name: "PrimarySteppedDown", done: true},
	{code: 11602, name: "InterruptedDueToReplStateChange", done: true},
}

// unaffected are commands that a secondary answers like a primary.
var unaffected = []string{"hello", "isMaster", "ismaster", "ping", "buildInfo", "buildinfo", "endSessions", "killCursors"}

const (
	// longestMessage is MongoDB's maxMessageSizeBytes.
	longestMessage = 48_000_000
	messageHeader  = 16
	// keptBuffer is how much of a message's buffer is kept for the next one.
	keptBuffer = 64 << 10
	// dialWithin is how long the database may take to accept a connection; stopped, it does not.
	dialWithin = 10 * time.Second
)

// newStepper listens at addr for clients of the database at upstream.
func newStepper(addr, upstream string) (*stepper, error) {
	listener, err := net.Listen("tcp", addr) //nolint:noctx // it never blocks
	if err != nil {
		return nil, err
	}
	s := &stepper{listener: listener, upstream: upstream, conns: map[*conversation]bool{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.running.Go(s.accept)
	return s, nil
}

// close ends it with all its connections.
func (s *stepper) close() {
	s.cancel()
	s.listener.Close()
	s.each(func(c *conversation) { c.client.Close() })
	s.running.Wait()
}

// stepDown begins a step-down with these answers; what it gives ends it. A primary that steps down keeps its connections
// since version 4.2; one that leaves for good, or that is older, closes them.
func (s *stepper) stepDown(closing bool, answers ...demise) (over func()) {
	s.answers.Store(&answers)
	s.downs.Add(1)
	if closing {
		s.each(func(c *conversation) { c.client.Close() })
	}
	ended := make(chan struct{})
	s.running.Go(func() { s.herald(ended) })
	return func() {
		s.downs.Add(-1)
		close(ended)
	}
}

// announceEvery is how often drivers are told during a step-down. One that was refused takes the server for unknown until it
// hears of it, and then tries again, so this is how often an operation is tried: what a driver with the addresses of a whole
// replica set does not until it has found a primary.
const announceEvery = 500 * time.Millisecond

// herald tells drivers of a step-down until it is over, of that at once, and again for those that a refusal has reached
// later.
func (s *stepper) herald(over <-chan struct{}) {
	for lasts := true; lasts; {
		s.announce()
		select {
		case <-over:
			lasts = false
		case <-s.ctx.Done():
			return
		case <-time.After(announceEvery):
		}
	}
	s.announce()
	sleep(s.ctx, announceEvery)
	s.announce()
}

// announce tells those who wait for news of the topology.
func (s *stepper) announce() {
	s.each(func(c *conversation) { s.running.Go(c.announce) })
}

func (s *stepper) each(do func(*conversation)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		do(c)
	}
}

// keep notes a connection that is open; false where it is too late.
func (s *stepper) keep(c *conversation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.conns[c] = true
	return true
}

func (s *stepper) forget(c *conversation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *stepper) accept() {
	for {
		client, err := s.listener.Accept()
		switch {
		case s.ctx.Err() != nil:
			if err == nil {
				client.Close()
			}
			return
		case err != nil: // too many files: some will close
			sleep(s.ctx, 50*time.Millisecond)
		default:
			s.running.Go(func() { s.serve(client) })
		}
	}
}

// serve passes messages both ways until either side ends.
func (s *stepper) serve(client net.Conn) {
	defer client.Close()
	dialer := net.Dialer{Timeout: dialWithin}
	server, err := dialer.DialContext(s.ctx, "tcp", s.upstream)
	if err != nil {
		return // as it is without a stepper: the caller finds its connection closed
	}
	defer server.Close()
	c := &conversation{stepper: s, client: client, instead: map[int32]bsoncore.Document{}}
	if !s.keep(c) {
		return
	}
	defer s.forget(c)
	var answering sync.WaitGroup
	answering.Go(func() {
		pump(server, c.answer)
		client.Close()
	})
	pump(client, func(message []byte) error {
		_, err := server.Write(c.request(message))
		return err
	})
	server.Close()
	answering.Wait()
}

// pump gives each message to pass, which may not keep it, until there is no more or one cannot be passed.
func pump(from io.Reader, pass func(message []byte) error) {
	buffer := make([]byte, messageHeader, keptBuffer)
	for {
		message, err := readMessage(from, buffer)
		if err != nil || pass(message) != nil {
			return
		}
	}
}

// readMessage reads one message of the wire protocol into buffer, or into a larger one.
func readMessage(from io.Reader, buffer []byte) ([]byte, error) {
	header := buffer[:messageHeader]
	if _, err := io.ReadFull(from, header); err != nil {
		return nil, err
	}
	length := int(int32(binary.LittleEndian.Uint32(header))) //nolint:gosec // the protocol says int32
	if length < messageHeader || length > longestMessage {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	message := slices.Grow(header, length-messageHeader)[:length]
	_, err := io.ReadFull(from, message[messageHeader:])
	return message, err
}

// conversation is one connection.
type conversation struct {
	*stepper
	mu sync.Mutex
	// instead holds by the id of its request what is answered whatever the database says.
	instead map[int32]bsoncore.Document

	writing sync.Mutex // to the client
	client  net.Conn
	// hello is the first answer, which greets the client.
	hello []byte
	// waits is the request of a client that waits for news of the topology: they come when there are any, or else after
	// ten seconds. 0: none.
	waits int32
}

// request gives what the database is sent in place of a client's message: during a step-down something harmless, where
// nothing is to be done, so that each request has an answer of the database that can be replaced.
func (c *conversation) request(message []byte) []byte {
	if isStreamed(message) {
		c.writing.Lock()
		_, c.waits, _, _, _, _ = wiremessage.ReadHeader(message)
		c.writing.Unlock()
	}
	if c.downs.Load() == 0 {
		return message
	}
	id, command, ok := parseCommand(message)
	if !ok || slices.Contains(unaffected, command.name) {
		return message
	}
	of := *c.answers.Load()
	how := of[rand.IntN(len(of))] //nolint:gosec // no secret
	transaction := command.inTransaction()
	switch {
	case !transaction && how.done, command.name == "commitTransaction" && how.done:
		c.hidden.Add(1)
	case transaction: // its end: it does not outlive the primary
		c.refused.Add(1)
		message = wireMessage(id, 0, 0, command.abort())
	default:
		c.refused.Add(1)
		message = wireMessage(id, 0, 0, bsoncore.NewDocumentBuilder().AppendInt32("ping", 1).AppendString("$db", "admin").Build())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instead[id] = how.answer(command)
	return message
}

// answer passes the database's message to the client, or what stands in its place.
func (c *conversation) answer(message []byte) error {
	_, id, to, _, _, _ := wiremessage.ReadHeader(message)
	c.mu.Lock()
	instead, replaced := c.instead[to]
	delete(c.instead, to)
	c.mu.Unlock()
	c.writing.Lock()
	defer c.writing.Unlock()
	if replaced {
		message = wireMessage(id, to, 0, instead)
	}
	if c.hello == nil {
		c.hello = slices.Clone(message)
	}
	return c.tell(message)
}

// announce tells a client that waits for news what the database is now.
func (c *conversation) announce() {
	c.writing.Lock()
	defer c.writing.Unlock()
	if hello := answered(c.hello); c.waits != 0 && hello != nil {
		_ = c.tell(wireMessage(0, c.waits, wiremessage.MoreToCome, hello)) // one that has ended needs no news
	}
}

// tell writes a message to the client, who is to take the database for a secondary while it has stepped down.
func (c *conversation) tell(message []byte) error {
	if c.downs.Load() > 0 {
		demote(message)
	}
	_, err := c.client.Write(message)
	return err
}

// mongoCommand is what a client asks for.
type mongoCommand struct {
	bsoncore.Document
	name string
}

// parseCommand reads an OP_MSG that wants an answer.
func parseCommand(message []byte) (id int32, c mongoCommand, ok bool) {
	_, id, _, opcode, rest, _ := wiremessage.ReadHeader(message)
	if opcode != wiremessage.OpMsg {
		return id, c, false
	}
	doc, err := messageBody(rest)
	if err != nil || wiremessage.IsMsgMoreToCome(message) {
		return id, c, false
	}
	first, err := doc.IndexErr(0)
	if err != nil {
		return id, c, false
	}
	return id, mongoCommand{doc, first.Key()}, true
}

// messageBody gives the document of an OP_MSG that names the command, or answers it, past its header.
func messageBody(rest []byte) (bsoncore.Document, error) {
	_, rest, ok := wiremessage.ReadMsgFlags(rest)
	for ok && len(rest) > 0 {
		var kind wiremessage.SectionType
		if kind, rest, ok = wiremessage.ReadMsgSectionType(rest); !ok {
			break
		}
		switch kind {
		case wiremessage.SingleDocument:
			doc, _, ok := wiremessage.ReadMsgSectionSingleDocument(rest)
			if !ok {
				return nil, errors.New("the document of a message is cut off")
			}
			return doc, doc.Validate()
		case wiremessage.DocumentSequence:
			_, _, rest, ok = wiremessage.ReadMsgSectionRawDocumentSequence(rest)
		default:
			ok = false
		}
	}
	return nil, errors.New("a message without a document")
}

// inTransaction tells whether it belongs to a transaction.
func (c mongoCommand) inTransaction() bool {
	auto, ok := c.Lookup("autocommit").BooleanOK()
	return ok && !auto
}

// abort ends the transaction that it belongs to.
func (c mongoCommand) abort() bsoncore.Document {
	b := bsoncore.NewDocumentBuilder().AppendInt32("abortTransaction", 1)
	for _, key := range []string{"lsid", "txnNumber", "autocommit"} {
		b.AppendValue(key, c.Lookup(key))
	}
	return b.AppendString("$db", "admin").Build()
}

// labels are those that a server since version 4.4 gives an error of this kind; drivers retry by them.
func (c mongoCommand) labels() []string {
	_, numbered := c.Lookup("txnNumber").AsInt64OK()
	switch {
	case c.name == "commitTransaction" || c.name == "abortTransaction":
		return []string{"RetryableWriteError"}
	case c.inTransaction():
		return []string{"TransientTransactionError"}
	case numbered:
		return []string{"RetryableWriteError"}
	default:
		return nil
	}
}

// answer is what the client is told.
func (d demise) answer(c mongoCommand) bsoncore.Document {
	b := bsoncore.NewDocumentBuilder().
		AppendDouble("ok", 0).
		AppendString("errmsg", "the primary has stepped down").
		AppendInt32("code", d.code).
		AppendString("codeName", d.name)
	if labels := c.labels(); len(labels) > 0 {
		array := bsoncore.NewArrayBuilder()
		for _, l := range labels {
			array.AppendString(l)
		}
		b.AppendArray("errorLabels", array.Build())
	}
	return b.Build()
}

// wireMessage is an OP_MSG with one document.
func wireMessage(id, to int32, flags wiremessage.MsgFlag, doc bsoncore.Document) []byte {
	start, m := wiremessage.AppendHeaderStart(nil, id, to, wiremessage.OpMsg)
	m = wiremessage.AppendMsgFlags(m, flags)
	m = wiremessage.AppendMsgSectionType(m, wiremessage.SingleDocument)
	m = append(m, doc...)
	return bsoncore.UpdateLength(m, start, int32(len(m))) //nolint:gosec // a few hundred bytes
}

// isStreamed tells whether a request takes more than one answer, as only hello does.
func isStreamed(message []byte) bool {
	_, _, _, opcode, rest, _ := wiremessage.ReadHeader(message)
	flags, _, ok := wiremessage.ReadMsgFlags(rest)
	return opcode == wiremessage.OpMsg && ok && flags&wiremessage.ExhaustAllowed != 0
}

// demote turns the answer to a hello, by which drivers look for a primary, into that of a secondary, in place: a flag is a
// byte.
func demote(message []byte) {
	doc := answered(message)
	if _, err := doc.LookupErr("maxWireVersion"); err != nil {
		return
	}
	for key, flag := range map[string]byte{"isWritablePrimary": 0, "ismaster": 0, "secondary": 1} {
		if v, err := doc.LookupErr(key); err == nil && v.Type == bsoncore.TypeBoolean {
			v.Data[0] = flag
		}
	}
}

// answered gives the document of an answer, nil where it has none.
func answered(message []byte) bsoncore.Document {
	_, _, _, opcode, rest, _ := wiremessage.ReadHeader(message)
	switch opcode {
	case wiremessage.OpMsg:
		doc, err := messageBody(rest)
		if err != nil {
			return nil
		}
		return doc
	case wiremessage.OpReply: // to a connection's first message
		const fields = 4 + 8 + 4 + 4 // flags, cursor, start, number
		if len(rest) < fields {
			return nil
		}
		doc, _, ok := wiremessage.ReadReplyDocument(rest[fields:])
		if !ok || doc.Validate() != nil {
			return nil
		}
		return doc
	default:
		return nil
	}
}
