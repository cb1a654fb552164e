package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/protobuf/proto"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/gateway"
)

// collector takes traces by OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	spans  []*tracepb.Span
	raw    []byte
	header http.Header
	refuse []int // statuses to answer with first
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.refuse) > 0 {
			w.WriteHeader(c.refuse[0])
			c.refuse = c.refuse[1:]
			return
		}
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(r.Body); err != nil {
				t.Error(err)
				return
			}
		}
		raw, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		var data tracepb.TracesData
		if err := proto.Unmarshal(raw, &data); err != nil {
			t.Error(err)
		}
		c.header, c.raw = r.Header.Clone(), append(c.raw, raw...)
		if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s as %s", r.URL.Path, r.Header.Get("Content-Type"))
		}
		for _, rs := range data.GetResourceSpans() {
			for _, ss := range rs.GetScopeSpans() {
				c.spans = append(c.spans, ss.GetSpans()...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func attributesOf(s *tracepb.Span) map[string]string {
	m := map[string]string{}
	for _, a := range s.GetAttributes() {
		m[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return m
}

// upstreamStub answers as told and keeps what it got.
type upstreamStub struct {
	deliver wire.Deliver
	got     []wire.Frame
	answer  string
}

func (u *upstreamStub) Exchange(ctx context.Context, f wire.Frame) error {
	u.got = append(u.got, f.Clone())
	if f.Kind != wire.Request {
		return nil
	}
	return u.deliver(ctx, wire.MustParse(strings.ReplaceAll(u.answer, "ID", string(f.ID))))
}
func (u *upstreamStub) Listen(context.Context) error { return nil }
func (u *upstreamStub) End(context.Context) error    { return nil }

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	parent  = "00-" + traceID + "-b7ad6b7169203331-01"
)

func TestTraces(t *testing.T) {
	c := startCollector(t)
	tr, err := openTracing(t.Context(), Telemetry{OTLPEndpoint: c.URL, HashedUser: true}, "test", env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b", "OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	up := &upstreamStub{}
	var answers []wire.Frame
	remote, err := tr.step(func(deliver wire.Deliver) (wire.Remote, error) {
		up.deliver = deliver
		return up, nil
	})(func(_ context.Context, f wire.Frame) error { answers = append(answers, f.Clone()); return nil })
	if err != nil {
		t.Fatal(err)
	}
	ctx := auth.NewContext(context.Background(), &auth.Principal{TenantID: "tenant-1", ObjectID: "ada-1", Username: "ada@contoso.example", Name: "Ada"})
	ctx, evidence := gateway.WithEvidence(ctx)
	send := func(ctx context.Context, raw, answer string) {
		t.Helper()
		up.answer = answer
		if err := remote.Exchange(ctx, wire.MustParse(raw)); err != nil {
			t.Fatal(err)
		}
	}
	// The client's trace goes on, in _meta; the rest of the message stays.
	send(ctx, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"n": 1e3,"customer":"secret-customer"},"_meta":{"traceparent":"`+parent+`","tracestate":"vendor=x","other":[1]}}}`,
		`{"jsonrpc":"2.0","id":ID,"result":{"isError":true}}`)
	// That of the HTTP request, where the message has none.
	http := propagator.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
	send(http, `{"jsonrpc":"2.0","id":2,"method":"ping"}`, `{"jsonrpc":"2.0","id":ID,"error":{"code":-32601,"message":"secret-reason"}}`)
	// One of its own.
	send(ctx, `{"jsonrpc":"2.0","id":3,"method":"tools/list","params":{}}`, `{"jsonrpc":"2.0","id":ID,"result":{}}`)
	send(ctx, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, "")
	if evidence.Trace() == "" || evidence.Trace() == traceID {
		t.Errorf("the evidence names the trace %q", evidence.Trace())
	}
	tr.close(slog.New(slog.DiscardHandler))

	if len(answers) != 3 || len(up.got) != 4 {
		t.Fatalf("%d answers, %d messages", len(answers), len(up.got))
	}
	call := up.got[0]
	if got := string(wire.Lookup(call.Raw, "params", "arguments")); got != `{"n": 1e3,"customer":"secret-customer"}` {
		t.Errorf("the arguments changed: %s", got)
	}
	sent := wire.LookupString(call.Raw, "params", "_meta", "traceparent")
	if !strings.HasPrefix(sent, "00-"+traceID+"-") || sent == parent || wire.LookupString(call.Raw, "params", "_meta", "tracestate") != "vendor=x" ||
		string(wire.Lookup(call.Raw, "params", "_meta", "other")) != "[1]" {
		t.Errorf("the upstream got %s", call.Raw)
	}
	if string(up.got[3].Raw) != `{"jsonrpc":"2.0","method":"notifications/initialized"}` {
		t.Errorf("a notification changed: %s", up.got[3].Raw)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spans) != 3 {
		t.Fatalf("%d spans", len(c.spans))
	}
	if c.header.Get("X-Key") != "a b" || c.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("sent with %v", c.header)
	}
	first, second, third := c.spans[0], c.spans[1], c.spans[2]
	if hex.EncodeToString(first.GetTraceId()) != traceID || hex.EncodeToString(second.GetTraceId()) != traceID || hex.EncodeToString(third.GetTraceId()) == traceID || hex.EncodeToString(first.GetParentSpanId()) != "b7ad6b7169203331" {
		t.Error("the spans are in other traces")
	}
	if a := attributesOf(first); first.GetName() != "tools/call echo" || a["mcp.method.name"] != "tools/call" || a["gen_ai.tool.name"] != "echo" ||
		a["error.type"] != "tool_error" || first.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR || len(a["enduser.pseudo.id"]) != 32 {
		t.Errorf("%s %v", first.GetName(), a)
	}
	if attributesOf(second)["rpc.response.status_code"] != "-32601" || third.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("%v %v", second, third)
	}
	for _, private := range []string{"secret", "ada", "Ada", "tenant-1"} {
		if bytes.Contains(c.raw, []byte(private)) {
			t.Errorf("traces contain %s", private)
		}
	}
}

func TestTracingIsOff(t *testing.T) {
	for _, e := range []func(string) string{
		env(), env("OTEL_SDK_DISABLED", "true", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
		env("OTEL_TRACES_EXPORTER", "none", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
	} {
		tr, err := openTracing(t.Context(), Telemetry{}, "test", e, slog.New(slog.DiscardHandler))
		if tr != nil || err != nil {
			t.Errorf("got %v %v", tr, err)
		}
		tr.close(nil) // and costs nothing
		var next gateway.Dialer = func(wire.Deliver) (wire.Remote, error) { return nil, nil }
		if got, _ := tr.step(next)(nil); got != nil {
			t.Error("there is a step")
		}
	}
}

func TestWhereTracesGo(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, tt := range []struct {
		configured string
		env        func(string) string
		want       string
	}{
		{"http://c:4318", env(), "http://c:4318/v1/traces"},
		{"http://c:4318/own/path", env(), "http://c:4318/own/path"},
		{"", env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/base/"), "http://c:4318/base/v1/traces"},
		{"", env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/x", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), "http://t/x"},
		{"http://c:4318", env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://other"), "http://c:4318/v1/traces"},
	} {
		c, err := otlpClientFor(tt.configured, tt.env, log)
		if err != nil || c.url != tt.want {
			t.Errorf("%q: %v %v, want %s", tt.configured, c, err, tt.want)
		}
	}
	for _, bad := range []string{"collector:4318", "http://user:secret@c", "ftp://c"} {
		if _, err := otlpClientFor("", env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", bad), log); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestCollectorThatRefuses(t *testing.T) {
	c := startCollector(t)
	client, err := otlpClientFor(c.URL, env("OTEL_EXPORTER_OTLP_TIMEOUT", "60000"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Stop(t.Context())
	span := []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{Name: "x"}}}}}}
	c.refuse = []int{503}
	if err := client.UploadTraces(t.Context(), span); err != nil || len(c.spans) != 1 {
		t.Errorf("after one refusal: %v", err)
	}
	c.refuse = []int{400, 400}
	if err := client.UploadTraces(t.Context(), span); err == nil || len(c.refuse) != 1 {
		t.Errorf("a batch that is no good was sent again: %v", err)
	}
	c.refuse = nil
	c.Close()
	client.timeout = time.Millisecond
	if err := client.UploadTraces(t.Context(), span); err == nil || strings.Contains(err.Error(), c.URL) {
		t.Errorf("got %v", err)
	}
}

func TestTraceMetaIntoMessages(t *testing.T) {
	m := traceMeta{parent: "P"}
	for _, tt := range []struct{ in, want string }{
		{`{"id":1,"jsonrpc":"2.0","method":"m"}`, `{"params":{"_meta":{"traceparent":"P"}},"id":1,"jsonrpc":"2.0","method":"m"}`},
		{`{"jsonrpc":"2.0","id":1,"method":"m","params":{}}`, `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"traceparent":"P"}}}`},
		{`{"jsonrpc":"2.0","id":1,"method":"m","params":{ "a":1}}`, `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"traceparent":"P"}, "a":1}}`},
		{`{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{ }}}`, `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"traceparent":"P" }}}`},
		{`{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"traceparent":5,"x":[]}}}`, `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"traceparent":"P","x":[]}}}`},
		{`{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"tracestate":"old"}}}`, `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"traceparent":"P","tracestate":""}}}`},
		{`{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}`, `{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}`},
	} {
		f := wire.MustParse(tt.in)
		got := m.into(f)
		if string(got.Raw) != tt.want || string(got.ID) != "1" || got.Method != "m" {
			t.Errorf("%s: got %s", tt.in, got.Raw)
		}
	}
}

func FuzzTraceMeta(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"traceparent":"x"}}}`), parent, "a=b")
	f.Fuzz(func(t *testing.T, raw []byte, parent, state string) {
		frame, err := wire.Parse(raw)
		if err != nil || frame.Kind != wire.Request {
			return
		}
		out := (&traceMeta{parent, state}).into(frame)
		again, err := wire.Parse(out.Raw)
		if err != nil || again.Method != frame.Method || again.ID.Key() != frame.ID.Key() {
			t.Fatalf("%q became %q: %v", raw, out.Raw, err)
		}
	})
}
