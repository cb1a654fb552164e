package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server"
)

// restartable is an MCP server behind that keeps sessions and can be restarted.
// Its tools are read, which is said to change nothing, and write.
type restartable struct {
	t       *testing.T
	address string
	lost    func(http.ResponseWriter) // answers a session that is not known
	// before may answer a request in its stead.
	before func(w http.ResponseWriter, r *http.Request, f wire.Frame) bool

	mu       sync.Mutex
	web      *http.Server
	last     int
	sessions map[string]*behindSession
	owners   map[string][]string // callers seen, by session id
	done     map[string]int      // calls by their arguments
}

// behindSession is what the server was told in one session.
type behindSession struct {
	level string
	uris  []string
	ready bool
	news  chan string
	gone  chan struct{}
}

func startRestartable(t *testing.T) *restartable {
	t.Helper()
	u := &restartable{t: t, sessions: map[string]*behindSession{}, owners: map[string][]string{}, done: map[string]int{}}
	u.up()
	t.Cleanup(u.down)
	return u
}

// up lets it listen, where it did before.
func (u *restartable) up() {
	u.t.Helper()
	if u.address == "" {
		u.address = "127.0.0.1:0"
	}
	var ln net.Listener
	var err error
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if ln, err = (&net.ListenConfig{}).Listen(u.t.Context(), "tcp", u.address); err == nil || time.Now().After(until) {
			break
		}
	}
	if err != nil {
		u.t.Fatal(err)
	}
	u.address = ln.Addr().String()
	web := &http.Server{Handler: u, ReadHeaderTimeout: patience}
	// A call on a connection that has just been closed, and nobody noticed yet,
	// may have been done for all the gateway knows: that is another test's.
	web.SetKeepAlivesEnabled(false)
	u.mu.Lock()
	u.web = web
	u.mu.Unlock()
	go func() { _ = web.Serve(ln) }()
}

// down ends it: its address refuses, its connections break, its sessions are
// forgotten.
func (u *restartable) down() {
	u.mu.Lock()
	web := u.web
	for id, s := range u.sessions {
		close(s.gone)
		delete(u.sessions, id)
	}
	u.mu.Unlock()
	_ = web.Close()
}

func (u *restartable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	if u.before != nil && u.before(w, r, f) {
		return
	}
	id := r.Header.Get(wire.HeaderSession)
	u.mu.Lock()
	defer u.mu.Unlock()
	if f.Method == "initialize" {
		u.last++
		id = "s" + strconv.Itoa(u.last)
		u.sessions[id] = &behindSession{news: make(chan string, 10), gone: make(chan struct{})}
		w.Header().Set(wire.HeaderSession, id)
	}
	s := u.sessions[id]
	if s == nil {
		u.lost(w)
		return
	}
	if who := r.Header.Get("Authorization"); !slices.Contains(u.owners[id], who) {
		u.owners[id] = append(u.owners[id], who)
	}
	switch {
	case r.Method == http.MethodGet:
		u.mu.Unlock()
		s.serve(w, r)
		u.mu.Lock()
	case r.Method == http.MethodDelete:
		close(s.gone)
		delete(u.sessions, id)
	case f.Kind != wire.Request:
		s.ready = s.ready || f.Method == "notifications/initialized"
		w.WriteHeader(http.StatusAccepted)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, f.ID, u.result(s, id, f))
	}
}

func (u *restartable) result(s *behindSession, id string, f wire.Frame) string {
	switch f.Method {
	case "initialize":
		return `{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}},"serverInfo":{"name":"restartable","version":"1"}}`
	case "tools/list":
		return `{"tools":[{"name":"read","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}},{"name":"write","inputSchema":{"type":"object"}}]}`
	case "logging/setLevel":
		s.level = wire.LookupString(f.Raw, "params", "level")
	case "resources/subscribe":
		s.uris = append(s.uris, wire.LookupString(f.Raw, "params", "uri"))
	case "tools/call":
		u.done[at(f, "params.arguments")]++
		return fmt.Sprintf(`{"content":[],"session":%q,"level":%q,"uris":%q,"ready":%v}`, id, s.level, strings.Join(s.uris, " "), s.ready)
	}
	return `{}`
}

// serve carries the session's own messages.
func (s *behindSession) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case raw := <-s.news:
			_, _ = fmt.Fprintf(w, "data: %s\n\n", raw)
		case <-s.gone:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// each calls f for each session there is.
func (u *restartable) each(f func(id string, s *behindSession)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, s := range u.sessions {
		f(id, s)
	}
}

func (u *restartable) upstream() server.Upstream {
	return server.Upstream{Name: "behind", URL: "http://" + u.address + "/mcp"}
}

// losses are what servers answer where they don't know a session.
var losses = map[string]func(http.ResponseWriter){
	"404": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
	"400": func(w http.ResponseWriter) {
		http.Error(w, `{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}`, http.StatusBadRequest)
	},
}

// TestUpstreamRestartGoesUnnoticed: clients of the gateway keep their session
// when the server behind is restarted and loses its own, with what they have
// subscribed to and set, and nothing is done twice or recorded twice.
func TestUpstreamRestartGoesUnnoticed(t *testing.T) {
	for name, lost := range losses {
		t.Run(name, func(t *testing.T) {
			u := startRestartable(t)
			u.lost = lost
			w := start(t, u.upstream())
			for front, open := range map[string]func(string) *session{"Streamable HTTP": w.streamable, "HTTP+SSE": w.sse} {
				s := open(w.token(w.sample.Ada))
				for method, params := range map[string]string{"logging/setLevel": `{"level":"error"}`, "resources/subscribe": `{"uri":"x:1"}`} {
					if f, _ := s.call(method, params); f.Failed {
						t.Fatalf("%s: %s", method, f.Raw)
					}
				}
				first, _ := s.tool("write", `{"n":"first"}`)
				for round := range 2 {
					u.down()
					u.up()
					s.survives(u, fmt.Sprint(name, front, round), at(first, "result.session"))
				}
				s.close()
			}
			w.stop()
			for args, n := range u.done {
				if n != 1 && args != `{"n":"first"}` {
					t.Errorf("%s was done %d times", args, n)
				}
			}
			calls := 0
			for _, r := range w.records() {
				if r["method"] == "tools/call" {
					calls++
					if r["outcome"] != "ok" {
						t.Errorf("recorded %v", r)
					}
				}
			}
			if calls != 2*(1+2*20) {
				t.Errorf("%d calls are recorded", calls)
			}
		})
	}
}

// survives makes calls after a restart and looks at the new session behind.
func (s *session) survives(u *restartable, mark, before string) {
	s.t.Helper()
	ids := map[string]bool{}
	for i := range 20 {
		ids[s.send("tools/call", toolParams("write", fmt.Sprintf(`{"n":"%s-%d"}`, mark, i)))] = true
	}
	changed := map[string]bool{}
	note := func(f wire.Frame) {
		if f.Kind == wire.Notification {
			changed[f.Method] = true
		}
	}
	for len(ids) > 0 {
		f, err := s.read()
		if err != nil {
			s.t.Fatal(err)
		}
		note(f)
		if f.Kind != wire.Response {
			continue
		}
		delete(ids, string(f.ID))
		if at(f, "result.session") == before || at(f, "result.level") != `"error"` || at(f, "result.uris") != `"x:1"` || at(f, "result.ready") != "true" {
			s.t.Errorf("after a restart: %s", f.Raw)
		}
	}
	u.each(func(_ string, b *behindSession) {
		b.news <- `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:1"}}`
	})
	for !changed["notifications/resources/updated"] || !changed["notifications/tools/list_changed"] || !changed["notifications/resources/list_changed"] {
		f, err := s.read()
		if err != nil {
			s.t.Fatalf("%v; came: %v", err, changed)
		}
		note(f)
	}
}

// TestUpstreamRestartKeepsCallersApart: after a restart each caller has a session
// of their own again, opened with their own credential.
func TestUpstreamRestartKeepsCallersApart(t *testing.T) {
	u := startRestartable(t)
	u.lost = losses["404"]
	u.before = func(w http.ResponseWriter, r *http.Request, _ wire.Frame) bool {
		if r.Header.Get("Authorization") == "" { // whoever looks whether it is there
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	}
	up := u.upstream()
	up.OnBehalfOf = server.OnBehalfOf{Scopes: []string{crmURI + "/.default"}}
	w := delegated(t, up)
	var all []*session
	var ids []string // the first id in each session, so that no two are alike
	for _, person := range []fakeentra.Person{w.sample.Ada, w.sample.Grace} {
		for _, open := range []func(string) *session{w.streamable, w.sse} {
			all = append(all, open(w.token(person)))
		}
	}
	for range 3 {
		u.down()
		u.up()
		ids = ids[:0]
		var clients sync.WaitGroup
		var mu sync.Mutex
		for i, s := range all {
			clients.Go(func() {
				f, _ := s.tool("write", fmt.Sprintf(`{"who":%d}`, i))
				mu.Lock()
				defer mu.Unlock()
				ids = append(ids, at(f, "result.session"))
			})
		}
		clients.Wait()
		slices.Sort(ids)
		if len(slices.Compact(ids)) != len(all) {
			t.Errorf("sessions behind: %v", ids)
		}
	}
	w.stop()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.sessions) != 0 {
		t.Errorf("%d sessions were left behind, for want of a credential to end them with", len(u.sessions))
	}
	for id, owners := range u.owners {
		if len(owners) != 1 {
			t.Errorf("%s had %d callers", id, len(owners))
		}
	}
}

// TestUpstreamIsAwayForAWhile: calls that come while the server behind is being
// restarted wait for it; for one that stays away they are answered for.
func TestUpstreamIsAwayForAWhile(t *testing.T) {
	u := startRestartable(t)
	u.lost = losses["404"]
	w := start(t, u.upstream())
	s := w.streamable(w.token(w.sample.Ada))
	u.down()
	id := s.send("tools/call", toolParams("write", `{}`))
	time.Sleep(500 * time.Millisecond) // it is away while the call comes
	u.up()
	if f, _ := s.answer(id); f.Failed {
		t.Errorf("got %s", f.Raw)
	}
	u.down()
	if f, _ := s.tool("write", `{"n":1}`); !strings.Contains(at(f, "error.message"), "could not be reached, so nothing was done") {
		t.Errorf("got %s", f.Raw)
	}
	u.up()
	if f, _ := s.tool("write", `{"n":2}`); f.Failed {
		t.Errorf("got %s", f.Raw)
	}
	if !slices.Equal([]int{u.done[`{}`], u.done[`{"n":1}`], u.done[`{"n":2}`]}, []int{1, 0, 1}) {
		t.Errorf("done: %v", u.done)
	}
}

// TestUpstreamIsBusy: an upstream that asks to come back later is obeyed within
// bounds, and quoted beyond.
func TestUpstreamIsBusy(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		for after, fine := range map[string]bool{"1": true, "7200": false} {
			t.Run(fmt.Sprint(status, " ", after), func(t *testing.T) {
				u := startRestartable(t)
				u.lost = losses["404"]
				var mu sync.Mutex
				left := 2
				u.before = func(w http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
					mu.Lock()
					defer mu.Unlock()
					if f.Method != "tools/call" || left == 0 {
						return false
					}
					left--
					w.Header().Set("Retry-After", after)
					w.WriteHeader(status)
					return true
				}
				w := start(t, u.upstream())
				f, _ := w.streamable(w.token(w.sample.Ada)).tool("write", `{}`)
				text := at(f, "error.message")
				if f.Failed == fine || !fine && !(strings.Contains(text, fmt.Sprint("busy (HTTP ", status)) && strings.Contains(text, "7200")) {
					t.Errorf("got %s", f.Raw)
				}
			})
		}
	}
}

// TestUpstreamDiesDuringACall: what may have been done is not done again, and
// said so; what is declared to change nothing is asked for again.
func TestUpstreamDiesDuringACall(t *testing.T) {
	u := startRestartable(t)
	u.lost = losses["400"]
	var mu sync.Mutex
	died := map[string]int{}
	u.before = func(_ http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
		tool := wire.LookupString(f.Raw, "params", "name")
		mu.Lock()
		defer mu.Unlock()
		if died[tool]++; f.Method != "tools/call" || died[tool] > 1 {
			return false
		}
		panic(http.ErrAbortHandler)
	}
	w := start(t, u.upstream())
	s := w.streamable(w.token(w.sample.Ada))
	if f, _ := s.call("tools/list", `{}`); f.Failed {
		t.Fatalf("got %s", f.Raw)
	}
	if f, _ := s.tool("write", `{}`); !strings.Contains(at(f, "error.message"), "may or may not have been done") {
		t.Errorf("write: %s", f.Raw)
	}
	if f, _ := s.tool("read", `{}`); f.Failed {
		t.Errorf("read: %s", f.Raw)
	}
	mu.Lock()
	defer mu.Unlock()
	if died["write"] != 1 || died["read"] != 2 {
		t.Errorf("called: %v", died)
	}
}

// TestUpstreamRestartWithoutASession: nor do clients without a session notice,
// and those that see several upstreams as one.
func TestUpstreamRestartWithoutASession(t *testing.T) {
	u := startRestartable(t)
	u.lost = losses["404"]
	for name, w := range map[string]*world{
		"alone":        start(t, u.upstream()),
		"among others": start(t, server.Upstream{}, several(u.upstream(), richUpstream(t, "fine"))),
	} {
		t.Run(name, func(t *testing.T) {
			tool := map[string]string{"alone": "write", "among others": "behind__write"}[name]
			token := w.token(w.sample.Ada)
			m, s := w.modern(token, "/mcp"), w.streamable(token)
			for round := range 3 {
				args := fmt.Sprintf(`{"n":"%s %d"}`, name, round)
				if f := m.call("1", "tools/call", toolParams(tool, args)); f.Failed || at(f, "result.session") == "" {
					t.Errorf("without a session: %s", f.Raw)
				}
				if f, _ := s.tool(tool, args); f.Failed || at(f, "result.session") == "" {
					t.Errorf("in a session: %s", f.Raw)
				}
				u.down()
				u.up()
			}
		})
	}
	for args, n := range u.done {
		if n != 2 { // once by each client
			t.Errorf("%s was done %d times", args, n)
		}
	}
}
