package audit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/audit"
	"github.com/orderwire/orderwire/deploy/internal/client"
	"github.com/orderwire/orderwire/deploy/stack"
	"github.com/orderwire/orderwire/pkg/kafka"
)

// A real system takes orders, changes, cancellations and what a carrier says, while each service is killed in turn.
// Live audits hold amid that; once it has drained, all equalities do.
func TestAudit_HoldsOnARealSystemThroughKills(t *testing.T) {
	s := startReal(t)
	config := audit.Config{
		Kafka: kafka.Config{Brokers: s.Broker.Brokers}, MongoDB: s.Database.URI,
		Databases: audit.Databases{
			OrderAPI: s.DatabaseName("order-api"), Inventory: s.DatabaseName("inventory"), Shipping: s.DatabaseName("shipping"),
		},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	operator := login(ctx, t, s, "operator", true)
	_, err := operator.Call(ctx, http.MethodPut, "/v1/products/mug", nil, map[string]any{"name": "Mug", "unitPrice": price}, nil)
	require.NoError(t, err)
	_, err = operator.Call(ctx, http.MethodPost, "/v1/stock/mug/adjustments", nil, map[string]any{"quantity": 500, "reason": "first"}, nil)
	require.NoError(t, err)

	var (
		accepted []string
		mu       sync.Mutex
		drivers  sync.WaitGroup
	)
	for n := range 4 {
		customer := login(ctx, t, s, fmt.Sprintf("customer-%d", n), false)
		random := rand.New(rand.NewPCG(uint64(n), 7)) //nolint:gosec // a seed that is the same each time
		drivers.Go(func() {
			for range 60 {
				id := live(ctx, customer, operator, random)
				mu.Lock()
				accepted = append(accepted, id)
				mu.Unlock()
			}
		})
	}
	for _, name := range []string{"order-api", "inventory", "shipping"} {
		i := s.Instances(name)[0]
		i.Kill()
		require.NoError(t, i.Start(ctx))
		report, violated := run(t, config)
		require.Empty(t, violated)
		require.Positive(t, report.Orders)
	}
	drivers.Wait()
	require.NoError(t, ctx.Err())
	require.NotContains(t, accepted, "", "every order was accepted in the end")

	config.Quiesced = true
	var report *audit.Report
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		config.Accepted = strings.NewReader(strings.Join(accepted, "\n"))
		if report, err = audit.Run(ctx, config); err != nil {
			return // it is not asked again
		}
		for _, i := range report.Invariants {
			assert.True(t, i.Holds, "%s: %+v", i.ID, i.Violations)
		}
	}, time.Minute, time.Second, "it never drained to a state where all holds")
	require.NoError(t, err)
	require.Equal(t, len(accepted), report.Orders)
	for _, i := range report.Invariants {
		require.Positive(t, i.Checked, i.ID)
	}
}

var price = map[string]any{"amount": 100, "currency": "EUR"}

// live places an order and lets a random life happen to it; "" when it was never accepted.
func live(ctx context.Context, customer, operator *client.Client, random *rand.Rand) string {
	street := func(n int) map[string]any {
		return map[string]any{"name": "A", "street": fmt.Sprintf("Ring %d", n), "city": "Cork", "postalCode": "T12", "country": "IE"}
	}
	var placed struct {
		ID string `json:"id"`
	}
	body := map[string]any{"items": []any{map[string]any{"sku": "mug", "quantity": 1 + random.IntN(3)}}, "shippingAddress": street(0)}
	key := http.Header{"Idempotency-Key": {uuid.NewString()}}
	if again(ctx, func() error {
		_, err := customer.Call(ctx, http.MethodPost, "/v1/orders", key, body, &placed)
		return err
	}) != nil {
		return ""
	}
	order, parcel := "/v1/orders/"+placed.ID, "/v1/shipments/"+placed.ID
	anyVersion := http.Header{"If-Match": {"*"}}
	// What comes of these is for the audit to judge: any of them may be refused, or fall into a kill.
	steps := []func(){
		func() { _, _ = customer.Call(ctx, http.MethodPost, order+"/cancel", nil, nil, nil) },
		func() {
			_, _ = customer.Call(ctx, http.MethodPatch, order, anyVersion, map[string]any{"shippingAddress": street(random.IntN(9))}, nil)
		},
		func() {
			_, _ = customer.Call(ctx, http.MethodPatch, order, anyVersion, map[string]any{"note": "bell"}, nil)
		},
		func() { _, _ = operator.Call(ctx, http.MethodPost, parcel+"/dispatch", nil, map[string]any{}, nil) },
		func() { _, _ = operator.Call(ctx, http.MethodPost, parcel+"/deliver", nil, map[string]any{}, nil) },
		func() {
			_, _ = operator.Call(ctx, http.MethodPost, parcel+"/fail", nil, map[string]any{"reason": []string{"refused", "lost"}[random.IntN(2)]}, nil)
		},
	}
	for range random.IntN(7) {
		steps[random.IntN(len(steps))]()
	}
	return placed.ID
}

// again asks until it is answered by other than "not now".
func again(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		var away *client.UnreachableError
		var refused *client.Problem
		if !errors.As(err, &away) && (!errors.As(err, &refused) || refused.Status < http.StatusInternalServerError) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func login(ctx context.Context, t *testing.T, s *stack.Stack, name string, operator bool) *client.Client {
	t.Helper()
	c := client.New(s.GatewayURL, "")
	answer, err := c.Login(ctx, name, operator)
	require.NoError(t, err)
	c.Token = answer.Token
	return c
}

func startReal(t *testing.T) *stack.Stack {
	t.Helper()
	bin := os.Getenv("ORDERWIRE_BIN")
	if bin == "" {
		bin = filepath.Join("..", "..", "bin")
	}
	bin, err := filepath.Abs(bin)
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(bin, "order-api")); err != nil {
		const why = "the services are not built: make build, or ORDERWIRE_BIN names their directory"
		if os.Getenv("REQUIRE_BACKENDS") == "1" {
			t.Fatal("REQUIRE_BACKENDS=1: " + why)
		}
		t.Skip("SKIP: " + why)
	}
	s, err := stack.Start(t.Context(), stack.Config{BinDir: bin, Kafka: stack.KafkaFake, Say: t.Logf, Environ: os.Environ()})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		s.Stop(ctx)
	})
	return s
}
