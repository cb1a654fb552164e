package bridge

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// model is an MCP server of the initialize era over Streamable HTTP as the
// specification describes it: sessions, resumable streams, a stream of its own
// messages; and over HTTP+SSE. It counts what it is asked to do and keeps the
// bytes.
//
// Its tools: echo and write answer at once, write being the one that may not be
// done twice; slow takes "ms"; notes sends "n" steps of progress before it
// answers; ask has the client answer a request first; quiet never answers.
type model struct {
	// before may answer a request in the model's stead.
	before func(w http.ResponseWriter, r *http.Request, f wire.Frame) bool
	// lost is what a request of an unknown session is answered with; nil: 404.
	lost func(w http.ResponseWriter)
	// plain: answers are JSON documents where nothing comes before them.
	plain bool

	ctx   context.Context
	stop  context.CancelFunc
	tasks sync.WaitGroup

	mu       sync.Mutex
	last     int
	sessions map[string]*modelSession
	got      []string       // requests and notifications as they came
	done     map[string]int // tool calls by the bytes of their params
	deleted  int
}

type modelSession struct {
	id      string
	general *modelStream
	mu      sync.Mutex
	last    int
	streams map[string]*modelStream
	asked   map[string]chan wire.Frame // requests to the client
	live    map[string]context.CancelFunc
}

// modelStream is a stream of events that can be resumed.
type modelStream struct {
	name   string
	mu     sync.Mutex
	events []string
	ended  bool
	news   chan struct{}
}

func newModel() *model {
	m := &model{sessions: map[string]*modelSession{}, done: map[string]int{}}
	m.ctx, m.stop = context.WithCancel(context.Background())
	return m
}

// restart forgets every session and the work in it.
func (m *model) restart() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.sessions {
		s.general.end()
		s.mu.Lock()
		for _, cancel := range s.live {
			cancel()
		}
		s.mu.Unlock()
	}
	m.sessions = map[string]*modelSession{}
}

func (m *model) close() {
	m.stop()
	m.tasks.Wait()
}

func (m *model) requests() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.got...)
}

// count is how many messages of a method have come.
func (m *model) count(method string) int {
	n := 0
	for _, raw := range m.requests() {
		if f, err := wire.Parse([]byte(raw)); err == nil && f.Method == method {
			n++
		}
	}
	return n
}

// session returns any session there is.
func (m *model) session() *modelSession {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.sessions {
		return s
	}
	return nil
}

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var f wire.Frame
	if r.Method == http.MethodPost {
		if f, err = wire.Parse(body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	if m.before != nil && m.before(w, r, f) {
		return
	}
	switch {
	case r.URL.Path == modelSSE:
		m.serveSSE(w, r)
		return
	case r.URL.Path == modelMessages:
		m.takeSSE(w, r, f)
		return
	case f.Method == "initialize":
		m.open(w, f)
		return
	}
	m.mu.Lock()
	s := m.sessions[r.Header.Get(wire.HeaderSession)]
	if s == nil && m.lost != nil {
		m.mu.Unlock()
		m.lost(w)
		return
	}
	if s == nil {
		m.mu.Unlock()
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if f.Kind == wire.Request || f.Kind == wire.Notification {
		m.got = append(m.got, string(f.Raw))
	}
	if r.Method == http.MethodDelete {
		m.deleted++
		delete(m.sessions, s.id)
	}
	m.mu.Unlock()
	switch {
	case r.Method == http.MethodGet:
		s.listen(w, r, m.ctx)
	case f.Kind == wire.Request:
		m.work(w, r, s, f)
	case f.Kind == wire.Response:
		s.answered(f)
		w.WriteHeader(http.StatusAccepted)
	case f.Method == "notifications/cancelled":
		s.cancel(f)
		w.WriteHeader(http.StatusAccepted)
	case f.Kind == wire.Notification:
		w.WriteHeader(http.StatusAccepted)
	}
}

const modelHello = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}},"serverInfo":{"name":"model","version":"1"}}`

func (m *model) open(w http.ResponseWriter, f wire.Frame) {
	s := m.newSession()
	w.Header().Set(wire.HeaderSession, s.id)
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, f.ID, modelHello)
}

// modelAnswer is what the model answers, to the byte.
func modelAnswer(f wire.Frame) string {
	if f.Method == "tools/list" {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"echo","annotations":{"readOnlyHint":true}},{"name":"notes","annotations":{"idempotentHint":true}},{"name":"write"}]}}`, f.ID)
	}
	return fmt.Sprintf(`{"z":1e400,"jsonrpc":"2.0","id":%s,"result":{"n":12345678901234567890,"echo":%s}}`, f.ID, wire.Lookup(f.Raw, "params"))
}

func (m *model) work(w http.ResponseWriter, r *http.Request, s *modelSession, f wire.Frame) {
	tool := wire.LookupString(f.Raw, "params", "name")
	if f.Method == "tools/call" {
		m.mu.Lock()
		m.done[string(wire.Lookup(f.Raw, "params"))]++
		m.mu.Unlock()
	}
	if m.plain && tool != "notes" && tool != "ask" && tool != "slow" && tool != "quiet" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, modelAnswer(f))
		return
	}
	st := s.stream()
	ctx, cancel := context.WithCancel(m.ctx)
	key := f.ID.Key()
	s.mu.Lock()
	s.live[key] = cancel
	s.mu.Unlock()
	f = f.Clone()
	m.tasks.Go(func() {
		defer cancel()
		defer st.end()
		m.tool(ctx, s, st, tool, f)
		s.mu.Lock()
		delete(s.live, key)
		s.mu.Unlock()
	})
	st.serve(w, r, m.ctx, 0)
}

// number reads a number among a tool's arguments.
func number(f wire.Frame, name string) int {
	n, _ := strconv.Atoi(string(wire.Lookup(f.Raw, "params", "arguments", name)))
	return n
}

func (m *model) tool(ctx context.Context, s *modelSession, st *modelStream, tool string, f wire.Frame) {
	switch tool {
	case "slow":
		if !pauseFor(ctx, time.Duration(number(f, "ms"))*time.Millisecond) {
			return
		}
	case "quiet":
		<-ctx.Done()
		return
	case "notes":
		for i := range number(f, "n") {
			st.send(modelNote(f, i))
			if pause := number(f, "ms"); pause > 0 && !pauseFor(ctx, time.Duration(pause)*time.Millisecond) {
				return
			}
		}
	case "ask":
		if !s.ask(ctx, st, f) {
			return
		}
	}
	st.send(modelAnswer(f))
}

// modelNote is the i-th step of progress of a call.
func modelNote(f wire.Frame, i int) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d,"x":9007199254740993}}`, f.ID, i)
}

// ask sends a request to the client on st and waits for its answer.
func (s *modelSession) ask(ctx context.Context, st *modelStream, f wire.Frame) bool {
	id := fmt.Sprintf(`"ask-%s"`, strings.Trim(string(f.ID), `"`))
	answer := make(chan wire.Frame, 1)
	s.mu.Lock()
	s.asked[wire.ID(id).Key()] = answer
	s.mu.Unlock()
	st.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"sampling/createMessage","params":{"for":%s}}`, id, f.ID))
	select {
	case <-answer:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *modelSession) answered(f wire.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.asked[f.ID.Key()]; c != nil {
		delete(s.asked, f.ID.Key())
		c <- f.Clone()
	}
}

func (s *modelSession) stream() *modelStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	st := newModelStream(strconv.Itoa(s.last))
	s.streams[st.name] = st
	return st
}

// listen serves the general stream, or the rest of another.
func (s *modelSession) listen(w http.ResponseWriter, r *http.Request, life context.Context) {
	var from int
	st := s.general
	if last := r.Header.Get("Last-Event-Id"); last != "" {
		name, seq, _ := strings.Cut(last, "-")
		s.mu.Lock()
		st = s.streams[name]
		s.mu.Unlock()
		from, _ = strconv.Atoi(seq)
	} else {
		st.mu.Lock()
		from = len(st.events)
		st.mu.Unlock()
	}
	if st == nil || !st.has(from) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	st.serve(w, r, life, from)
}

func newModelStream(name string) *modelStream {
	return &modelStream{name: name, news: make(chan struct{})}
}

func (st *modelStream) send(raw string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.events = append(st.events, raw)
	close(st.news)
	st.news = make(chan struct{})
}

func (st *modelStream) has(event int) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return event <= len(st.events)
}

func (st *modelStream) end() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.ended {
		st.ended = true
		close(st.news)
		st.news = make(chan struct{})
	}
}

// serve sends the events from the given one on: first an empty one whose id
// stands for the beginning (MCP 2025-11-25), then those that come.
func (st *modelStream) serve(w http.ResponseWriter, r *http.Request, life context.Context, from int) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	_, _ = fmt.Fprintf(w, "id: %s-%d\ndata:\n\n", st.name, from)
	for {
		if flush() != nil {
			return
		}
		st.mu.Lock()
		events, ended, news := st.events[from:], st.ended, st.news
		st.mu.Unlock()
		for _, raw := range events {
			from++
			if _, err := fmt.Fprintf(w, "id: %s-%d\ndata: %s\n\n", st.name, from, raw); err != nil || flush() != nil {
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
