package bridge

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Addresses of the model over HTTP+SSE (MCP 2024-11-05).
const (
	modelSSE      = "/sse"
	modelMessages = "/messages"
)

// serveSSE is the model over HTTP+SSE: a session is one stream, which carries
// everything, can't be resumed and takes the session with it.
func (m *model) serveSSE(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	s := m.newSession()
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "event: endpoint\ndata: %s?sessionId=%s\n\n", modelMessages, s.id)
	s.general.serveEvents(w, r, m.ctx)
	m.mu.Lock()
	delete(m.sessions, s.id)
	m.deleted++
	m.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cancel := range s.live {
		cancel()
	}
}

// takeSSE takes a message of an HTTP+SSE session.
func (m *model) takeSSE(w http.ResponseWriter, r *http.Request, f wire.Frame) {
	m.mu.Lock()
	s := m.sessions[r.URL.Query().Get("sessionId")]
	if s != nil && (f.Kind == wire.Request || f.Kind == wire.Notification) && f.Method != "initialize" {
		m.got = append(m.got, string(f.Raw))
	}
	m.mu.Unlock()
	switch {
	case s == nil && m.lost != nil:
		m.lost(w)
		return
	case s == nil:
		w.WriteHeader(http.StatusNotFound)
		return
	case f.Method == "initialize":
		s.general.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, f.ID, modelHello))
	case f.Kind == wire.Request:
		m.workSSE(s, f.Clone())
	case f.Kind == wire.Response:
		s.answered(f)
	case f.Method == "notifications/cancelled":
		s.cancel(f)
	}
	w.WriteHeader(http.StatusAccepted)
}

// workSSE does what a request asks for and answers on the session's stream.
func (m *model) workSSE(s *modelSession, f wire.Frame) {
	if f.Method == "tools/call" {
		m.mu.Lock()
		m.done[string(wire.Lookup(f.Raw, "params"))]++
		m.mu.Unlock()
	}
	ctx, cancel := context.WithCancel(m.ctx)
	key := f.ID.Key()
	s.mu.Lock()
	s.live[key] = cancel
	s.mu.Unlock()
	m.tasks.Go(func() {
		defer cancel()
		m.tool(ctx, s, s.general, wire.LookupString(f.Raw, "params", "name"), f)
		s.mu.Lock()
		delete(s.live, key)
		s.mu.Unlock()
	})
}

// serveEvents sends what comes, without ids.
func (st *modelStream) serveEvents(w http.ResponseWriter, r *http.Request, life context.Context) {
	flush := http.NewResponseController(w).Flush
	for from := 0; flush() == nil; {
		st.mu.Lock()
		events, ended, news := st.events[from:], st.ended, st.news
		st.mu.Unlock()
		for _, raw := range events {
			from++
			if _, err := fmt.Fprintf(w, "event: message\ndata: %s\n\n", raw); err != nil || flush() != nil {
				return
			}
		}
		if ended && len(events) == 0 {
			return
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-news:
		case <-r.Context().Done():
			return
		case <-life.Done():
			return
		}
	}
}

func (s *modelSession) cancel(f wire.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.live[wire.ID(wire.Lookup(f.Raw, "params", "requestId")).Key()]; cancel != nil {
		cancel()
	}
}

func (m *model) newSession() *modelSession {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	s := &modelSession{
		id: "s" + strconv.Itoa(m.last), streams: map[string]*modelStream{}, asked: map[string]chan wire.Frame{},
		live: map[string]context.CancelFunc{}, general: newModelStream("0"),
	}
	s.streams["0"] = s.general
	m.sessions[s.id] = s
	return s
}
