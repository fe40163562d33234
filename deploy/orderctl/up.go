package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/client"
	"github.com/orderwire/orderwire/deploy/stack"
)

// upCmd starts everything.
type upCmd struct {
	Data      string `default:".orderwire" type:"path" help:"Directory for data and logs."`
	Bin       string `type:"path" help:"Directory of the services' binaries (default: where orderctl is)."`
	Kafka     string `enum:"kfake,apache" default:"kfake" help:"Which broker to start: ${enum}. KAFKA_BROKERS in the environment wins."`
	Fast      bool   `help:"Build the fast database once where there is none and Rust is at hand, about 5 minutes."`
	Seed      bool   `default:"true" negatable:"" help:"Put in demo products and stock, once (default on)."`
	Ephemeral bool   `help:"For tests: free ports, a temporary directory, a broker of its own, no demo data; ends when standard input closes and leaves nothing behind."`
	JSON      bool   `help:"Print one line of JSON when ready."`
}

// Run starts the stack and keeps it until it is told to end: by SIGINT, SIGTERM or, with --ephemeral, the end of
// standard input. A second signal kills what is left.
func (u *upCmd) Run(ctx context.Context, t *terminal) error {
	t.json = false // whoever waits for the line of a stack that is ready must not take a problem for it
	if u.Bin == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("where is orderctl: %w", err)
		}
		if self, err = filepath.EvalSymlinks(self); err != nil {
			return fmt.Errorf("where is orderctl: %w", err)
		}
		u.Bin = filepath.Dir(self)
	}
	c := stack.Config{Environ: t.environ, BinDir: u.Bin, DataDir: u.Data, Kafka: u.Kafka, Build: u.Fast, Say: t.say}
	if u.Ephemeral {
		c.DataDir, u.Seed = "", false
		var end context.CancelFunc
		ctx, end = context.WithCancel(ctx)
		defer end()
		go func() {
			io.Copy(io.Discard, t.in) //nolint:errcheck // an error ends it as well
			end()
		}()
	}
	begin := time.Now()
	s, err := stack.Start(ctx, c)
	if err != nil {
		if ctx.Err() != nil { // it was told to end while it started
			return nil
		}
		return err
	}
	failure := u.serve(ctx, t, s, begin)
	return errors.Join(failure, u.stop(t, s))
}

// serve says that the stack is ready, and returns when it is to be ended.
func (u *upCmd) serve(ctx context.Context, t *terminal, s *stack.Stack, begin time.Time) error {
	api := client.New(s.GatewayURL, "")
	if s.Secret() != "" {
		answer, err := api.Login(ctx, "operator", true)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("get a token: %w", err)
		}
		api.Token = answer.Token
	}
	if u.Seed && api.Token != "" && ctx.Err() == nil {
		if err := seedOnce(ctx, t, s, api); err != nil && ctx.Err() == nil {
			return fmt.Errorf("put in demo products and stock: %w", err)
		}
	}
	if u.JSON {
		if err := json.NewEncoder(t.out).Encode(describe(s, api.Token)); err != nil {
			return err
		}
	} else {
		u.greet(ctx, t, s, begin)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.Failed():
		return fmt.Errorf("a part has ended by itself, so everything ends\n%w", err)
	}
}

// stop ends the stack; a signal that comes meanwhile kills what is left.
func (u *upCmd) stop(t *terminal, s *stack.Stack) error {
	ctx, stop := interruptible()
	defer stop()
	if !u.Ephemeral {
		t.say("\nending; once more kills")
	}
	s.Stop(ctx)
	if ctx.Err() != nil {
		return exitCode(exitKilled)
	}
	return nil
}

// description is what --json prints, and what orderwiretest and tests in other languages read.
type description struct {
	Gateway  string                        `json:"gateway"`
	Services map[string]serviceDescription `json:"services"`
	Kafka    kafkaDescription              `json:"kafka"`
	MongoDB  mongoDescription              `json:"mongodb"`
	// Token of an operator. More come from POST <gateway>/dev/token, or are signed with JWT.Secret.
	Token string          `json:"token,omitempty"`
	JWT   *jwtDescription `json:"jwt,omitempty"`
	Dir   string          `json:"dir"` // data; logs are in its folder logs
}

type serviceDescription struct {
	URL      string `json:"url"`
	AdminURL string `json:"adminUrl"`
	PID      int    `json:"pid"`
}

type kafkaDescription struct {
	Kind    string   `json:"kind"`
	Brokers []string `json:"brokers"`
}

type mongoDescription struct {
	Kind      string            `json:"kind"`
	URI       string            `json:"uri"`
	Databases map[string]string `json:"databases"`
}

type jwtDescription struct {
	Algorithm string `json:"algorithm"`
	Secret    string `json:"secret"`
	Issuer    string `json:"issuer"`
	Audience  string `json:"audience"`
}

func describe(s *stack.Stack, token string) description {
	d := description{
		Gateway: s.GatewayURL, Services: map[string]serviceDescription{}, Token: token, Dir: s.Dir,
		Kafka:   kafkaDescription{s.Broker.Kind, s.Broker.Brokers},
		MongoDB: mongoDescription{s.Database.Kind, s.Database.URI, map[string]string{}},
	}
	for _, name := range stack.Services() {
		i := s.Instances(name)[0]
		d.Services[name] = serviceDescription{i.URL, i.AdminURL, i.Pid()}
		if db := s.DatabaseName(name); db != "" {
			d.MongoDB.Databases[name] = db
		}
	}
	if s.Secret() != "" {
		issuer, audience := s.TokenNames()
		d.JWT = &jwtDescription{"HS256", s.Secret(), issuer, audience}
	}
	return d
}

// greet shows people where everything is, a token, and three commands to try.
func (u *upCmd) greet(ctx context.Context, t *terminal, s *stack.Stack, begin time.Time) {
	fmt.Fprintf(t.out, "\nOrderwire is ready, %s after its start (what make had to build before is not counted).\n\n", time.Since(begin).Round(100*time.Millisecond))
	line := func(name, value string) { fmt.Fprintf(t.out, "  %-15s %s\n", name, value) }
	line("page and API", s.GatewayURL)
	for _, name := range stack.Services() {
		i := s.Instances(name)[0]
		line(name, i.URL+"   metrics and health "+i.AdminURL)
	}
	line("Kafka", strings.Join(s.Broker.Brokers, ",")+" ("+s.Broker.Kind+")")
	line("MongoDB", redacted(s.Database.URI)+" ("+s.Database.Kind+")")
	line("logs", filepath.Join(relative(s.Dir), "logs"))
	if s.Secret() != "" {
		demo, err := client.New(s.GatewayURL, "").Login(ctx, "demo", false)
		if err == nil {
			line("demo token", demo.Token)
		}
	}
	self, gateway := relative(filepath.Join(u.Bin, "orderctl")), ""
	if s.GatewayURL != defaultGateway {
		gateway = " --gateway " + s.GatewayURL
	}
	fmt.Fprintf(t.out, `
Try in another terminal:

  %[1]s order place mug-blue=2%[2]s
  %[1]s order watch%[2]s
  curl -s %[3]s/v1/stock

Ctrl-C ends everything; the data stays in %[4]s.
`, self, gateway, s.GatewayURL, relative(s.Dir))
}

// relative shortens a path for people.
func relative(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(short, "..") {
		return short
	}
	return path
}

// redacted hides the password of a URI.
func redacted(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return "a database whose URI cannot be shown"
	}
	return u.Redacted()
}
