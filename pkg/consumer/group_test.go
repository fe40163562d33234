package consumer

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"

	"github.com/orderwire/orderwire/pkg/kafka"
)

// rebalancing is a group that waits for a member that has crashed; nothing calls sarama back from there.
type rebalancing struct {
	sarama.ConsumerGroup
	over chan struct{}
	errs chan error
}

func (r rebalancing) Consume(context.Context, []string, sarama.ConsumerGroupHandler) error {
	<-r.over
	return nil
}

func (r rebalancing) Errors() <-chan error { return r.errs }

func (r rebalancing) Close() error { return nil }

// TestGroup_ARebalanceDoesNotKeepTheProcess: the parts that end after the consumer need their time, too.
func TestGroup_ARebalanceDoesNotKeepTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Group{
			config: Config{Group: "g", Topics: []string{"orders"}}.withDefaults(), sarama: sarama.NewConfig(),
			log: slog.New(slog.DiscardHandler), metrics: newMetrics(nil),
		}
		r := rebalancing{over: make(chan struct{}), errs: make(chan error)}
		defer close(r.errs)
		defer close(r.over)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			g.consume(ctx, &kafka.Client{}, r)
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case <-ended:
			t.Fatal("it waits for as long as it takes")
		default:
		}
		stop()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("it still waits")
		}
	})
}
