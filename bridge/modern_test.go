package bridge

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// modernServer speaks MCP 2026-07-28 and nothing older. It refuses requests
// whose header fields are not those of their bodies.
type modernServer struct {
	*httptest.Server
	handle  func(w http.ResponseWriter, r *http.Request, f wire.Frame) bool
	updates chan string // notifications for whoever listens
	cut     chan struct{}

	mu   sync.Mutex
	seen []modernRequest
}

type modernRequest struct {
	f      wire.Frame
	header http.Header
}

const (
	modernTools    = `[{"name":"sql","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}},{"name":"ask","inputSchema":{"type":"object"}},{"name":"日本","inputSchema":{"type":"object"}}]`
	modernHello    = `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true}},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"modern","version":"1"}}}`
	modernMeta     = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
	initializeFull = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"c","version":"1"}}}`
	initialized    = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
)

func newModernServer(t *testing.T) *modernServer {
	t.Helper()
	s := &modernServer{updates: make(chan string), cut: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Server.Close)
	return s
}

// sent returns the requests of a method.
func (s *modernServer) sent(method string) []modernRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []modernRequest
	for _, r := range s.seen {
		if r.f.Method == method {
			all = append(all, r)
		}
	}
	return all
}

func (s *modernServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f, err := wire.Parse(body)
	if r.Method != http.MethodPost || err != nil {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	s.mu.Lock()
	s.seen = append(s.seen, modernRequest{f, r.Header.Clone()})
	s.mu.Unlock()
	if wrong := s.mismatch(r, f); wrong != "" {
		s.fail(w, f, 400, -32020, wrong)
		return
	}
	if s.handle != nil && s.handle(w, r, f) {
		return
	}
	switch f.Method {
	case "server/discover":
		s.answer(w, f, modernHello)
	case "tools/list":
		s.answer(w, f, `{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":`+modernTools+`}`)
	case "subscriptions/listen":
		s.listen(w, r, f)
	default:
		s.answer(w, f, `{"resultType":"complete","content":[]}`)
	}
}

// mismatch compares the header with the body (basic/transports/streamable-http,
// Server Validation).
func (s *modernServer) mismatch(r *http.Request, f wire.Frame) string {
	version := wire.LookupString(f.Raw, "params", "_meta", wire.MetaProtocol)
	if version == "" || r.Header.Get(wire.HeaderProtocol) != version {
		return "MCP-Protocol-Version"
	}
	if r.Header.Get("Mcp-Method") != f.Method {
		return "Mcp-Method"
	}
	if f.Method != "tools/call" {
		return ""
	}
	if plain(r.Header.Get("Mcp-Name")) != wire.LookupString(f.Raw, "params", "name") {
		return "Mcp-Name"
	}
	if plain(r.Header.Get("Mcp-Param-Region")) != wire.LookupString(f.Raw, "params", "arguments", "region") {
		return "Mcp-Param-Region"
	}
	return ""
}

// plain decodes a value that is not safe in a header field.
func plain(v string) string {
	inner, ok := strings.CutPrefix(v, "=?base64?")
	if !ok {
		return v
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(inner, "?="))
	if err != nil {
		return "not base64"
	}
	return string(b)
}

func (s *modernServer) answer(w http.ResponseWriter, f wire.Frame, result string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, f.ID, result)
}

func (s *modernServer) fail(w http.ResponseWriter, f wire.Frame, status, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(wire.NewError(f.ID, code, text, nil).Raw)
}

func (s *modernServer) listen(w http.ResponseWriter, r *http.Request, f wire.Frame) {
	w.Header().Set("Content-Type", "text/event-stream")
	meta := fmt.Sprintf(`"_meta":{"io.modelcontextprotocol/subscriptionId":%s}`, f.ID)
	_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{%s,\"notifications\":%s}}\n\n", meta, wire.Lookup(f.Raw, "params", "notifications"))
	for {
		_ = http.NewResponseController(w).Flush()
		select {
		case uri := <-s.updates:
			_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{%s,\"uri\":%q}}\n\n", meta, uri)
		case <-s.cut:
			panic(http.ErrAbortHandler)
		case <-r.Context().Done():
			return
		}
	}
}
