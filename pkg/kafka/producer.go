package kafka

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
)

// ErrNotConnected says that no broker has been reached yet, or that the producer is closed.
var ErrNotConnected = errors.New("the producer is not connected")

// Producer publishes records. It is made without a broker at hand: Run connects, for as long as it takes.
//
// An acknowledgement means that the record is in the log. An error means that this is unknown: the record may be in
// the log, and it may still get there before a later one of its topic does. Whoever must keep an order has at most one
// record of its key unacknowledged.
type Producer struct {
	brokers []string
	config  *sarama.Config
	log     *slog.Logger
	metrics *producerMetrics

	closeWithin time.Duration

	mu      sync.RWMutex // write-locked to close; read-locked while a record is handed over
	async   sarama.AsyncProducer
	closing chan struct{}
}

// NewProducer gives a producer. Records of manualTopics go to the partition that they name.
func NewProducer(c Config, clientID string, manualTopics []string, log *slog.Logger, reg prometheus.Registerer) (*Producer, error) {
	config, err := ProducerConfig(c, clientID, manualTopics)
	if err != nil {
		return nil, err
	}
	return &Producer{
		brokers: c.Brokers, config: config, log: log, metrics: newProducerMetrics(reg),
		closeWithin: closeWithin, closing: make(chan struct{}),
	}, nil
}

// delivery is a record on its way.
type delivery struct {
	done func(error)
	at   time.Time
}

// closeWithin is how long a producer that ends waits for what is on its way.
const closeWithin = 5 * time.Second

// Publish hands m over. done is called once, from the producer's goroutine or, when the producer is not connected, from
// the caller's: it must not block. Where the producer has ended before the answer it may not be called at all (Run).
// Publish waits while the producer is full.
func (p *Producer) Publish(m *Message, done func(error)) {
	p.publish(context.Background(), m, done)
}

func (p *Producer) publish(ctx context.Context, m *Message, done func(error)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.async == nil {
		done(ErrNotConnected)
		return
	}
	record := &sarama.ProducerMessage{
		Topic: m.Topic, Partition: m.Partition, Value: sarama.ByteEncoder(m.Value), Metadata: &delivery{done, time.Now()},
	}
	if m.Key != "" {
		record.Key = sarama.StringEncoder(m.Key)
	}
	record.Headers = make([]sarama.RecordHeader, len(m.Headers))
	for i, h := range m.Headers {
		record.Headers[i] = sarama.RecordHeader{Key: []byte(h.Key), Value: []byte(h.Value)}
	}
	p.metrics.inFlight.Inc()
	select {
	case p.async.Input() <- record:
	case <-p.closing:
		p.metrics.inFlight.Dec()
		done(ErrNotConnected)
	case <-ctx.Done():
		p.metrics.inFlight.Dec()
		done(ctx.Err())
	}
}

// Send publishes m and waits. When ctx ends first, whether m is in the log is unknown.
func (p *Producer) Send(ctx context.Context, m *Message) error {
	return p.SendAll(ctx, []*Message{m})[0]
}

// SendAll publishes all of ms in their order, waits, and gives an outcome for each. They are on their way together, so
// many take about as long as one. When ctx ends first, whether the unanswered ones are in the log is unknown.
func (p *Producer) SendAll(ctx context.Context, ms []*Message) []error {
	type answer struct {
		n   int
		err error
	}
	answers := make(chan answer, len(ms))
	for n, m := range ms {
		p.publish(ctx, m, func(err error) { answers <- answer{n, err} })
	}
	outcomes, isAnswered := make([]error, len(ms)), make([]bool, len(ms))
	for range ms {
		select {
		case a := <-answers:
			outcomes[a.n], isAnswered[a.n] = a.err, true
		case <-ctx.Done():
			for n := range ms {
				if !isAnswered[n] {
					outcomes[n] = ctx.Err()
				}
			}
			return outcomes
		}
	}
	return outcomes
}

// Connected tells whether a broker has been reached and the producer is open.
func (p *Producer) Connected() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.async != nil
}

// Run connects and delivers until ctx ends; then it waits for what is on its way and closes. With the broker away that
// would take minutes, so it does not wait for long: what is unanswered then is unknown, and may never be answered.
func (p *Producer) Run(ctx context.Context) error {
	client, async := p.connect(ctx)
	if async == nil {
		return nil
	}
	defer client.Close() // it holds connections only
	p.mu.Lock()
	p.async = async
	p.mu.Unlock()

	// Both channels are read until they are closed, also while closing: otherwise sarama waits for ever.
	var drain sync.WaitGroup
	drain.Go(func() {
		for m := range async.Successes() {
			p.settle(m, nil)
		}
	})
	drain.Go(func() {
		for e := range async.Errors() {
			p.settle(e.Msg, e.Err)
		}
	})
	<-ctx.Done()
	close(p.closing)
	p.mu.Lock()
	p.async = nil
	p.mu.Unlock()
	async.AsyncClose()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		drain.Wait()
	}()
	select {
	case <-drained:
	case <-time.After(p.closeWithin):
		p.log.Warn("the producer ends with records that are not answered", "brokers", p.brokers)
	}
	return nil
}

// connect tries until it succeeds or ctx ends; nil then.
func (p *Producer) connect(ctx context.Context) (*Client, sarama.AsyncProducer) {
	for try := 0; ; try++ {
		client, async, err := p.open()
		if err == nil {
			return client, async
		}
		if try%10 == 0 {
			p.log.Warn("no broker yet", "brokers", p.brokers, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(backoff(try, 0)):
		}
	}
}

func (p *Producer) open() (*Client, sarama.AsyncProducer, error) {
	if err := Reach(p.brokers, p.config); err != nil {
		return nil, nil, err
	}
	client, err := Open(p.brokers, p.config, p.log)
	if err != nil {
		return nil, nil, err
	}
	async, err := sarama.NewAsyncProducerFromClient(client)
	if err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	return client, async, nil
}

func (p *Producer) settle(m *sarama.ProducerMessage, err error) {
	d := m.Metadata.(*delivery)
	p.metrics.inFlight.Dec()
	if err == nil {
		p.metrics.acked.WithLabelValues(m.Topic).Inc()
		p.metrics.latency.Observe(time.Since(d.at).Seconds())
	} else {
		p.metrics.failed.WithLabelValues(m.Topic).Inc()
		p.log.Warn("a record was not acknowledged", "topic", m.Topic, "error", err)
	}
	d.done(err)
}

type producerMetrics struct {
	inFlight      prometheus.Gauge
	acked, failed *prometheus.CounterVec
	latency       prometheus.Histogram
}

func newProducerMetrics(reg prometheus.Registerer) *producerMetrics {
	m := &producerMetrics{
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "kafka_producer_in_flight", Help: "Records that are not yet answered."}),
		acked:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_producer_acked_total", Help: "Records that are in the log."}, []string{"topic"}),
		failed:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_producer_failed_total", Help: "Records answered with an error: whether they are in the log is unknown."}, []string{"topic"}),
		latency:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "kafka_producer_ack_seconds", Help: "From handing a record over to its acknowledgement.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}),
	}
	if reg != nil {
		reg.MustRegister(m.inFlight, m.acked, m.failed, m.latency)
	}
	return m
}
