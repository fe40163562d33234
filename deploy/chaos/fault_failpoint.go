package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/orderwire/orderwire/deploy/stack"
	"github.com/orderwire/orderwire/pkg/chaos"
)

// F2: a service is started again so that it kills itself exactly at a failpoint, the N-th time it gets there.
func drawFailpoint(d *drawer) {
	d.every(3*time.Second, 8*time.Second, func(at time.Duration) {
		points := chaos.Failpoints()
		names := make([]string, len(points))
		for n, p := range points {
			names[n] = string(p)
		}
		point, n := d.one(names...), 1+d.r.IntN(3)
		switch chaos.Failpoint(point) {
		case chaos.Redrive, chaos.AfterDeadLetter: // of those that can be handed what they cannot read
			d.add(at, 0, point, n, d.one(consumers[1:]...), fmt.Sprint(d.r.IntN(partitions)))
		case chaos.Start, chaos.Join: // it gets there once
			d.add(at, 0, point, 1, d.one(consumers...))
		default:
			d.add(at, 0, point, n, d.one(consumers...))
		}
	})
}

// diesWithin is how long a service may take until it gets to its failpoint: it starts, joins its group, and has work;
// redriveWithin is for more: that it has made a dead letter, and an operator has handed it back.
const (
	diesWithin    = 12 * time.Second
	redriveWithin = 25 * time.Second
)

// doFailpoint waits for the death. Without one it is no injection: its service is started again without a failpoint.
func doFailpoint(ctx context.Context, b *breaker, i Injection) (healer, error) {
	p, err := b.part(i.Target[0])
	if err != nil {
		return nil, err
	}
	instance, err := b.instance(i.Target[0])
	if err != nil {
		return nil, err
	}
	p.dying.Lock() // two would undo each other
	defer p.dying.Unlock()
	p.down(ctx, false)
	died, err := follow(instance.Log(), "chaos: dies at "+i.Variant+"\n")
	if err != nil {
		p.up()
		return nil, err
	}
	n, within := i.N, diesWithin
	if i.Variant == string(chaos.Redrive) {
		n, within = 1, redriveWithin // its N is of dead letters
	}
	p.next(fmt.Sprintf("ORDERWIRE_FAILPOINT=%s@%d", i.Variant, n))
	p.up()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	switch i.Variant {
	case string(chaos.Redrive):
		err = redrive(ctx, b, i)
	case string(chaos.AfterDeadLetter):
		_, err = makeDeadLetters(ctx, b, i)
	}
	if err == nil {
		if err = died(ctx); err == nil {
			return func(context.Context) {}, nil // whoever looks after it has started it again, without
		}
	}
	p.next() // it may not even have started
	return func(ctx context.Context) {
		p.down(ctx, false)
		p.up()
	}, err
}

// follow gives a function that waits until a file has a line that it does not have now.
func follow(path, line string) (func(context.Context) error, error) {
	f, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		for {
			raw, err := readFrom(path, f.Size())
			if err != nil || bytes.Contains(raw, []byte(line)) {
				return err
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("it did not get there: %w", ctx.Err())
			case <-time.After(100 * time.Millisecond):
			}
		}
	}, nil
}

func readFrom(path string, offset int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	return io.ReadAll(io.NewSectionReader(f, offset, 1<<30))
}

// makeDeadLetters writes N records that the consumer cannot read to one of its topics, and names that.
func makeDeadLetters(ctx context.Context, b *breaker, i Injection) (topic string, err error) {
	topic = map[string]string{stack.Inventory: topicOrders, stack.Shipping: topicShipping}[i.Target[0]]
	_, err = doPoison(ctx, b, Injection{At: i.At, N: i.N, Variant: "undecodable", Target: []string{topic, i.Target[1]}})
	return topic, err
}

// redrive makes N dead letters of a consumer, and hands them and others of late back to it, as an operator does.
func redrive(ctx context.Context, b *breaker, i Injection) error {
	topic, err := makeDeadLetters(ctx, b, i)
	if err != nil {
		return err
	}
	file, err := b.sys.describe(b.dir)
	if err != nil {
		return err
	}
	for {
		cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "orderctl"), "dlq", "redrive", "--stack", file, "--consumer", i.Target[0],
			"--topic", topic, "--newer-than", "30s", "--reason", "chaos", "--json")
		raw, err := cmd.Output()
		var told struct {
			Letters []json.RawMessage `json:"letters"`
		}
		if err == nil && json.Unmarshal(raw, &told) == nil && len(told.Letters) > 0 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("no dead letter is handed back: %w", ctx.Err())
		}
		sleep(ctx, 300*time.Millisecond)
	}
}
