package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// process returns the id of the upstream process behind a session.
func process(s *session) string {
	s.t.Helper()
	f, _ := s.tool("read", `{}`)
	if f.Failed {
		s.t.Fatalf("read: %s", f.Raw)
	}
	return at(f, "result.pid")
}

func TestWhoSharesAProcess(t *testing.T) {
	for _, test := range []struct {
		process                       string
		sessions, persons, capability bool // whether they share
	}{
		{"", true, false, false},
		{"per-user", true, false, false},
		{"per-session", false, false, false},
		{"shared", true, true, true},
	} {
		t.Run(test.process, func(t *testing.T) {
			up := richUpstream(t, "files")
			up.Process = test.process
			w := start(t, up)
			ada, grace := w.token(w.sample.Ada), w.token(w.sample.Grace)
			one := w.connect(ada, "/mcp", `{}`)
			check := func(what string, other *session, same bool) {
				t.Helper()
				if (process(one) == process(other)) != same {
					t.Errorf("%s: one process for both is %t", what, !same)
				}
			}
			check("another session of the same person", w.connect(ada, "/mcp", `{}`), test.sessions)
			check("another person", w.connect(grace, "/mcp", `{}`), test.persons)
			check("other capabilities", w.connect(ada, "/mcp", `{"sampling":{}}`), test.capability)
			own := w.modern(ada, "/mcp").tool("1", "read", `{}`)
			others := w.modern(grace, "/mcp").tool("1", "read", `{}`)
			if (at(own, "result.pid") == at(others, "result.pid")) != test.persons {
				t.Errorf("two persons without sessions: processes %s and %s", at(own, "result.pid"), at(others, "result.pid"))
			}
		})
	}
}

// Two sessions of one person use the same ids and progress tokens in one
// process, and so do two persons in a shared one: each gets its own.
func TestSameIDsSideBySide(t *testing.T) {
	for _, sharing := range []string{"per-user", "shared"} {
		t.Run(sharing, func(t *testing.T) {
			up := richUpstream(t, "files")
			up.Process = sharing
			w := start(t, up)
			second := w.sample.Ada
			if sharing == "shared" {
				second = w.sample.Grace
			}
			sessions := []*session{w.connect(w.token(w.sample.Ada), "/mcp", `{}`), w.connect(w.token(second), "/mcp", `{}`)}
			if process(sessions[0]) != process(sessions[1]) {
				t.Fatal("they have processes of their own")
			}
			const calls = 100
			for n := range calls {
				for who, s := range sessions {
					s.send("tools/call", fmt.Sprintf(`{"name":"steps","arguments":{"steps":3,"who":%d},"_meta":{"progressToken":%d}}`, who, n))
				}
			}
			for who, s := range sessions {
				steps := map[string]int{}
				for answered := 0; answered < calls; {
					f, err := s.read()
					if err != nil {
						t.Fatal(err)
					}
					if f.Kind == wire.Notification {
						token := at(f, "params.progressToken")
						if steps[token]++; at(f, "params.progress") != fmt.Sprint(steps[token]) {
							t.Errorf("%d: out of order: %s", who, f.Raw)
						}
						continue
					}
					answered++
					if at(f, "result.args.who") != fmt.Sprint(who) {
						t.Errorf("%d got %s", who, f.Raw)
					}
				}
				for token, n := range steps {
					if n != 3 {
						t.Errorf("%d: token %s got %d of 3", who, token, n)
					}
				}
			}
		})
	}
}

// Grace knows every name that Ada's session has: its id, event ids, request ids,
// progress tokens. None of it helps her.
func TestAnotherPersonsNames(t *testing.T) {
	w := start(t, richUpstream(t, "files"))
	ada, grace := w.rawSession(w.token(w.sample.Ada), "/mcp"), w.rawSession(w.token(w.sample.Grace), "/mcp")
	if resp := ada.start("tools/call", `{"name":"wait","arguments":{},"_meta":{"progressToken":"mine"}}`); resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("the call that waits: %s", resp.Status)
	}
	waiting := func() (n, cancelled string) {
		t.Helper()
		_, f := ada.call("tools/call", toolParams("read", `{}`))
		if f.Failed {
			t.Fatalf("Ada's session: %s", f.Raw)
		}
		return at(f, "result.waiting"), at(f, "result.cancelled")
	}

	stolen := *grace
	stolen.id = ada.id
	ping := `{"jsonrpc":"2.0","id":77,"method":"ping"}`
	cancel := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, 1)
	for name, try := range map[string]func() (*http.Response, string){
		"POST":   func() (*http.Response, string) { return stolen.post(ping) },
		"cancel": func() (*http.Response, string) { return stolen.post(cancel) },
		"answer": func() (*http.Response, string) { return stolen.post(`{"jsonrpc":"2.0","id":1,"result":{}}`) },
		"GET": func() (*http.Response, string) {
			return w.do(http.MethodGet, "/mcp", grace.token, "", wire.HeaderSession, ada.id)
		},
		"resume": func() (*http.Response, string) {
			return w.do(http.MethodGet, "/mcp", grace.token, "", wire.HeaderSession, ada.id, "Last-Event-ID", "1-1")
		},
		"DELETE": func() (*http.Response, string) {
			return w.do(http.MethodDelete, "/mcp", grace.token, "", wire.HeaderSession, ada.id)
		},
		"other client": func() (*http.Response, string) {
			return w.do(http.MethodPost, "/mcp", "", ping, wire.HeaderSession, ada.id)
		},
	} {
		want := http.StatusNotFound
		if name == "other client" {
			want = http.StatusUnauthorized
		}
		if resp, body := try(); resp.StatusCode != want {
			t.Errorf("%s on another's session: %s %s", name, resp.Status, body)
		}
	}
	// In her own session, with names of his.
	for _, body := range []string{
		cancel,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"mine","progress":5}}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":5}}`,
	} {
		grace.post(body)
	}
	if resp, body := w.do(http.MethodGet, "/mcp", grace.token, "", wire.HeaderSession, grace.id, "Last-Event-ID", "1-1"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an event id of another session: %s %s", resp.Status, body)
	}
	if n, cancelled := waiting(); n != "1" || cancelled != "0" {
		t.Errorf("%s calls of Ada's wait and %s were cancelled", n, cancelled)
	}
	ada.post(cancel)
	w.recorded("wait", "cancelled")
	if n, cancelled := waiting(); n != "0" || cancelled != "1" {
		t.Errorf("after she cancelled it herself, %s wait and %s were cancelled", n, cancelled)
	}
	if resp, _ := w.do(http.MethodDelete, "/mcp", ada.token, "", wire.HeaderSession, ada.id); resp.StatusCode != http.StatusNoContent {
		t.Errorf("her own DELETE: %s", resp.Status)
	}
}

// The same over HTTP+SSE. Grace knows the whole address of Ada's session.
func TestAnotherPersonsSSE(t *testing.T) {
	w := start(t, richUpstream(t, "files"))
	ada, grace := w.token(w.sample.Ada), w.token(w.sample.Grace)
	stream := w.events(ada, http.MethodGet, "/sse", "")
	_, address := stream.next()
	if !strings.HasPrefix(address, "/messages?") {
		t.Fatalf("the address of the session is %q", address)
	}
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`,
		`{"jsonrpc":"2.0","id":1,"result":{}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`,
	} {
		if resp, text := w.do(http.MethodPost, address, grace, body); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s %s", body, resp.Status, text)
		}
	}
	if resp, text := w.do(http.MethodPost, address, ada, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":`+hello(`{}`)+`}`); resp.StatusCode != http.StatusAccepted {
		t.Errorf("Ada herself: %s %s", resp.Status, text)
	}
	if _, data := stream.next(); !strings.Contains(data, `"id":1,"result"`) {
		t.Errorf("Ada got %s", data)
	}
	if _, id, _ := strings.Cut(address, "="); strings.Contains(w.log.String(), id) {
		t.Error("the whole address is in the log")
	}
}

// Without sessions: what one person's call left open is nobody else's.
func TestAnotherPersonsState(t *testing.T) {
	for _, sharing := range []string{"per-user", "per-session"} {
		t.Run(sharing, func(t *testing.T) {
			up := richUpstream(t, "files")
			up.Process = sharing
			w := start(t, up)
			ada, grace := w.modern(w.token(w.sample.Ada), "/mcp"), w.modern(w.token(w.sample.Grace), "/mcp")
			f := ada.tool("1", "elicit", `{}`)
			state := at(f, "result.requestState")
			if at(f, "result.resultType") != `"input_required"` || state == "" {
				t.Fatalf("elicit: %s", f.Raw)
			}
			var key string
			_ = wire.Members(wire.Lookup(f.Raw, "result", "inputRequests"), func(name, _ []byte) error { key = string(name); return nil })
			answer := func(m *modern, action string) wire.Frame {
				t.Helper()
				return m.call("1", "tools/call", fmt.Sprintf(`{"name":"elicit","arguments":{},"requestState":%s,"inputResponses":{%q:{"action":%q}}}`, state, key, action))
			}
			if f := answer(grace, "accept"); !f.Failed {
				t.Errorf("with Ada's requestState Grace got %s", f.Raw)
			}
			if f := answer(ada, "decline"); at(f, "result.answered.action") != `"decline"` {
				t.Errorf("Ada's own answer: %s", f.Raw)
			}
			if f := answer(ada, "accept"); !f.Failed {
				t.Errorf("a second time: %s", f.Raw)
			}

			// Both listen under one id; only one of them wants the resource.
			w.listen(ada, "9", `{"resourceSubscriptions":["mem://files/one"]}`)
			w.listen(grace, "9", `{"toolsListChanged":true}`).leave()
			// Leaving Grace's stream must not end Ada's, nor can Grace cancel it.
			resp, _ := w.do(http.MethodPost, "/mcp", grace.token, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}`, wire.HeaderProtocol, modernVersion, wire.HeaderMethod, "notifications/cancelled")
			if resp.StatusCode != http.StatusAccepted {
				t.Errorf("cancelling by notification: %s", resp.Status)
			}
		})
	}
}

// listen opens a subscription and returns its stream once that is acknowledged.
func (w *world) listen(m *modern, id, filter string) *exchange {
	w.t.Helper()
	e := m.start(id, "subscriptions/listen", `{"notifications":`+filter+`}`, "")
	if f := e.message(); f.Method != "notifications/subscriptions/acknowledged" || wire.LookupString(f.Raw, "params", "_meta", "io.modelcontextprotocol/subscriptionId") == "" && string(wire.Lookup(f.Raw, "params", "_meta", "io.modelcontextprotocol/subscriptionId")) != id {
		w.t.Fatalf("listening: %s", f.Raw)
	}
	return e
}
