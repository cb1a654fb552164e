package server_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server"
)

// TestManyCallsAtOnce has 2,000 calls of one session under way at the same time;
// the upstream answers none before it has all.
func TestManyCallsAtOnce(t *testing.T) {
	const calls = 2000
	w := start(t, richUpstream(t, "files"))
	s := w.connect(w.token(w.sample.Ada), "/mcp", `{}`)
	numbers := map[string]int{} // of calls, by request id
	for n := range calls {
		id := s.send("tools/call", fmt.Sprintf(`{"name":"gather","arguments":{"steps":%d,"n":%d},"_meta":{"progressToken":"t%d"}}`, calls, n, n))
		numbers[id] = n
	}
	steps := make([]int, calls)
	for len(numbers) > 0 {
		f, err := s.read()
		if err != nil {
			t.Fatalf("%d calls are not answered: %v", len(numbers), err)
		}
		if f.Method == "notifications/progress" {
			var n int
			if _, err := fmt.Sscanf(at(f, "params.progressToken"), `"t%d"`, &n); err != nil {
				t.Fatalf("%s: %v", f.Raw, err)
			}
			if steps[n]++; at(f, "params.progress") != fmt.Sprint(steps[n]) {
				t.Errorf("call %d, after %d steps: %s", n, steps[n]-1, f.Raw)
			}
			continue
		}
		n, mine := numbers[string(f.ID)]
		delete(numbers, string(f.ID))
		if !mine || f.Failed || at(f, "result.args.n") != fmt.Sprint(n) || steps[n] != 3 {
			t.Fatalf("call %d was answered after %d of 3 steps with %s", n, steps[n], f.Raw)
		}
	}
	w.stop()
	answered := 0
	for _, r := range w.records() {
		if r["target"] == "gather" && r["outcome"] == "ok" {
			answered++
		}
	}
	if answered != calls {
		t.Errorf("%d calls in the audit log, want %d", answered, calls)
	}
}

// heap is the memory in use, after what is garbage has gone.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// A client that opens a stream and reads nothing of it holds up itself.
func TestStalledReader(t *testing.T) {
	w := start(t, richUpstream(t, "files"), func(o *server.Options) { o.DrainTimeout = 100 * time.Millisecond })
	ada := w.rawSession(w.token(w.sample.Ada), "/mcp")
	grace := w.connect(w.token(w.sample.Grace), "/mcp", `{}`)
	process(grace)
	before := heap()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url("/mcp"),
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"flood","arguments":{"steps":20000,"size":10000}}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set(wire.HeaderSession, ada.id)
	resp, err := w.httpClient(ada.token).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() // and nothing is read of 200 MB

	for range 200 {
		if f, _ := grace.tool("read", `{}`); f.Failed {
			t.Fatalf("another session: %s", f.Raw)
		}
	}
	time.Sleep(time.Second) // for all that would come if anything kept it
	after := heap()
	grown := int64(after) - int64(before)
	t.Logf("a stalled reader costs %.1f MiB", float64(grown)/(1<<20))
	if grown > 64<<20 {
		t.Errorf("200 MB for a client that does not read made %d MiB grow", grown>>20)
	}
}

func TestIdleSessions(t *testing.T) {
	const sessions, clients, generous = 5000, 16, 96 << 10
	w := start(t, richUpstream(t, "files"), func(o *server.Options) {
		o.Config.Limits.SessionsPerUser = sessions
		o.Logger = nil // the log buffer would be measured too
		o.Config.Audit.File = ""
	})
	token := w.token(w.sample.Ada)
	first := w.connect(token, "/mcp", `{}`)
	process(first)
	open := w.opener(token)
	open()
	before := heap()
	goroutines := runtime.NumGoroutine()
	var opening sync.WaitGroup
	for range clients {
		opening.Go(func() {
			for range (sessions - 2) / clients {
				open()
			}
		})
	}
	opening.Wait()
	opened := (sessions - 2) / clients * clients
	each := (int64(heap()) - int64(before)) / int64(opened)
	t.Logf("an idle session costs %.1f KiB and %.1f goroutines", float64(each)/1024, float64(runtime.NumGoroutine()-goroutines)/float64(opened))
	if each > generous {
		t.Errorf("an idle session costs %d bytes, more than %d", each, generous)
	}
	process(first) // all the others are in nobody's way
}

// opener returns a function that opens a session and leaves it.
func (w *world) opener(token string) func() {
	client := w.httpClient(token)
	post := func(session, body string) string {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url("/mcp"), strings.NewReader(body))
		if err != nil {
			w.t.Error(err)
			return ""
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		if session != "" {
			r.Header.Set(wire.HeaderSession, session)
		}
		resp, err := client.Do(r)
		if err != nil {
			w.t.Error(err)
			return ""
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 300 {
			w.t.Errorf("%s: %s", body, resp.Status)
		}
		return resp.Header.Get(wire.HeaderSession)
	}
	return func() {
		id := post("", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":`+hello(`{}`)+`}`)
		post(id, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	}
}
