package remote_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/bench/remote"
)

func post(t *testing.T, url, body string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Post(url+remote.Path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(answer)
}

func newServer(t *testing.T) string {
	t.Helper()
	handler := remote.New()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		handler.Close()
		server.Close()
	})
	return server.URL
}

func TestAnswers(t *testing.T) {
	url := newServer(t)
	for _, test := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"initialize mirrors the revision", `{"id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26"}}`, 200, `"protocolVersion":"2025-03-26"`},
		{"the id stays as it was", `{"id":"a\u0031","method":"ping"}`, 200, `"id":"a\u0031","result":{}`},
		{"a notification", `{"method":"notifications/initialized"}`, 202, ``},
		{"echo", `{"id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"a\nb"}}}`, 200, `"text":"a\nb"`},
		{"big", `{"id":1,"method":"tools/call","params":{"name":"big","arguments":{"n":18}}}`, 200, `"text":"0123456789abcdef01"`},
		{"an unknown tool", `{"id":1,"method":"tools/call","params":{"name":"x"}}`, 200, `-32602`},
		{"an unknown method", `{"id":1,"method":"x"}`, 200, `-32601`},
		{"no JSON", `{`, 400, ``},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp, body := post(t, url, test.body)
			if resp.StatusCode != test.status || !strings.Contains(body, test.want) {
				t.Errorf("got %s %s, want %d with %s", resp.Status, body, test.status, test.want)
			}
		})
	}
}

func TestNotifyStreamsInOrder(t *testing.T) {
	resp, body := post(t, newServer(t), `{"id":7,"method":"tools/call","params":{"name":"notify","arguments":{"n":2}}}`)
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type is %q", got)
	}
	first, second, last := strings.Index(body, `"seq":0`), strings.Index(body, `"seq":1`), strings.Index(body, `"id":7,"result"`)
	if first < 0 || second < first || last < second {
		t.Errorf("the stream is %q", body)
	}
}

func TestCountsRequests(t *testing.T) {
	url := newServer(t)
	for range 3 {
		post(t, url, `{"id":1,"method":"ping"}`)
	}
	resp, err := http.Get(url + remote.RequestsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, _ := io.ReadAll(resp.Body); string(n) != "3" {
		t.Errorf("counted %s requests, want 3", n)
	}
}

func TestCloseEndsOpenStreams(t *testing.T) {
	handler := remote.New()
	server := httptest.NewServer(handler)
	defer server.Close()
	resp, err := http.Get(server.URL + remote.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	handler.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
}
