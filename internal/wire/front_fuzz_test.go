package wire

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func FuzzFrontEventID(f *testing.F) {
	for _, seed := range []string{"0-0", "1-17", "", "-", "1", "01-1", "+1-2", "1-2-3", "18446744073709551615-1", "1- 2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		stream, seq, ok := parseEventID(id)
		if ok && string(appendEventID(nil, stream, seq)) != id {
			t.Errorf("%q was taken for %d-%d", id, stream, seq)
		}
	})
}

func FuzzFrontAccept(f *testing.F) {
	for _, seed := range []string{"*/*", "application/json, text/event-stream", "text/*;q=0.1, text/event-stream;q=0", ",;,=;q", "a/b;q=NaN"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := accepts([]string{header}, "text/event-stream")
		if !strings.Contains(header, "*") && !strings.Contains(strings.ToLower(header), "text/event-stream") && got {
			t.Errorf("%q was taken to accept event streams", header)
		}
		if accepts([]string{"text/event-stream", header}, "text/event-stream") != accepts([]string{"text/event-stream," + header}, "text/event-stream") {
			t.Errorf("%q means something else on a line of its own", header)
		}
	})
}

func FuzzFrontHost(f *testing.F) {
	for _, seed := range []string{"localhost:1", "[::1]:1", "127.0.0.1", "evil", "[::1", "::1]", "a:b:c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if loopbackHost(host) && !strings.Contains(strings.ToLower(host), "localhost") && !strings.ContainsAny(host, "1") {
			t.Errorf("%q was taken for a loopback address", host)
		}
	})
}

// Whatever arrives, the answer is one a client can read.
func FuzzFrontRequest(f *testing.F) {
	f.Add("POST", "application/json", "*/*", "", "", "", initializeMessage("2025-06-18"))
	f.Add("POST", "application/json", "*/*", "2025-06-18", "S", "", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	f.Add("POST", "application/json", "*/*", "2025-03-26", "S", "", "["+request("1", "ping", "{}")+"]")
	f.Add("GET", "", "text/event-stream", "2026-07-28", "S", "0-1", "")
	f.Add("DELETE", "", "", "", "x", "", "")
	f.Fuzz(func(t *testing.T, method, contentType, accept, version, session, last, body string) {
		sc := &script{}
		front := NewStreamableFront(FrontOptions{Serve: sc.serve})
		defer func() {
			if err := front.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		h := &bubble{t: t, h: front}
		h.open("2025-03-26")
		if session == "S" {
			session = h.session
		}
		if method == http.MethodGet && session == h.session {
			return // it would stay open
		}
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(body))
		r.Method = method
		for name, value := range map[string]string{
			"Content-Type": contentType, "Accept": accept, HeaderProtocol: version, HeaderSession: session, headerLastID: last,
		} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		if strings.Contains(body, "test/") {
			return // the script would wait
		}
		w := httptest.NewRecorder()
		front.ServeHTTP(w, r)
		answer, _ := io.ReadAll(w.Result().Body)
		switch kind := w.Header().Get("Content-Type"); {
		case kind == "application/json":
			if m, err := Parse(answer); err != nil || m.Kind != Response {
				t.Errorf("HTTP %d %q: %v", w.Code, answer, err)
			}
		case kind == "text/event-stream" && w.Code == http.StatusOK:
		case kind == "" && len(answer) == 0 && (w.Code == http.StatusAccepted || w.Code == http.StatusNoContent):
		default:
			t.Errorf("HTTP %d %q %q", w.Code, kind, answer)
		}
	})
}
