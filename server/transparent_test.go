package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server"
)

// eventStream is an answer in events, read one by one.
type eventStream struct {
	t     testing.TB
	resp  *http.Response
	lines *bufio.Scanner
	leave func()
}

func (w *world) events(token, method, path, body string, header ...string) *eventStream {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	r, err := http.NewRequestWithContext(ctx, method, w.url(path), strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := w.httpClient(token).Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	leave := func() {
		cancel()
		_ = resp.Body.Close()
	}
	w.t.Cleanup(leave)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("%s %s: %s", method, body, resp.Status)
	}
	return &eventStream{w.t, resp, bufio.NewScanner(resp.Body), leave}
}

// next returns the next event's id and data, both "" at the end.
func (e *eventStream) next() (id, data string) {
	for e.lines.Scan() {
		line := e.lines.Text()
		if line == "" && (id != "" || data != "") {
			return id, data
		}
		if v, ok := strings.CutPrefix(line, "id:"); ok {
			id = strings.TrimSpace(v)
		}
		if v, ok := strings.CutPrefix(line, "data:"); ok {
			data = strings.TrimSpace(v)
		}
	}
	return "", ""
}

// A client of 2025-11-25 that loses its connection comes back to its call.
func TestResume(t *testing.T) {
	w := start(t, richUpstream(t, "files"))
	s := w.rawSession(w.token(w.sample.Ada), "/mcp")
	gather := func(id int) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"gather","arguments":{"steps":2,"n":%d},"_meta":{"progressToken":%d}}}`, id, id, id)
	}
	session := []string{wire.HeaderSession, s.id, wire.HeaderProtocol, "2025-11-25"}
	first := w.events(s.token, http.MethodPost, "/mcp", gather(1), session...)
	if h := first.resp.Header; h.Get("X-Accel-Buffering") != "no" || !strings.Contains(h.Get("Cache-Control"), "no-store") {
		t.Errorf("a proxy may hold events back: %v", h)
	}
	if id, data := first.next(); id == "" || data != "" {
		t.Errorf("the stream begins with %q %q, not with an id alone", id, data)
	}
	seen, data := first.next()
	if seen == "" || !strings.Contains(data, `"progressToken":1,"progress":1`) {
		t.Fatalf("then comes %q %q", seen, data)
	}
	first.leave()
	// The second call makes the upstream go on with both.
	second := w.events(s.token, http.MethodPost, "/mcp", gather(2), session...)
	for !strings.Contains(data, `"id":2,"result"`) {
		var id string
		if id, data = second.next(); id == "" || strings.Contains(data, `"progressToken":1`) {
			t.Fatalf("the second call got %q", data)
		}
	}
	for range 2 { // the connection may break again
		again := w.events(s.token, http.MethodGet, "/mcp", "", append(session, "Last-Event-ID", seen)...)
		var got []string
		for {
			id, data := again.next()
			if id == "" && data == "" {
				break
			}
			if data != "" {
				got = append(got, data)
			}
		}
		if len(got) != 3 || !strings.Contains(got[0], `"progress":2`) || !strings.Contains(got[1], `"progress":3`) || !strings.Contains(got[2], `"id":1,"result"`) {
			t.Fatalf("resumed with %q", got)
		}
	}
	w.recorded("gather", "ok")
}

func TestSessionsEndWhenIdle(t *testing.T) {
	w := start(t, richUpstream(t, "files"), func(o *server.Options) { o.Config.Limits.SessionIdle = 50 * time.Millisecond })
	s := w.rawSession(w.token(w.sample.Ada), "/mcp")
	for until := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) { // longer than the session lives
		if resp, _ := s.post(`{"jsonrpc":"2.0","id":1,"method":"ping"}`); resp.StatusCode == http.StatusNotFound {
			return
		}
		if time.Now().After(until) {
			t.Fatal("the session lives on")
		}
	}
}

// One address, every revision, an upstream that speaks one of them.
func TestEveryRevisionAtOneAddress(t *testing.T) {
	w := start(t, richUpstream(t, "files"))
	token := w.token(w.sample.Ada)
	for _, revision := range []string{"2025-03-26", "2025-06-18", "2025-11-25"} {
		resp, body := w.do(http.MethodPost, "/mcp", token, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"`+revision+`","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
		id := resp.Header.Get(wire.HeaderSession)
		if id == "" || !strings.Contains(body, `"protocolVersion"`) {
			t.Fatalf("%s: %s %s", revision, resp.Status, body)
		}
		spoken := wire.LookupString([]byte(body), "result", "protocolVersion")
		_, body = w.do(http.MethodPost, "/mcp", token, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":`+toolParams("read", `{}`)+`}`, wire.HeaderSession, id, wire.HeaderProtocol, spoken)
		if !strings.Contains(body, `"who":"files"`) {
			t.Errorf("%s: %s", revision, body)
		}
	}
	stream := w.events(token, http.MethodGet, "/sse", "")
	_, address := stream.next()
	for i, message := range []string{
		`"id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"c","version":"1"}}`,
		`"id":1,"method":"tools/call","params":` + toolParams("read", `{}`),
	} {
		if resp, body := w.do(http.MethodPost, address, token, `{"jsonrpc":"2.0",`+message+`}`); resp.StatusCode != http.StatusAccepted {
			t.Fatalf("2024-11-05: %s %s", resp.Status, body)
		}
		if _, data := stream.next(); !strings.Contains(data, fmt.Sprintf(`"id":%d,"result"`, i)) {
			t.Errorf("2024-11-05: %s", data)
		}
	}
	m := w.modern(token, "/mcp")
	if f := m.call("1", "server/discover", `{}`); !strings.Contains(at(f, "result.supportedVersions"), modernVersion) {
		t.Errorf("%s: %s", modernVersion, f.Raw)
	}
	if f := m.tool("2", "read", `{}`); at(f, "result.who") != `"files"` {
		t.Errorf("%s: %s", modernVersion, f.Raw)
	}
}

// What the gateway does not know passes as the bytes it is: methods, members,
// numbers, extensions.
func TestUnknownPasses(t *testing.T) {
	w := start(t, richUpstream(t, "files"))
	s := w.connect(w.token(w.sample.Ada), "/mcp", `{"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html"]}}}`)
	for _, method := range []string{"vendor/show", "tasks/get"} {
		params := `{"z":9007199254740993,"a":1e400,"taskId":"t","dup":1,"dup":2,"_meta":{"com.example/ui":{"resourceUri":"ui://x"}}}`
		s.next++
		id := fmt.Sprint(s.next)
		s.write(`{"jsonrpc":"2.0","vendorTop":{"b":1,"a":2},"id":` + id + `,"method":"` + method + `","params":` + params + `}`)
		f, before := s.answer(id)
		var line string
		if err := json.Unmarshal(wire.Lookup(f.Raw, "result", "line"), &line); err != nil {
			t.Fatalf("%s: %s", method, f.Raw)
		}
		if !strings.Contains(line, `"vendorTop":{"b":1,"a":2},`) || !strings.HasSuffix(line, `"method":"`+method+`","params":`+params+`}`) {
			t.Errorf("the upstream got %s", line)
		}
		if !strings.HasSuffix(string(f.Raw), `"z":9007199254740993,"a":1e400},"vendor":{"top":true}}`) {
			t.Errorf("the client got %s", f.Raw)
		}
		if len(before) != 1 || string(before[0].Raw) != `{"jsonrpc":"2.0","method":"notifications/vendor/seen","params":{"z":9007199254740993,"a":1e400}}` {
			t.Errorf("before it came %v", before)
		}
	}
	told := `{"jsonrpc":"2.0","method":"notifications/vendor/told","params":{"z":9007199254740993,"a":[]},"vendor":1}`
	s.write(told)
	f, err := s.read()
	if err != nil {
		t.Fatal(err)
	}
	if line := wire.LookupString(f.Raw, "params", "line"); line != told {
		t.Errorf("the upstream was told %s", line)
	}
	if f, _ := s.call("resources/read", `{"uri":"ui://files/page"}`); !strings.Contains(at(f, "result.contents"), `"ui://files/page"`) {
		t.Errorf("an app's page: %s", f.Raw)
	}
	if f, _ := s.call("vendor/unheard-of", `{}`); !f.Failed || at(f, "error.code") != "-32601" || at(f, "error.message") != `"no such method"` {
		t.Errorf("the upstream's own refusal: %s", f.Raw)
	}
}
