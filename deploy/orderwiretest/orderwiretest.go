// Package orderwiretest starts a whole Orderwire for one test: broker, database, the four services and their gateway,
// on free ports, with data that is gone when the test is over.
//
//	func TestMyShop(t *testing.T) {
//		o := orderwiretest.Start(t)
//		resp, err := http.Get(o.Gateway + "/v1/products")
//		…
//	}
//
// It runs the orderctl binary, which needs the services' binaries beside it and nothing else; the package itself needs
// nothing but the standard library. The binary is $ORDERWIRE_BIN/orderctl, or bin/orderctl in the working directory or
// one above it, or orderctl on the PATH. Tests in other languages do what this package does: start
// `orderctl up --ephemeral --json`, read one line of JSON, and close its standard input at the end.
package orderwiretest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Orderwire is a running one. The fields are what `orderctl up --ephemeral --json` prints.
type Orderwire struct {
	// Gateway is the base URL of the whole API, for instance http://127.0.0.1:21234.
	Gateway string `json:"gateway"`
	// Services by name: order-api, inventory, shipping, notifier.
	Services map[string]Service `json:"services"`
	Kafka    struct {
		Kind    string   `json:"kind"`
		Brokers []string `json:"brokers"`
	} `json:"kafka"`
	MongoDB struct {
		Kind      string            `json:"kind"`
		URI       string            `json:"uri"`
		Databases map[string]string `json:"databases"` // by service
	} `json:"mongodb"`
	// OperatorToken is a bearer token that may do everything.
	OperatorToken string `json:"token"`
	// JWT is what tokens are signed with, for tests that make odd ones.
	JWT struct {
		Algorithm string `json:"algorithm"`
		Secret    string `json:"secret"`
		Issuer    string `json:"issuer"`
		Audience  string `json:"audience"`
	} `json:"jwt"`
	// Dir holds the data, and the logs in its folder logs, until the test is over.
	Dir string `json:"dir"`
}

// Service is where one service is.
type Service struct {
	URL      string `json:"url"`
	AdminURL string `json:"adminUrl"` // /healthz /readyz /metrics
	PID      int    `json:"pid"`
}

// startGrace covers a first start that installs the database.
const startGrace = 3 * time.Minute

// stopGrace is more than a stop takes.
const stopGrace = 15 * time.Second

// Start starts an Orderwire and ends it when the test is over. It fails the test when it cannot; env adds to the
// environment of the services, as in "RATE_LIMIT=5".
func Start(tb testing.TB, env ...string) *Orderwire {
	tb.Helper()
	binary, err := find()
	if err != nil {
		tb.Fatalf("orderwiretest: %v", err)
	}
	o, stop, err := start(binary, append(os.Environ(), env...))
	if err != nil {
		tb.Fatalf("orderwiretest: %v", err)
	}
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Errorf("orderwiretest: %v", err)
		}
	})
	return o
}

// Token gives a bearer token of the customer.
func (o *Orderwire) Token(tb testing.TB, customer string) string {
	tb.Helper()
	token, err := o.login(customer, false)
	if err != nil {
		tb.Fatalf("orderwiretest: a token for %s: %v", customer, err)
	}
	return token
}

func (o *Orderwire) login(customer string, operator bool) (string, error) {
	body, err := json.Marshal(map[string]any{"customer": customer, "operator": operator})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.Gateway+"/dev/token", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() // only read
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", resp.Status, raw)
	}
	var answer struct {
		Token string `json:"token"`
	}
	return answer.Token, errors.Join(json.Unmarshal(raw, &answer))
}

// find gives the path of orderctl.
func find() (string, error) {
	const name = "orderctl"
	if dir := os.Getenv("ORDERWIRE_BIN"); dir != "" {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("ORDERWIRE_BIN: %w", err)
		}
		return path, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, "bin", name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return "", errors.New("orderctl not found: ORDERWIRE_BIN must name the directory that `make build` fills")
}

// start runs orderctl until it says that everything is ready; stop ends it and waits.
func start(binary string, env []string) (o *Orderwire, stop func() error, err error) {
	cmd := exec.Command(binary, "up", "--ephemeral", "--json") //nolint:noctx // stop ends it, in its own order
	cmd.Env = env
	var told output
	cmd.Stderr = &told
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C at the terminal reaches it only through its standard input
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() error {
		stdin.Close()                                                     // closing is the sign to end, whether it is read or not
		timer := time.AfterFunc(stopGrace, func() { cmd.Process.Kill() }) //nolint:errcheck // it may just have ended
		defer timer.Stop()
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%s: %w\n%s", binary, err, told.String())
		}
		return nil
	}
	type reading struct {
		line []byte
		err  error
	}
	read := make(chan reading, 1)
	go func() {
		line, err := bufio.NewReader(stdout).ReadBytes('\n')
		read <- reading{line, err}
	}()
	select {
	case r := <-read:
		o = &Orderwire{}
		if r.err == nil {
			r.err = json.Unmarshal(r.line, o)
		}
		if r.err != nil {
			return nil, nil, fmt.Errorf("%s did not start: %w", binary, errors.Join(r.err, stop()))
		}
		return o, stop, nil
	case <-time.After(startGrace):
		return nil, nil, fmt.Errorf("%s was not ready after %s: %w\n%s", binary, startGrace, errors.Join(stop()), told.String())
	}
}

// output keeps what orderctl says, for errors.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
