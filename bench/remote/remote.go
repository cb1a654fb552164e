// Package remote is the MCP server that the bridges are measured against: Streamable HTTP with as little work behind it as
// possible, so that what is measured is the bridge. It speaks revisions up to 2025-11-25 and has no authorization.
//
// Its tools: echo answers with its text as plain JSON, echo_stream as one event of an event stream, big with a text of the
// given number of bytes, and notify sends the given number of notifications before its result, on the same stream.
package remote

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	// Path is where the server answers MCP.
	Path = "/mcp"
	// RequestsPath answers GET with how many requests the server had on all other paths.
	RequestsPath = "/bench/requests"

	maxBody = 64 << 20
	maxBig  = 64 << 20
)

const tools = `{"tools":[` +
	`{"name":"echo","inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}},` +
	`{"name":"echo_stream","inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}},` +
	`{"name":"big","inputSchema":{"type":"object","properties":{"n":{"type":"integer"}}}},` +
	`{"name":"notify","inputSchema":{"type":"object","properties":{"n":{"type":"integer"}}}}]}`

// A Server is the measured server's HTTP handler. Its methods may be called concurrently. Close ends the streams that
// clients hold open.
type Server struct {
	requests atomic.Int64
	sessions atomic.Int64
	closed   chan struct{}
	once     sync.Once
}

// New returns a server without sessions.
func New() *Server {
	return &Server{closed: make(chan struct{})}
}

// Close ends all open event streams, so that an http.Server's Shutdown can finish.
func (s *Server) Close() {
	s.once.Do(func() { close(s.closed) })
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == RequestsPath {
		fmt.Fprint(w, s.requests.Load())
		return
	}
	s.requests.Add(1)
	if r.URL.Path != Path {
		http.NotFound(w, r)
		return
	}
	switch r.Method {
	case http.MethodPost:
		s.post(w, r)
	case http.MethodGet:
		s.listen(w, r)
	case http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// listen holds the stream for messages that belong to no request. There never are any.
func (s *Server) listen(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-r.Context().Done():
	case <-s.closed:
	}
}

type request struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		ProtocolVersion string `json:"protocolVersion"`
		Name            string `json:"name"`
		Arguments       struct {
			Text json.RawMessage `json:"text"`
			N    int             `json:"n"`
		} `json:"arguments"`
	} `json:"params"`
}

func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var req request
	if err := json.Unmarshal(body, &req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if len(req.ID) == 0 {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	switch req.Method {
	case "initialize":
		w.Header().Set("Mcp-Session-Id", "bench-"+strconv.FormatInt(s.sessions.Add(1), 10))
		reply(w, req.ID, fmt.Sprintf(`{"protocolVersion":%q,"capabilities":{"tools":{},"logging":{}},`+
			`"serverInfo":{"name":"bench","version":"1"}}`, req.Params.ProtocolVersion))
	case "ping":
		reply(w, req.ID, "{}")
	case "tools/list":
		reply(w, req.ID, tools)
	case "tools/call":
		s.call(w, req)
	default:
		write(w, req.ID, `"error":{"code":-32601,"message":"method not found"}`)
	}
}

func (s *Server) call(w http.ResponseWriter, req request) {
	args := req.Params.Arguments
	switch {
	case req.Params.Name == "echo" && args.Text != nil:
		reply(w, req.ID, content(string(args.Text)))
	case req.Params.Name == "echo_stream" && args.Text != nil:
		stream(w, req.ID, 0, content(string(args.Text)))
	case req.Params.Name == "big" && args.N >= 0 && args.N <= maxBig:
		reply(w, req.ID, content(`"`+strings.Repeat("0123456789abcdef", args.N/16+1)[:args.N]+`"`))
	case req.Params.Name == "notify" && args.N >= 0:
		stream(w, req.ID, args.N, content(`"done"`))
	default:
		write(w, req.ID, `"error":{"code":-32602,"message":"unknown tool or bad arguments"}`)
	}
}

// content is a tool's result whose only content is text, given as a JSON string.
func content(text string) string {
	return `{"content":[{"type":"text","text":` + text + `}]}`
}

func reply(w http.ResponseWriter, id json.RawMessage, result string) {
	write(w, id, `"result":`+result)
}

func write(w http.ResponseWriter, id json.RawMessage, member string) {
	body := `{"jsonrpc":"2.0","id":` + string(id) + `,` + member + `}`
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = io.WriteString(w, body)
}

// stream sends n numbered log messages and then the result as an event stream. Each event is flushed by itself, as servers
// do whose tools report while they run.
func stream(w http.ResponseWriter, id json.RawMessage, n int, result string) {
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	for i := range n {
		fmt.Fprintf(w, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\","+
			"\"params\":{\"level\":\"info\",\"logger\":\"bench\",\"data\":{\"seq\":%d}}}\n\n", i)
		_ = rc.Flush()
	}
	_, _ = io.WriteString(w, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":"+string(id)+",\"result\":"+result+"}\n\n")
}
