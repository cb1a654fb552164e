package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mcpctl/mcpctl/server/auth"
)

// tracing makes a span for each MCP request and sends spans to a collector. The
// nil tracing does nothing and costs nothing.
type tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	// hashedUser puts a hash of who called into spans.
	hashedUser bool
}

// propagator reads and writes W3C Trace Context. Baggage is not passed on: what
// clients say there is for their own systems.
var propagator = propagation.TraceContext{}

// openTracing returns nil where nothing says where traces go. getenv reads the
// standard variables (OpenTelemetry specification, "OTLP Exporter" and "SDK
// environment variables"); the SDK itself reads those of sampling and batching.
func openTracing(ctx context.Context, opts Telemetry, version string, getenv func(string) string, log *slog.Logger) (*tracing, error) {
	client, err := otlpClientFor(opts.OTLPEndpoint, getenv, log)
	if client == nil || err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("preparing traces: %w", err)
	}
	// The environment goes before what we say.
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "mcpctl"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		log.Warn("a part of OTEL_RESOURCE_ATTRIBUTES can't be used", "reason", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return &tracing{provider: provider, tracer: provider.Tracer("github.com/mcpctl/mcpctl/server"), hashedUser: opts.HashedUser}, nil
}

// flushTimeout bounds the wait for a collector when the server stops.
const flushTimeout = 5 * time.Second

// close sends what is left.
func (t *tracing) close(log *slog.Logger) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		log.Warn("the last traces were not delivered", "reason", err)
	}
}

// handler takes the trace that an HTTP request belongs to from its header. A
// message says in its own _meta if it belongs to another.
func (t *tracing) handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("traceparent") != "" {
			r = r.WithContext(propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header)))
		}
		next.ServeHTTP(w, r)
	})
}

// callerAttribute tells callers apart without naming them.
func (t *tracing) callerAttribute(ctx context.Context) (attribute.KeyValue, bool) {
	p, ok := auth.FromContext(ctx)
	if !ok || !t.hashedUser {
		return attribute.KeyValue{}, false
	}
	sum := sha256.Sum256([]byte(p.Key()))
	return attribute.String("enduser.pseudo.id", hex.EncodeToString(sum[:16])), true
}
