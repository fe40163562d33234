package main

import (
	"bufio"
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/orderwire/orderwire/deploy/internal/machine"
)

// soak runs many seeds, some side by side, and prints a table. A failing one is kept, and does not end it; each result is
// on disk before the next one begins, so that a soak that was stopped goes on where it was.
func (c config) soak(ctx context.Context, out io.Writer) error {
	before, err := readResults(c.Out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	all := slices.DeleteFunc(before, func(r result) bool { return !c.covers(r) })
	seeds := c.seedsLeft(all)
	if len(all) > 0 {
		c.note("%d runs of this soak are in %s already, %d are left", len(all), c.Out, len(seeds))
	}
	total := len(all) + len(seeds)
	var mu sync.Mutex
	var failed error
	sideBySide(c.Parallel, len(seeds), func(n int) {
		r, err := c.once(ctx, seeds[n])
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.Error = err.Error()
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, r)
		failed = errors.Join(failed, appendResult(c.Out, r))
		c.note("%d of %d: seed %d on %s: %d orders, %d violations %s%s", len(all), total, r.Seed, r.Kafka, r.Orders, len(r.Violations),
			r.Dir, r.Error)
		if c.JSON {
			c.print(out, r)
		}
	})
	if !c.JSON {
		table(out, all)
	}
	if slices.ContainsFunc(all, result.bad) {
		failed = errors.Join(failed, errViolated)
	}
	return errors.Join(failed, ctx.Err())
}

// seedsLeft are the seeds that are named, or as many random ones as are asked for, without those that are done.
func (c config) seedsLeft(done []result) []uint64 {
	isDone := map[uint64]bool{}
	for _, r := range done {
		isDone[r.Seed] = true
	}
	var left []uint64
	for _, seed := range c.Seeds {
		if !isDone[seed] {
			left = append(left, seed)
		}
	}
	for n := len(done); n < c.Soak; n++ {
		left = append(left, rand.Uint64N(1_000_000))
	}
	return left
}

// covers tells whether a result is one of this soak: of the same binaries, broken in the same way for as long. One of
// which nothing could be said is done again.
// So is one of sources with changes on top: nobody can say which.
func (c config) covers(r result) bool {
	return r.Error == "" && !strings.HasSuffix(r.Commit, "+") && r.Commit == c.commit && r.Duration == duration(c.Duration) && r.Kafka == c.kafkaOf(r.Seed) &&
		r.Rate == c.Rate && slices.Equal(r.Faults, c.Faults) && (len(c.Seeds) == 0 || slices.Contains(c.Seeds, r.Seed))
}

// kafkaOf is the kind of broker of a seed; of mixed ones half are kfake, a third are one Apache Kafka, the rest three.
func (c config) kafkaOf(seed uint64) string {
	if c.Kafka != kafkaMixed {
		return c.Kafka
	}
	r := rand.New(rand.NewPCG(seed, 0x6b)) //nolint:gosec // it must be repeatable
	return []string{"kfake", "kfake", "kfake", "apache", "apache", "cluster"}[r.IntN(6)]
}

// sideBySide does what there is to do for 0 to n-1, so many at a time.
func sideBySide(parallel, n int, do func(int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for range min(parallel, n) {
		all.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}

// commitOf is what the services in a directory were built from, as far as they know; a plus means with changes on top.
func commitOf(bin string) (string, error) {
	info, err := buildinfo.ReadFile(filepath.Join(bin, "order-api"))
	if err != nil {
		return "", fmt.Errorf("what the services were built from: %w", err)
	}
	commit, changed := machine.Unknown, ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(10, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+"
		}
	}
	return commit + changed, nil
}

// commitHere is that of the sources that this command is run in.
func commitHere(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*").Output()
	if err != nil {
		return machine.Unknown
	}
	return strings.TrimSpace(string(out))
}

// readResults reads what appendResult has written. A line that a crash cut off is left out: that run was not finished.
func readResults(path string) ([]result, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	var all []result
	lines := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var r result
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("%s:%d is no result of a run: %w", path, n, err)
		}
		all = append(all, r)
	}
}

// appendResult writes one line; a line that a crash has cut off before is ended first.
func appendResult(path string, r result) error {
	if path == "" {
		return nil
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	if err := cutHalfLine(f); err != nil {
		return errors.Join(err, f.Close())
	}
	_, err = f.Write(append(raw, '\n'))
	return errors.Join(err, f.Close())
}

// cutHalfLine removes what stands behind the last end of a line.
func cutHalfLine(f *os.File) error {
	raw, err := io.ReadAll(f)
	if err != nil || len(raw) == 0 || raw[len(raw)-1] == '\n' {
		return err
	}
	return f.Truncate(int64(bytes.LastIndexByte(raw, '\n') + 1))
}
