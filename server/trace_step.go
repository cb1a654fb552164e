package server

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/gateway"
)

// step returns next with a span around each request of the client, whose
// context the upstream finds in _meta. Attribute names are those of
// OpenTelemetry's semantic conventions for MCP. There are no arguments in them,
// and no names of people.
func (t *tracing) step(next gateway.Dialer) gateway.Dialer {
	if t == nil {
		return next
	}
	return func(deliver wire.Deliver) (wire.Remote, error) {
		s := &tracer{tracing: t, deliver: deliver, open: map[string]trace.Span{}}
		var err error
		s.next, err = next(s.fromNext)
		return s, err
	}
}

// tracer implements wire.Remote.
type tracer struct {
	tracing *tracing
	deliver wire.Deliver
	next    wire.Remote

	mu   sync.Mutex
	open map[string]trace.Span // of requests under way, by id key
}

// Listen implements wire.Remote.
func (s *tracer) Listen(ctx context.Context) error { return s.next.Listen(ctx) }

// End implements wire.Remote.
func (s *tracer) End(ctx context.Context) error { return s.next.End(ctx) }

// Exchange implements wire.Remote.
func (s *tracer) Exchange(ctx context.Context, f wire.Frame) error {
	if f.Kind == wire.Response {
		return s.next.Exchange(ctx, f)
	}
	meta := readTraceMeta(f)
	if meta.parent != "" {
		ctx = propagator.Extract(ctx, meta)
	}
	if f.Kind != wire.Request {
		// What a notification belongs to is passed on; it has no length of its own.
		return s.next.Exchange(ctx, f)
	}
	params := wire.Lookup(f.Raw, "params")
	attributes := []attribute.KeyValue{attribute.String("mcp.method.name", shorten(f.Method)), attribute.String("rpc.system", "jsonrpc")}
	name := shorten(f.Method)
	switch target := shorten(wire.LookupString(params, "name")); {
	case target == "":
	case f.Method == "tools/call":
		name += " " + target
		attributes = append(attributes, attribute.String("gen_ai.tool.name", target))
	case f.Method == "prompts/get":
		name += " " + target
		attributes = append(attributes, attribute.String("gen_ai.prompt.name", target))
	}
	if caller, ok := s.tracing.callerAttribute(ctx); ok {
		attributes = append(attributes, caller)
	}
	ctx, span := s.tracing.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
	defer span.End()
	gateway.EvidenceFrom(ctx).Traced(span.SpanContext().TraceID().String())
	key := f.ID.Key()
	s.mu.Lock()
	s.open[key] = span
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.open, key)
		s.mu.Unlock()
	}()
	var own traceMeta
	propagator.Inject(ctx, &own)
	err := s.next.Exchange(ctx, own.into(f))
	if e := gateway.EvidenceFrom(ctx); e != nil {
		upstream, cached := e.Route()
		if upstream != "" {
			span.SetAttributes(attribute.String("mcpctl.upstream", upstream))
		}
		if cached {
			span.SetAttributes(attribute.Bool("mcpctl.cached", true))
		}
		if denied, rule := e.Decision(); denied {
			span.SetAttributes(attribute.String("mcpctl.denied_by", shorten(rule)))
		}
	}
	if err != nil {
		// The text of an error may quote what the caller sent.
		span.SetStatus(codes.Error, "the request was not answered by the upstream")
	}
	return err
}

// fromNext notes how a request ended.
func (s *tracer) fromNext(ctx context.Context, f wire.Frame) error {
	if f.Kind == wire.Response {
		s.mu.Lock()
		span := s.open[f.ID.Key()]
		s.mu.Unlock()
		switch {
		case span == nil:
		case f.Failed:
			span.SetAttributes(attribute.String("rpc.response.status_code", string(wire.Lookup(f.Raw, "error", "code"))))
			span.SetStatus(codes.Error, "")
		case string(wire.Lookup(f.Raw, "result", "isError")) == "true":
			span.SetAttributes(attribute.String("error.type", "tool_error"))
			span.SetStatus(codes.Error, "")
		}
	}
	return s.deliver(ctx, f)
}
