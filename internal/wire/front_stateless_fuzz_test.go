package wire

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	mcpgotypes "github.com/mark3labs/mcp-go/mcp"
)

// Every name that a client encodes as the specification says is understood, and
// no header is taken for another name.
func FuzzStatelessHeaderValue(f *testing.F) {
	for _, seed := range []string{"sum", "größe", " padded ", "a\nb", "=?base64?c3Vt?=", "=?base64?", "?=", "", "\t", "\x7f", "=?base64?c3V?=", "=?BASE64?c3Vt?="} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, name, header string) {
		if encoded, ok := mcpgotypes.EncodeHeaderValue(name); ok && utf8.ValidString(name) {
			if got, ok := decodeHeader(encoded); !ok || got != name {
				t.Errorf("%q was encoded as %q and decoded as %q", name, encoded, got)
			}
		}
		got, ok := decodeHeader(header)
		want, wellFormed := mcpgotypes.DecodeHeaderValue(header)
		if ok && (!wellFormed || got != want) {
			t.Errorf("%q was taken for %q, want %q", header, got, want)
		}
		if !ok && wellFormed && want == header && !strings.ContainsFunc(header, func(r rune) bool { return (r < ' ' || r > '~') && r != '\t' }) {
			t.Errorf("%q was not understood", header)
		}
	})
}

// A request is worked on only if an ordinary JSON decoder reads in it what its
// header says.
func FuzzStatelessHeaders(f *testing.F) {
	f.Add(modern("1", "tools/call", `"name":"sum"`), "tools/call", "sum", revision20260728)
	f.Add(modern("1", "resources/read", `"uri":"file:///a","name":"x"`), "resources/read", "file:///a", revision20260728)
	f.Add(modern("1", "tools/call", `"name":"a","n\u0061me":"b"`), "tools/call", "b", revision20260728)
	f.Add(modern("1", "tools/call", `"name":"a"},"params":{"name":"b"`), "tools/call", "a", revision20260728)
	f.Add(request("1", "ping", `{"_meta":{"io.modelcontextprotocol/protocolVersion":7}}`), "ping", "", revision20260728)
	front := NewStreamableFront(FrontOptions{Serve: (&script{}).serve, MaxCalls: 1 << 20, Stateless: func(ctx context.Context, c *Call) {
		if c.Frame.Kind == Request {
			_ = c.Write(ctx, NewResult(c.Frame.ID, "taken"))
		}
	}})
	f.Cleanup(func() { _ = front.Close(context.Background()) })
	f.Fuzz(func(t *testing.T, body, method, name, version string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/mcp", strings.NewReader(body))
		r.Header = http.Header{"Content-Type": {"application/json"}, HeaderProtocol: {version}, HeaderMethod: {method}, HeaderName: {name}}
		w := httptest.NewRecorder()
		front.ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), `"result":"taken"`) {
			return
		}
		if !utf8.ValidString(body) {
			return // the decoder would repair it
		}
		object := func(raw []byte) (m map[string]json.RawMessage) {
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Errorf("%s was taken: %v", body, err)
			}
			return m
		}
		text := func(raw []byte) (s string) {
			if err := json.Unmarshal(raw, &s); err != nil {
				t.Errorf("%s was taken: %v", body, err)
			}
			return s
		}
		message := object([]byte(body))
		params := object(message["params"])
		if text(message["method"]) != method || text(object(params["_meta"])[MetaProtocol]) != version {
			t.Errorf("%s was taken with %q, %q", body, method, version)
		}
		member := map[string]string{"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}[method]
		if params[member] == nil {
			return
		}
		if want, _ := mcpgotypes.DecodeHeaderValue(name); text(params[member]) != want {
			t.Errorf("%s was taken with %q", body, name)
		}
	})
}
