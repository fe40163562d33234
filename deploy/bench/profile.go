package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/orderwire/orderwire/deploy/stack"
)

// profile takes a CPU profile of every service while something is measured, into the directory of --profile. The
// function that it gives waits for them and says what went wrong.
func (l *lab) profile(ctx context.Context, name string, length time.Duration) (wait func() error) {
	if l.profiles == "" {
		return func() error { return nil }
	}
	var all sync.WaitGroup
	services := stack.Services()
	errs := make([]error, len(services))
	for n, service := range services {
		all.Go(func() {
			target := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", l.instance(service).AdminURL, int(length.Seconds()))
			if err := download(ctx, target, filepath.Join(l.profiles, name+"-"+service+".pprof")); err != nil {
				errs[n] = fmt.Errorf("profile of %s: %w", service, err)
			}
		})
	}
	return func() error {
		all.Wait()
		return errors.Join(errs...)
	}
}

// download puts the body of an answer into a file.
func download(ctx context.Context, target, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() // only read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", target, resp.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}
