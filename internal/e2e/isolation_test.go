package e2e_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A session belongs to whoever opened it, whatever anybody else knows of it.
func TestSessionOfAnotherPerson(t *testing.T) {
	t.Parallel()
	s := newStack(t, scripted(t))
	tokens := map[string]string{}
	for _, who := range []string{ada, grace} {
		d := newDesk(t)
		d.login(t, s.url, s.caFile, who)
		out, code := d.run(t, "token", s.url)
		if code != 0 {
			t.Fatalf("mcpctl token ended with %d", code)
		}
		tokens[who] = strings.TrimSpace(out)
	}
	ctx := testContext(t)
	const list = `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`

	t.Run("http", func(t *testing.T) {
		t.Parallel()
		hello := send(ctx, t, http.MethodPost, s.url, tokens[ada], "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":`+initialize+`}`)
		_ = hello.Body.Close()
		session := hello.Header.Get("Mcp-Session-Id")
		if hello.StatusCode != http.StatusOK || session == "" {
			t.Fatalf("initialize: %s, session %q", hello.Status, session)
		}
		for _, verb := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
			wantStatus(t, send(ctx, t, verb, s.url, tokens[grace], session, list), http.StatusNotFound)
		}
		wantStatus(t, send(ctx, t, http.MethodPost, s.url, tokens[ada], session, list), http.StatusOK)
		wantStatus(t, send(ctx, t, http.MethodPost, s.url, "", session, list), http.StatusUnauthorized)
	})
	t.Run("sse", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream := send(ctx, t, http.MethodGet, s.sse, tokens[ada], "", "")
		defer stream.Body.Close()
		endpoint := ""
		for lines := bufio.NewScanner(stream.Body); endpoint == "" && lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				endpoint = strings.TrimSuffix(s.sse, "/sse") + data
			}
		}
		wantStatus(t, send(ctx, t, http.MethodPost, endpoint, tokens[grace], "", list), http.StatusNotFound)
		wantStatus(t, send(ctx, t, http.MethodPost, endpoint, tokens[ada], "", list), http.StatusAccepted)
	})
}

func send(ctx context.Context, t *testing.T, method, url, token, session, body string) *http.Response {
	t.Helper()
	var r io.Reader
	if method == http.MethodPost {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	req.Close = true
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if session != "" {
		req.Header.Set("Mcp-Session-Id", session)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func wantStatus(t *testing.T, resp *http.Response, want int) {
	t.Helper()
	_ = resp.Body.Close()
	if resp.StatusCode != want {
		t.Errorf("%s %s: %s instead of %d", resp.Request.Method, resp.Request.URL.Path, resp.Status, want)
	}
}
