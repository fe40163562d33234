package service

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// newTracer makes spans that carry the W3C trace context from request to event to event. They are sent only where an
// endpoint is named; trace ids are there in any case, for logs and events.
func newTracer(name, endpoint string) (trace.Tracer, func(context.Context) error, error) {
	options := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", name))),
	}
	if endpoint != "" {
		// The exporter reads the standard OTEL_EXPORTER_OTLP_… variables itself.
		exporter, err := otlptracehttp.New(context.Background())
		if err != nil {
			return nil, nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
		}
		options = append(options, sdktrace.WithBatcher(exporter))
	}
	provider := sdktrace.NewTracerProvider(options...)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return provider.Tracer("orderwire"), provider.Shutdown, nil
}

// TraceParent gives the W3C traceparent of the span in ctx, to be carried by an event; "" without one.
func TraceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// Continue gives a context whose spans continue the trace that an event carried.
func Continue(ctx context.Context, traceParent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceParent})
}
