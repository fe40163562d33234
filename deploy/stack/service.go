package stack

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/ports"
)

// The four services; the names are those of their binaries as well.
const (
	OrderAPI  = "order-api"
	Inventory = "inventory"
	Shipping  = "shipping"
	Notifier  = "notifier"
)

// service is what the stack knows of a service.
type service struct {
	name     string
	ports    ports.Service
	database string   // "" for the one that has none
	routes   []string // what the gateway sends to it
}

var services = []service{
	{OrderAPI, ports.OrderAPI, "orders", []string{"/v1/orders", "/v1/products", "/dev/token"}},
	{Inventory, ports.Inventory, "inventory", []string{"/v1/stock"}},
	{Shipping, ports.Shipping, "shipping", []string{"/v1/shipments"}},
	{Notifier, ports.Notifier, "", []string{"/v1/events", "/v1/tickets", "/v1/session"}},
}

// Services lists their names, in the order in which an order meets them.
func Services() []string {
	var names []string
	for _, s := range services {
		names = append(names, s.name)
	}
	return names
}

// startGrace is how long a service may take to become ready. The slow part is a slow database making its indexes.
const startGrace = 60 * time.Second

// stopGrace is how long a service may take to end before it is killed.
const stopGrace = 3 * time.Second

// Instance is one process of a service.
type Instance struct {
	Name     string // "inventory", "inventory-2"
	Service  string
	URL      string
	AdminURL string

	stack   *Stack
	binDir  string
	addr    string
	env     environment
	process *process
	took    time.Duration // from the start to being ready
}

// Start starts the process, also again after Stop or Kill, waits until it is ready, and lets the gateway send to it.
// More environment counts for this process only.
func (i *Instance) Start(ctx context.Context, env ...string) error {
	begin := time.Now()
	p, err := startProcess(command{
		name: i.Name, path: filepath.Join(i.binDir, i.Service), env: i.env.with(env...), watch: true, onEnd: i.stack.fail,
	}, i.stack.backends.logDir(), i.stack.backends.pids)
	if err != nil {
		return err
	}
	i.stack.mu.Lock()
	i.process = p
	i.stack.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startGrace)
	defer cancel()
	if err := p.awaitReady(ctx, i.ready); err != nil {
		p.kill()
		return err
	}
	i.stack.mu.Lock()
	i.took = time.Since(begin)
	i.stack.mu.Unlock()
	i.stack.gateway.add(i.Service, i.addr)
	return nil
}

// ReadyAfter is how long the last successful Start took until the service was ready; it is asked every 20 ms.
func (i *Instance) ReadyAfter() time.Duration {
	i.stack.mu.Lock()
	defer i.stack.mu.Unlock()
	return i.took
}

// ready says nil when the service says that it is, and takes connections.
func (i *Instance) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.AdminURL+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() // only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET /readyz: %s: %s", resp.Status, body)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", i.addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Stop ends the process in good order: the gateway sends it nothing new, it drains, and it is killed if that takes
// longer than three seconds.
func (i *Instance) Stop(ctx context.Context) {
	i.stack.gateway.remove(i.Service, i.addr)
	if p := i.current(); p != nil {
		p.stop(ctx, stopGrace)
	}
}

// Kill ends the process as a crash does; the gateway learns it from refused connections, as any would.
func (i *Instance) Kill() {
	if p := i.current(); p != nil {
		p.kill()
	}
}

// Pause stops the process in its tracks (SIGSTOP); it keeps its connections. Resume lets it go on.
func (i *Instance) Pause() { i.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (i *Instance) Resume() { i.signal(syscall.SIGCONT) }

func (i *Instance) signal(s syscall.Signal) {
	if p := i.current(); p != nil {
		p.signal(s)
	}
}

// Pid of the process, 0 when there is none.
func (i *Instance) Pid() int { return i.current().pid() }

// Log is the path of the file that its output goes to.
func (i *Instance) Log() string { return filepath.Join(i.stack.backends.logDir(), i.Name+".log") }

// current gives the process that was started last, nil before the first.
func (i *Instance) current() *process {
	i.stack.mu.Lock()
	defer i.stack.mu.Unlock()
	return i.process
}
