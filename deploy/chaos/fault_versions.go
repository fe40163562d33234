package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/orderwire/orderwire/deploy/stack"
)

// hasOld tells whether there are binaries of an older commit.
func hasOld(t terrain) bool { return t.old }

// F17: the binary of an older commit, beside the one of today or instead of it; or beside one whose events have a field
// that neither knows, as those of a later version may have.
func drawVersions(d *drawer) {
	at := d.from + d.between(0, (d.to-d.from)/4)
	lasts := d.between((d.to-d.from)/3, (d.to-d.from)/2)
	switch how := d.one("beside", "instead", "newer"); how {
	case "newer": // notifier publishes nothing
		d.add(at, lasts, how, 0, consumers...)
	default:
		d.add(at, lasts, how, 0, d.some(1+d.r.IntN(4), stack.Services())...)
	}
}

func doVersions(ctx context.Context, b *breaker, i Injection) (healer, error) {
	var today, old []*part
	for _, name := range i.Target {
		p, err := b.part(name)
		if err != nil {
			return nil, err
		}
		o, err := b.part(name + oldSuffix)
		if err != nil {
			return nil, err
		}
		today, old = append(today, p), append(old, o)
	}
	errs := make([]error, len(old))
	var all sync.WaitGroup
	for n, o := range old {
		all.Go(func() { _, errs[n] = b.join(ctx, o.name) })
	}
	all.Wait()
	switch i.Variant {
	case "instead":
		inParallel(today, func(p *part) { p.down(ctx, true) })
	case "newer":
		for _, p := range today { // one after the other, as in a rolling upgrade
			p.down(ctx, true)
			p.fromNowOn("ORDERWIRE_EVENTS=newer")
			_, err := b.join(ctx, p.name)
			errs = append(errs, err)
		}
	}
	return func(ctx context.Context) {
		for _, p := range today {
			switch i.Variant {
			case "instead":
				p.up()
			case "newer":
				p.fromNowOn()
				p.down(ctx, true)
				p.up()
			}
		}
		inParallel(old, func(p *part) { p.down(ctx, true) })
	}, errors.Join(errs...)
}

// oldSuffix ends the names of parts that run an older commit's binary.
const oldSuffix = "-old"

// addOld makes a spare instance of each service, of the binaries in dir.
func (s *system) addOld(dir string) error {
	for _, name := range stack.Services() {
		i, err := s.stack.PrepareFrom(dir, name)
		if err != nil {
			return err
		}
		s.add(name+oldSuffix, serviceUnit(i), false)
	}
	return nil
}

// buildOld makes the services of a commit from the history of the repository that this command is run in.
func buildOld(ctx context.Context, commit, dir string) error {
	sources, err := os.MkdirTemp("", "chaos-old-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(sources) // it was made here
	top, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("no history is here: %w", err)
	}
	archive := filepath.Join(sources, "sources.tar")
	for _, cmd := range []*exec.Cmd{
		exec.CommandContext(ctx, "git", "-C", strings.TrimSpace(string(top)), "archive", "--output", archive, commit),
		exec.CommandContext(ctx, "tar", "-xf", archive, "-C", sources),
	} {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("take commit %s from the history: %w: %s", commit, err, strings.TrimSpace(string(out)))
		}
	}
	for _, name := range stack.Services() {
		// Without their directory in them, packages are compiled once for all runs.
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "chaos", "-buildvcs=false", "-o", dir+string(os.PathSeparator), ".")
		cmd.Dir = filepath.Join(sources, "services", name)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s of commit %s: %w\n%s", name, commit, err, out)
		}
	}
	return nil
}
