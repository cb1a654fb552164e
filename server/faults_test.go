package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server"
)

// load is clients that call a tool again and again until they are stopped. Each
// call has exactly one answer, which judge looks at.
type load struct {
	w       *world
	stopped atomic.Bool
	clients sync.WaitGroup
	calls   atomic.Int64
	good    atomic.Int64 // answered by the tool
}

// reply is the answer to one POST.
type reply struct {
	status int
	header http.Header
	body   []byte
	answer wire.Frame // the zero Frame for none
	err    error      // of the connection
}

// refused reports connections that the server never took: there was no listener
// any more, or it was closed while they waited for it.
func (r reply) refused() bool {
	var op *net.OpError
	return errors.As(r.err, &op) && (op.Op == "dial" || errors.Is(op.Err, syscall.ECONNRESET) || errors.Is(op.Err, syscall.EPIPE))
}

// send sends a message on a connection of its own, since one that is kept may be
// closed by either side at any time.
func (w *world) send(token, session, body string) reply {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url("/mcp"), strings.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+token)
	if session != "" {
		r.Header.Set(wire.HeaderSession, session)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	got := reply{status: resp.StatusCode, header: resp.Header}
	if got.body, got.err = io.ReadAll(resp.Body); got.err != nil {
		return got
	}
	text := got.body
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		var data []byte
		for line := range bytes.Lines(text) {
			if value, ok := bytes.CutPrefix(line, []byte("data:")); ok && len(bytes.TrimSpace(value)) > 0 {
				data = bytes.TrimSpace(value)
			}
		}
		text = data
	}
	if f, err := wire.Parse(text); err == nil {
		got.answer = f
	}
	return got
}

// start has n clients call in sessions of their own.
func (l *load) start(n int, tokenOf func() string, judge func(reply) error) {
	for i := range n {
		s := l.w.rawSession(tokenOf(), "/mcp")
		l.clients.Go(func() {
			for call := 1; !l.stopped.Load(); call++ {
				l.calls.Add(1)
				args := fmt.Sprintf(`{"client":%d,"call":%d}`, i, call)
				got := l.w.send(tokenOf(), s.id, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"read","arguments":%s}}`, call, args))
				if got.status == http.StatusOK && !got.answer.Failed && got.answer.Kind == wire.Response {
					l.good.Add(1)
					if at(got.answer, "result.args") != args || string(got.answer.ID) != fmt.Sprint(call) {
						l.w.t.Errorf("%s was answered with %s", args, got.answer.Raw)
					}
					continue
				}
				if err := judge(got); err != nil {
					l.w.t.Errorf("%s: %v: %d %s %v", args, err, got.status, got.body, got.err)
					return
				}
			}
		})
	}
}

func (l *load) stop() {
	l.stopped.Store(true)
	l.clients.Wait()
}

// until waits for so many more good answers.
func (l *load) until(more int64) {
	l.w.t.Helper()
	for want, deadline := l.good.Load()+more, time.Now().Add(patience); l.good.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			l.w.t.Fatalf("no %d more calls in a minute", more)
		}
	}
}

func bad(reply) error { return errors.New("not answered by the tool") }

func (w *world) always(person fakeentra.Person) func() string {
	token := w.token(person)
	return func() string { return token }
}

// TestUpstreamCrashes has the upstream end with calls under way: each is
// answered, requests that come after it learn that the session is over in the
// way that makes clients open a new one, and a new one works.
func TestUpstreamCrashes(t *testing.T) {
	w := start(t, richUpstream(t, "files"))
	token := w.token(w.sample.Ada)
	for range 3 {
		s := w.rawSession(token, "/mcp")
		var calls sync.WaitGroup
		var mu sync.Mutex
		seen := map[string]int{}
		judge := func(got reply) (over bool) {
			text := wire.LookupString(got.answer.Raw, "error", "message")
			switch {
			case got.err != nil || got.answer.Kind != wire.Response:
				t.Errorf("not answered: %d %s %v", got.status, got.body, got.err)
				return true
			case got.status == http.StatusNotFound:
				seen["lost"]++
				return true
			case !got.answer.Failed:
				seen["ok"]++
				return false
			case strings.Contains(text, "stopped before it answered"):
				seen["stopped"]++
				return false
			}
			t.Errorf("answered with %d %s", got.status, got.body)
			return true
		}
		for client := range 10 {
			calls.Go(func() {
				for n := 0; ; n++ {
					name := "read"
					if client == 0 && n == 3 {
						name = "crash"
					}
					got := w.send(token, s.id, fmt.Sprintf(`{"jsonrpc":"2.0","id":"%d-%d","method":"tools/call","params":{"name":%q,"arguments":{}}}`, client, n, name))
					mu.Lock()
					over := judge(got)
					mu.Unlock()
					if over || n > 500 {
						return
					}
				}
			})
		}
		calls.Wait()
		if seen["stopped"] == 0 || seen["lost"] != 10 {
			t.Errorf("answers: %v, want each of 10 clients to learn that the session is over", seen)
		}
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			// A process that ended at once is not started again at once.
			got := w.send(token, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":`+hello(`{}`)+`}`)
			if got.status == http.StatusOK && !got.answer.Failed {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("no new session: %d %s", got.status, got.body)
			}
		}
	}
}

// The same for clients without sessions: the next call finds a new process.
func TestUpstreamCrashesWithoutSession(t *testing.T) {
	w := start(t, richUpstream(t, "files"))
	m := w.modern(w.token(w.sample.Ada), "/mcp")
	waiting := m.start("1", "tools/call", toolParams("wait", `{}`), `"progressToken":1`)
	waiting.message()
	if f := m.tool("2", "crash", `{}`); !f.Failed || !strings.Contains(at(f, "error.message"), "stopped before it answered") {
		t.Errorf("crash: %s", f.Raw)
	}
	if f, _ := waiting.answer(); !f.Failed || !strings.Contains(at(f, "error.message"), "stopped before it answered") {
		t.Errorf("the call beside it: %s", f.Raw)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		f := m.tool("3", "read", `{}`)
		if !f.Failed {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a minute later: %s", f.Raw)
		}
	}
}

// A process that says nothing at all doesn't hold anybody for ever, nor the
// server when it stops.
func TestSilentUpstream(t *testing.T) {
	up := richUpstream(t, "mute")
	up.Command = []string{"sleep", "3600"}
	w := start(t, up, func(o *server.Options) { o.DrainTimeout = 200 * time.Millisecond })
	answers := make(chan reply, 1)
	token := w.token(w.sample.Ada)
	go func() {
		answers <- w.send(token, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":`+hello(`{}`)+`}`)
	}()
	for !strings.Contains(w.log.String(), "session opened") {
		time.Sleep(time.Millisecond) // bounded by the test's own timeout
	}
	w.stop()
	if got := <-answers; got.answer.Kind != wire.Response || !got.answer.Failed {
		t.Errorf("got %d %s %v", got.status, got.body, got.err)
	}
}

// An authority that is down when the server starts: tokens can't be judged, which
// is nobody's fault; once it is there they are.
func TestAuthorityDownAtStart(t *testing.T) {
	w := start(t, richUpstream(t, "files"), func(*server.Options) {})
	w.authority.Inject(fakeentra.FaultDropped())
	token := w.token(w.sample.Ada)
	hi := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":` + hello(`{}`) + `}`
	if got := w.send(token, "", hi); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("while the authority is down: %d %s %v", got.status, got.body, got.err)
	}
	w.authority.ClearFaults()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		got := w.send(token, "", hi)
		if got.status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a minute after it came up: %d %s", got.status, got.body)
		}
	}
}

// Keys roll over, and then the authority goes down, with calls under way: tokens
// of both keys go on being accepted.
func TestRolloverAndOutageUnderLoad(t *testing.T) {
	w := start(t, richUpstream(t, "files"))
	var mu sync.Mutex
	token := w.token(w.sample.Ada)
	l := &load{w: w}
	l.start(8, func() string {
		mu.Lock()
		defer mu.Unlock()
		return token
	}, bad)
	l.until(50)
	if err := w.authority.RotateKeys(false); err != nil {
		t.Fatal(err)
	}
	fresh := w.token(w.sample.Ada)
	mu.Lock()
	token = fresh
	mu.Unlock()
	l.until(200)
	w.authority.Inject(fakeentra.FaultOutage())
	l.until(200)
	l.stop()
}

func TestSettingsChangeUnderLoad(t *testing.T) {
	w := start(t, richUpstream(t, "files"))
	l := &load{w: w}
	l.start(8, w.always(w.sample.Ada), bad)
	for i := range 20 {
		l.until(10)
		w.reload(func(c *server.Config) {
			c.Policy = []server.PolicyRule{{Name: fmt.Sprint("rule", i), Allow: "true"}}
			c.Limits.RequestsPerMinute = 1_000_000 - i
			c.Limits.Burst = 100_000
			c.Cache = nil
		})
	}
	l.stop()
	w.stop()
	w.answeredOnce(l)
}

// TestDrainUnderLoad: every call that the server took is answered, by the tool
// or with an error that says to come back; none twice, none not at all.
func TestDrainUnderLoad(t *testing.T) {
	w := start(t, richUpstream(t, "files"), func(o *server.Options) { o.DrainTimeout = patience })
	l := &load{w: w}
	l.start(16, w.always(w.sample.Ada), func(got reply) error {
		switch {
		case got.refused():
			l.stopped.Store(true)
			return nil
		case got.err != nil:
			return errors.New("the connection broke")
		case got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") != "", got.status == http.StatusNotFound:
			return nil
		case got.answer.Failed && strings.Contains(string(got.answer.Raw), "shutting down"):
			return nil
		}
		return errors.New("neither answered nor told to come back")
	})
	l.until(100)
	w.stop()
	l.stop()
	w.answeredOnce(l)
}

// answeredOnce compares the audit log with what clients got.
func (w *world) answeredOnce(l *load) {
	w.t.Helper()
	var ok int64
	seen := map[string]bool{}
	for _, r := range w.records() {
		if r["target"] != "read" || r["outcome"] != "ok" {
			continue
		}
		ok++
		key, _ := json.Marshal([]any{r["session"], r["args_sha256"]})
		if seen[string(key)] {
			w.t.Errorf("recorded twice: %v", r)
		}
		seen[string(key)] = true
	}
	if ok != l.good.Load() {
		w.t.Errorf("the audit log has %d good answers, clients got %d of %d calls", ok, l.good.Load(), l.calls.Load())
	}
}
