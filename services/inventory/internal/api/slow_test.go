package api_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/inventory/internal/api"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
	"github.com/orderwire/orderwire/services/inventory/internal/store"
)

// patientStore fails where a request has no time left for it.
type patientStore struct{}

func (patientStore) Level(ctx context.Context, sku string) (stock.Level, error) {
	return stock.Level{SKU: sku}, ctx.Err()
}

func (patientStore) Levels(ctx context.Context, _ string, _ int) ([]stock.Level, bool, error) {
	return nil, false, ctx.Err()
}

func (patientStore) Adjust(ctx context.Context, a store.Adjustment) (stock.Level, bool, error) {
	return stock.Level{SKU: a.SKU, Available: a.Quantity}, false, ctx.Err()
}

// slowBody takes its time before it says anything.
type slowBody struct{ *strings.Reader }

func (b slowBody) Read(p []byte) (int, error) {
	time.Sleep(10 * time.Second)
	return b.Reader.Read(p)
}

func TestAdjust_ASlowClientSpendsItsOwnTimeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := web.New(web.Config{}, slog.New(slog.DiscardHandler), nil, noop.NewTracerProvider().Tracer(""))
		api.New(patientStore{}).Register(e, api.Access{})
		r := httptest.NewRequest(http.MethodPost, "/v1/stock/mug-blue/adjustments", slowBody{strings.NewReader(`{"quantity":1,"reason":"x"}`)})
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		require.Equal(t, http.StatusCreated, w.Code, w.Body.String())
	})
}
