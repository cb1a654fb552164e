package bridge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// rows is the checklist of what a relay owes its client and its server. Each row
// has a test that bears its number, in the package where it can be shown best.
var rows = map[int]string{
	1:  "cmd, internal/entra: twenty starts at once, one login",
	2:  "bridge: server/discover without a token opens nothing",
	3:  "internal/entra: the scope says what a token is for; no resource parameter",
	4:  "bridge: no credentials, an actionable answer",
	5:  "cmd: an expired token is refreshed once",
	6:  "internal/entra: a refresh asks for the same scope",
	7:  "internal/entra: processes that refresh together",
	8:  "internal/recovery: 404 with a session id",
	9:  "cmd: device code blocked",
	10: "bridge: a page, nothing or id null as the answer",
	15: "bridge: end of input",
	16: "internal/e2e: logs are never on standard output",
	17: "bridge: 5 MB in a line and in an event",
	18: "bridge: legacy client, modern-only remote",
	19: "bridge: dual-era client, legacy remote",
	20: "bridge: what legacy servers answer to the probe",
	21: "bridge: -32022 names the versions",
	22: "bridge: 401 is no verdict",
	23: "bridge: the header carries the negotiated version",
	24: "bridge: ten minutes of comments",
	25: "bridge: header fields match the body",
	26: "internal/entra: PKCE without its advertisement",
	27: "bridge: the address stays as typed",
	28: "internal/recovery: GET answered with 405",
	29: "bridge: priming event",
	30: "bridge: stream cut with an event id",
	31: "bridge: stream cut without one",
	32: "bridge: modern cancellation",
	33: "bridge: legacy cancellation",
	34: "bridge: input_required for a legacy client",
	35: "bridge: a capability that the client lacks",
	36: "bridge: subscriptions through listen",
	37: "bridge: subscriptionId in the client's own JSON type",
	38: "bridge: names that are not ASCII",
	39: "bridge: -32020, one look, one retry",
	40: "bridge, cmd: step-up",
	46: "bridge: big integers and unknown fields",
	47: "bridge: cross-origin redirect",
	49: "bridge: batches",
}

// TestRowsAreTested looks for the tests of all rows.
func TestRowsAreTested(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"cmd", "internal/entra", "internal/recovery", "internal/e2e"} {
		more, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	var all bytes.Buffer
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^func TestRow(\d\d)\w*\(t \*testing\.T\)`).FindAllSubmatch(all.Bytes(), -1) {
		found[string(m[1])] = true
	}
	for row, what := range rows {
		if !found[fmt.Sprintf("%02d", row)] {
			t.Errorf("row %d has no test: %s", row, what)
		}
	}
}

func TestRow10NoUsableAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		contentType, body string
		status            int
		want              string
	}{
		"page":             {"text/html", "<html>sign in</html>", 200, "answered with a web page"},
		"page as an error": {"text/html", "<html>oh</html>", 502, "HTTP 502"},
		"nothing":          {"", "", 200, "stopped before it answered"},
		"202":              {"", "", 202, "stopped before it answered"},
		"empty document":   {"application/json", "", 200, "no JSON-RPC message"},
		"half a document":  {"application/json", `{"jsonrpc":"2.0","id":"c","resu`, 200, "no JSON-RPC message"},
		"empty stream":     {"text/event-stream", "", 200, "stopped before it answered"},
		"id null":          {"application/json", `{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"own words"}}`, 200, "own words"},
		"id null in 500":   {"application/json", `{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"own words"}}`, 500, "own words"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRemoteServer(t, "")
			s.handle = func(w http.ResponseWriter, _ *http.Request, f wire.Frame) {
				if f.Method != "tools/call" {
					_, _ = w.Write(wire.NewResult(f.ID, map[string]any{}).Raw)
					return
				}
				w.Header().Set("Content-Type", tc.contentType)
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			}
			c, _ := session(t, Options{URL: s.URL})
			ask(t, c, initialize)
			if got := ask(t, c, callTool); !strings.Contains(got, `"id":"c"`) || !strings.Contains(got, `"error"`) || !strings.Contains(got, tc.want) {
				t.Errorf("answered with %s", got)
			}
		})
	}
}

func TestRow17FiveMegabytes(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{true, false} {
		inWorld(t, Options{}, func(w *world) {
			w.server.plain = plain
			w.open()
			w.succeeds(w.call("a", "echo", `"text":"`+strings.Repeat("ä\\u2028", 5<<20/8)+`"`))
		})
	}
}

func TestRow18LegacyClientModernServer(t *testing.T) {
	s := newModernServer(t)
	c, _ := session(t, Options{URL: s.URL})
	if got := ask(t, c, initializeFull); !strings.Contains(got, `"protocolVersion":"2025-11-25"`) || !strings.Contains(got, `"name":"modern"`) {
		t.Errorf("initialize: %s", got)
	}
	send(t, c, initialized)
	if got := ask(t, c, callTool); got != `{"jsonrpc":"2.0","id":"c","result":{"content":[]}}` {
		t.Errorf("tools/call: %s", got)
	}
}

const discover = `{"jsonrpc":"2.0","id":"d","method":"server/discover","params":{` + modernMeta + `}}`

func TestRow19DualClientLegacyServer(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.fails(w.send(discover), wire.CodeMethodNotFound)
		w.open()
		w.succeeds(w.call("a", "echo", ``))
	})
}

func TestRow20WhatLegacyServersAnswerToTheProbe(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
	}{
		"-32601":       {200, `{"jsonrpc":"2.0","id":"d","error":{"code":-32601,"message":"no"}}`},
		"id null":      {200, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}`},
		"-32602":       {200, `{"jsonrpc":"2.0","id":"d","error":{"code":-32602,"message":"no"}}`},
		"400":          {400, `no session`},
		"404":          {404, ``},
		"400 of a SDK": {400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				w.server.before = func(rw http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
					if f.Method != "server/discover" {
						return false
					}
					rw.Header().Set("Content-Type", "application/json")
					rw.WriteHeader(tc.status)
					_, _ = io.WriteString(rw, tc.body)
					return true
				}
				w.fails(w.send(discover), wire.CodeMethodNotFound)
				w.open()
				w.succeeds(w.call("a", "echo", ``))
			})
		})
	}
}

func TestRow21UnsupportedVersion(t *testing.T) {
	s := newModernServer(t)
	s.handle = func(w http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
		if len(s.sent("server/discover")) != 1 || f.Method != "server/discover" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(wire.NewError(f.ID, -32022, "unsupported", map[string]any{"supported": []string{"2026-07-28"}, "requested": "2099-01-01"}).Raw)
		return true
	}
	c, _ := session(t, Options{URL: s.URL})
	// The client names a version that nobody knows; it is told which there are.
	if got := ask(t, c, discover); !strings.Contains(got, "2026-07-28") {
		t.Errorf("discover: %s", got)
	}
	if got := ask(t, c, `{"jsonrpc":"2.0","id":"c","method":"tools/list","params":{`+modernMeta+`}}`); !strings.Contains(got, `"result"`) {
		t.Errorf("tools/list: %s", got)
	}
	if len(s.sent("initialize")) != 0 {
		t.Error("a modern server was sent initialize")
	}
}

func TestRow22UnauthorizedIsNoVerdict(t *testing.T) {
	var methods []string
	open := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		methods = append(methods, r.Method)
		if !open {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, _ := io.ReadAll(r.Body)
		f, err := wire.Parse(body)
		if err != nil || f.Kind != wire.Request {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","resultType":"complete","supportedVersions":["2026-07-28"]}}`, f.ID)
	}))
	defer s.Close()
	c, _ := session(t, Options{URL: s.URL})
	for _, raw := range []string{discover, initialize} {
		if got := ask(t, c, raw); !strings.Contains(got, "-31001") {
			t.Errorf("answered with %s", got)
		}
	}
	if fmt.Sprint(methods) != "[POST POST]" {
		t.Errorf("sent %v: there is no need to look for another transport or era", methods)
	}
	open = true
	c2, _ := session(t, Options{URL: s.URL})
	if got := ask(t, c2, discover); !strings.Contains(got, "supportedVersions") {
		t.Errorf("the modern server is taken for another: %s", got)
	}
}

func TestRow23NegotiatedVersion(t *testing.T) {
	s := newRemoteServer(t, "") // answers 2025-06-18
	var header atomic.Value
	s.handle = func(w http.ResponseWriter, r *http.Request, f wire.Frame) {
		header.Store(r.Header.Get(wire.HeaderProtocol))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(wire.NewResult(f.ID, map[string]any{}).Raw)
	}
	c, _ := session(t, Options{URL: s.URL})
	ask(t, c, initialize)
	ask(t, c, callTool)
	if header.Load() != "2025-06-18" {
		t.Errorf("the header says %v", header.Load())
	}
}

// comments makes a call answer after minutes of comments on its stream.
func comments(minutes int) func(rw http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
	return func(rw http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
		if f.Method != "tools/call" {
			return false
		}
		rw.Header().Set("Content-Type", "text/event-stream")
		for range 4 * minutes {
			_, _ = io.WriteString(rw, ": still here\n\n")
			_ = http.NewResponseController(rw).Flush()
			time.Sleep(15 * time.Second)
		}
		_, _ = fmt.Fprintf(rw, "data: %s\n\n", modelAnswer(f))
		return true
	}
}

func TestRow24TenMinutesOfComments(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.server.before = comments(10)
		w.open()
		start := time.Now()
		w.succeeds(w.call("a", "write", ``))
		if took := time.Since(start); took < 10*time.Minute {
			t.Errorf("answered after %v", took)
		}
	})
}

func TestRow25HeadersMatchTheBody(t *testing.T) {
	s := newModernServer(t)
	c, _ := session(t, Options{URL: s.URL})
	ask(t, c, discover)
	ask(t, c, `{"jsonrpc":"2.0","id":"l","method":"tools/list","params":{`+modernMeta+`}}`)
	got := ask(t, c, `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"sql","arguments":{"region":"eu west"},`+modernMeta+`}}`)
	calls := s.sent("tools/call")
	if !strings.Contains(got, `"result"`) || len(calls) != 1 {
		t.Fatalf("%s after %d calls", got, len(calls))
	}
	for name, want := range map[string]string{"Mcp-Method": "tools/call", "Mcp-Name": "sql", "Mcp-Param-Region": "eu west", wire.HeaderProtocol: "2026-07-28"} {
		if v := calls[0].header.Get(name); v != want {
			t.Errorf("%s: %q instead of %q", name, v, want)
		}
	}
}

func TestRow27AddressAsTyped(t *testing.T) {
	var paths []string
	s := newRemoteServer(t, "")
	inner := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.RequestURI)
		inner.ServeHTTP(w, r)
	})
	for _, path := range []string{"/mcp/", "/mcp", "/a%2Fb/?x=%20y&z"} {
		paths = nil
		c, stop := session(t, Options{URL: s.URL + path})
		ask(t, c, initialize)
		ask(t, c, callTool)
		if err := stop(); err != nil {
			t.Error(err)
		}
		for _, got := range paths {
			if got != path {
				t.Errorf("typed %s, asked for %s", path, got)
			}
		}
	}
}

func TestRow29PrimingEvent(t *testing.T) {
	inWorld(t, Options{}, func(w *world) { // the model's streams all begin with one
		w.open()
		w.succeeds(w.call("a", "notes", `"n":3`))
		if len(w.notes) != 0 {
			t.Errorf("besides its answer the client got %q", w.notes)
		}
	})
}

func TestRow30ResumedByGET(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		var resumed atomic.Value
		w.server.before = func(_ http.ResponseWriter, r *http.Request, _ wire.Frame) bool {
			if id := r.Header.Get("Last-Event-Id"); id != "" && !strings.HasPrefix(id, "0-") {
				resumed.Store(r.Method + " " + id)
			}
			return false
		}
		w.open()
		c := w.call("a", "notes", `"n":10,"ms":1000`)
		time.Sleep(4500 * time.Millisecond)
		w.net.Cut()
		w.succeeds(c)
		if resumed.Load() != "GET 1-5" {
			t.Errorf("resumed with %v", resumed.Load())
		}
		if w.server.count("tools/call") != 1 {
			t.Error("the call was made again")
		}
	})
}

func TestRow31WriteIsNotRunAgain(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.server.before = func(rw http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
			if wire.LookupString(f.Raw, "params", "name") != "write" {
				return false
			}
			rw.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(rw, ": working\n\n")
			_ = http.NewResponseController(rw).Flush()
			w.server.mu.Lock()
			w.server.done["write"]++
			w.server.mu.Unlock()
			panic(http.ErrAbortHandler)
		}
		w.open()
		w.fails(w.call("a", "write", ``), CodeOutcome, "check before trying again")
		time.Sleep(time.Hour)
		if n := w.server.done["write"]; n != 1 {
			t.Errorf("it was done %d times", n)
		}
	})
}

func TestRow32ModernCancel(t *testing.T) {
	s := newModernServer(t)
	started, ended := make(chan struct{}), make(chan struct{})
	s.handle = func(w http.ResponseWriter, r *http.Request, f wire.Frame) bool {
		if f.Method != "tools/call" {
			return false
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		close(started)
		<-r.Context().Done()
		close(ended)
		return true
	}
	c, _ := session(t, Options{URL: s.URL})
	send(t, c, `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"ask",`+modernMeta+`}}`)
	<-started
	send(t, c, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c"}}`)
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the stream was not closed")
	}
	if got := ask(t, c, discover); !strings.Contains(got, `"id":"d"`) {
		t.Errorf("after it came %s", got)
	}
	if n := len(s.sent("notifications/cancelled")); n != 0 {
		t.Error("the notification was sent as well")
	}
}

func TestRow33LegacyCancel(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		late := make(chan struct{})
		var open atomic.Bool
		w.server.before = func(rw http.ResponseWriter, r *http.Request, f wire.Frame) bool {
			if wire.LookupString(f.Raw, "params", "name") != "late" {
				return false
			}
			rw.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(rw).Flush()
			<-late
			open.Store(r.Context().Err() == nil)
			_, _ = fmt.Fprintf(rw, "data: %s\n\n", modelAnswer(f))
			return true
		}
		w.open()
		c := w.call("a", "late", ``)
		synctest.Wait()
		w.mu.Lock()
		c.cancelled = true
		w.mu.Unlock()
		w.write(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}`)
		time.Sleep(5 * time.Second)
		close(late)
		synctest.Wait()
		if n := w.server.count("notifications/cancelled"); n != 1 || !open.Load() {
			t.Errorf("told %d times, stream open: %v", n, open.Load())
		}
	})
}

// asking makes the tool ask want something of the client first.
func (s *modernServer) asking(request string) {
	s.handle = func(w http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
		if wire.LookupString(f.Raw, "params", "name") != "ask" || wire.Lookup(f.Raw, "params", "inputResponses") != nil {
			return false
		}
		s.answer(w, f, `{"resultType":"input_required","requestState":"s","inputRequests":{"k":`+request+`}}`)
		return true
	}
}

func TestRow34InputRequired(t *testing.T) {
	s := newModernServer(t)
	s.asking(`{"method":"elicitation/create","params":{"message":"Who?","requestedSchema":{"type":"object"}}}`)
	c, _ := session(t, Options{URL: s.URL})
	ask(t, c, initializeFull)
	send(t, c, initialized)
	got := wire.MustParse(ask(t, c, `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"ask"}}`))
	if got.Method != "elicitation/create" {
		t.Fatalf("the client was not asked: %s", got.Raw)
	}
	if got := ask(t, c, `{"jsonrpc":"2.0","id":`+string(got.ID)+`,"result":{"action":"accept","content":{"who":"Ada"}}}`); got != `{"jsonrpc":"2.0","id":"c","result":{"content":[]}}` {
		t.Errorf("the answer is %s", got)
	}
	calls := s.sent("tools/call")
	if string(wire.Lookup(calls[1].f.Raw, "params", "requestState")) != `"s"` || !bytes.Contains(calls[1].f.Raw, []byte(`{"action":"accept","content":{"who":"Ada"}}`)) {
		t.Errorf("the server got %s", calls[1].f.Raw)
	}
}

func TestRow35LacksCapability(t *testing.T) {
	for _, request := range []string{
		`{"method":"sampling/createMessage","params":{"maxTokens":1}}`,
		`{"method":"elicitation/create","params":{"mode":"url","url":"https://x/","message":"m"}}`,
		`{"method":"unheard/of"}`,
	} {
		s := newModernServer(t)
		s.asking(request)
		c, _ := session(t, Options{URL: s.URL})
		ask(t, c, initializeFull)
		send(t, c, initialized)
		if got := wire.MustParse(ask(t, c, `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"ask"}}`)); string(got.ID) != `"c"` {
			t.Errorf("%s: %s", request, got.Raw)
		}
	}
}

func TestRow36SubscriptionsSurvive(t *testing.T) {
	s := newModernServer(t)
	c, _ := session(t, Options{URL: s.URL})
	ask(t, c, initializeFull)
	send(t, c, initialized)
	if got := ask(t, c, `{"jsonrpc":"2.0","id":"s","method":"resources/subscribe","params":{"uri":"x:1"}}`); got != `{"jsonrpc":"2.0","id":"s","result":{}}` {
		t.Fatalf("subscribing: %s", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	updated := func(uri string) {
		t.Helper()
		for ctx.Err() == nil {
			select {
			case s.updates <- uri: // to a stream that may be about to end
			case <-time.After(time.Second):
			}
			wait, stop := context.WithTimeout(ctx, time.Second)
			for f, err := c.Read(wait); err == nil; f, err = c.Read(wait) {
				if f.Method == "notifications/resources/updated" && wire.LookupString(f.Raw, "params", "uri") == uri {
					stop()
					return
				}
			}
			stop()
		}
		t.Fatalf("no update of %s came", uri)
	}
	updated("x:1")
	s.cut <- struct{}{}
	updated("x:1?again")
}

func TestRow37SubscriptionID(t *testing.T) {
	s := newModernServer(t)
	start := time.Now()
	defer func() {
		// An open subscription does not keep the bridge from ending (row 15).
		if took := time.Since(start); took > 25*time.Second { // it would be 30
			t.Errorf("ending took %v", took)
		}
	}()
	for _, id := range []string{"7", `"7"`, "9007199254740993"} {
		c, stop := session(t, Options{URL: s.URL})
		got := wire.MustParse(ask(t, c, `{"jsonrpc":"2.0","id":`+id+`,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},`+modernMeta+`}}`))
		if v := string(wire.Lookup(got.Raw, "params", "_meta", "io.modelcontextprotocol/subscriptionId")); v != id {
			t.Errorf("id %s came back as %s", id, v)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestRow38NamesInHeaders(t *testing.T) {
	s := newModernServer(t)
	c, _ := session(t, Options{URL: s.URL})
	if got := ask(t, c, `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"日本",`+modernMeta+`}}`); !strings.Contains(got, `"result"`) {
		t.Errorf("answered with %s", got)
	}
	if name := s.sent("tools/call")[0].header.Get("Mcp-Name"); name != "=?base64?5pel5pys?=" {
		t.Errorf("the name went as %q", name)
	}
}

func TestRow39HeaderMismatch(t *testing.T) {
	for _, always := range []bool{false, true} {
		s := newModernServer(t)
		if always {
			s.handle = func(w http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
				if f.Method == "tools/call" {
					s.fail(w, f, 400, -32020, "whatever you send")
				}
				return f.Method == "tools/call"
			}
		}
		c, _ := session(t, Options{URL: s.URL})
		// The client never listed the tools, so their annotations are not known.
		got := ask(t, c, `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"sql","arguments":{"region":"eu"},`+modernMeta+`}}`)
		if lists, calls := len(s.sent("tools/list")), len(s.sent("tools/call")); lists != 1 || calls != 2 {
			t.Errorf("%d lists, %d calls", lists, calls)
		}
		if strings.Contains(got, "-32020") != always || !strings.Contains(got, `"id":"c"`) {
			t.Errorf("answered with %s", got)
		}
	}
}

func TestRow46BytesAreKept(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.server.before = func(rw http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
			if f.Kind != wire.Request || f.Method == "initialize" {
				return false
			}
			rw.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(rw, strings.ReplaceAll(modelAnswer(f), `{"z"`, "{\n\t\"z\"")) // pretty-printed
			w.server.mu.Lock()
			w.server.got = append(w.server.got, string(f.Raw))
			w.server.mu.Unlock()
			return true
		}
		w.open()
		for i, params := range []string{
			`{"n":12345678901234567890,"f":1.10,"e":1E+400,"z":-0.0}`,
			`{"b":[1,2],"a":null,"b":3}`,
			`{"text":"\u2028 \ud83d\ude00 \u0000 <\/script>"}`,
		} {
			raw := fmt.Sprintf(`{"unknown":{"deep":[[]]},"id":%d,"jsonrpc":"2.0","method":"vendor/thing","params":%s}`, 1<<53+int64(i)+1, params)
			c := w.send(raw)
			answer := w.wait(c)
			if strings.Contains(answer, "\n") || !strings.Contains(answer, params) {
				t.Errorf("answered with %s", answer)
			}
			if all := w.server.requests(); all[len(all)-1] != raw {
				t.Errorf("sent %s\ngot  %s", raw, all[len(all)-1])
			}
		}
	})
}

func TestRow49Batches(t *testing.T) {
	for version, fine := range map[string]bool{"2025-03-26": true, "2025-06-18": false} {
		t.Run(version, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				f, err := wire.Parse(body)
				if err != nil || f.Kind != wire.Request {
					w.WriteHeader(http.StatusAccepted)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write(wire.NewResult(f.ID, map[string]any{"protocolVersion": version}).Raw)
			}))
			defer s.Close()
			c, _ := session(t, Options{URL: s.URL})
			ask(t, c, initialize)
			got := ask(t, c, `[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"},{"jsonrpc":"2.0","id":2,"method":"ping"}]`)
			if !fine {
				if !strings.Contains(got, "-32600") {
					t.Errorf("answered with %s", got)
				}
				return
			}
			f, err := c.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if both := got + string(f.Raw); !strings.Contains(both, `"id":1`) || !strings.Contains(both, `"id":2`) {
				t.Errorf("answered with %s", both)
			}
		})
	}
}
