package conformance_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// adapter is an HTTP endpoint before a command that speaks stdio. It carries each
// message as it is. Of what HTTP asks of a server it has just enough for the
// suite to be able to talk to it; it shares no code with mcpctl.
type adapter struct {
	t         *testing.T
	command   []string
	stateless *pipe // one command for all requests, from MCP 2026-07-28 on

	mu       sync.Mutex
	sessions map[string]*pipe // a command for each session, before
}

// startAdapter returns the endpoint's address.
func startAdapter(t *testing.T, stateless bool, command ...string) string {
	t.Helper()
	a := &adapter{t: t, command: command, sessions: map[string]*pipe{}}
	if stateless {
		a.stateless = openPipe(t, command)
	}
	srv := httptest.NewServer(a)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		if a.stateless != nil {
			a.stateless.close()
		}
		for _, p := range a.sessions {
			p.close()
		}
	})
	return srv.URL
}

// envelope is what the adapter reads of a message.
type envelope struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		RequestID     json.RawMessage `json:"requestId"`
		ProgressToken json.RawMessage `json:"progressToken"`
		Meta          struct {
			ProgressToken json.RawMessage `json:"progressToken"`
			Version       string          `json:"io.modelcontextprotocol/protocolVersion"`
			Subscription  json.RawMessage `json:"io.modelcontextprotocol/subscriptionId"`
		} `json:"_meta"`
	} `json:"params"`
	Error *struct {
		Code int `json:"code"`
	} `json:"error"`
}

func (a *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The suite's dns-rebinding-protection asks this of whoever listens on HTTP,
	// which is the adapter: it says nothing about the bridge.
	if !local(r.Host) || !localOrigin(r.Header.Get("Origin")) {
		http.Error(w, "a foreign Host or Origin", http.StatusForbidden)
		return
	}
	switch {
	case r.Method == http.MethodPost:
		a.post(w, r)
	case a.stateless != nil:
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
	case r.Method == http.MethodGet:
		if p := a.session(w, r); p != nil {
			p.listen(w, r)
		}
	case r.Method == http.MethodDelete:
		if p := a.session(w, r); p != nil {
			a.mu.Lock()
			delete(a.sessions, r.Header.Get("Mcp-Session-Id"))
			a.mu.Unlock()
			p.close()
			w.WriteHeader(http.StatusNoContent)
		}
	}
}

func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1", "[::1]"}, host)
}

func localOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return origin == "" || err == nil && local(u.Host)
}

func (a *adapter) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	var line bytes.Buffer
	var m envelope
	if json.Compact(&line, body) != nil || json.Unmarshal(body, &m) != nil {
		refuse(w, nil, -32700, "not a JSON-RPC message")
		return
	}
	p := a.stateless
	switch version := m.Params.Meta.Version; {
	case p != nil && (version != "" && r.Header.Get("MCP-Protocol-Version") != version || r.Header.Get("Mcp-Method") != m.Method):
		// There are no headers on stdio, so the bridge can't compare them.
		refuse(w, m.ID, -32020, "the headers are not the message's")
		return
	case p != nil:
	case m.Method == "initialize":
		p = openPipe(a.t, a.command)
		id := rand.Text()
		a.mu.Lock()
		a.sessions[id] = p
		a.mu.Unlock()
		w.Header().Set("Mcp-Session-Id", id)
	default:
		if p = a.session(w, r); p == nil {
			return
		}
	}
	if m.Method == "" || m.ID == nil {
		p.write(line.Bytes())
		w.WriteHeader(http.StatusAccepted)
		return
	}
	p.exchange(w, r, m, line.Bytes(), a.stateless != nil)
}

// session returns the session that a request names, or answers it.
func (a *adapter) session(w http.ResponseWriter, r *http.Request) *pipe {
	id := r.Header.Get("Mcp-Session-Id")
	if id == "" {
		http.Error(w, "no session", http.StatusBadRequest)
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.sessions[id]
	if p == nil {
		http.Error(w, "no such session", http.StatusNotFound)
	}
	return p
}

func refuse(w http.ResponseWriter, id json.RawMessage, code int, message string) {
	if id == nil {
		id = json.RawMessage("null")
	}
	answer(w, http.StatusBadRequest, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%q}}`, id, code, message))
}

func answer(w http.ResponseWriter, status int, message []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(message)
}

// status is the HTTP status that MCP 2026-07-28 gives an answer.
func status(m envelope) int {
	switch {
	case m.Error == nil:
		return http.StatusOK
	case m.Error.Code == -32601:
		return http.StatusNotFound
	case slices.Contains([]int{-32700, -32602, -32600, -32020, -32021, -32022}, m.Error.Code):
		return http.StatusBadRequest
	}
	return http.StatusOK
}
