package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// needsLogin is what a server says whose token has to be stepped up.
var needsLogin = Refusal{
	Status: http.StatusForbidden,
	Header: http.Header{"WWW-Authenticate": {`Bearer error="insufficient_scope"`}, "Retry-After": {"7"}, "content-type": {"text/html"}},
	Answer: MustParse(`{"jsonrpc":"2.0","id":null,"error":{"code":-31001,"message":"sign in again","data":{"z":1e400}}}`),
}

// refuser refuses every request but initialize; test/late ones after a
// notification.
func refuser(ctx context.Context, s *Session) {
	for {
		in, err := s.Receive(ctx)
		if err != nil {
			return
		}
		switch {
		case in.Kind != Request:
		case in.Method == "initialize" && LookupString(in.Raw, "params", "clientInfo", "name") != "stranger":
			(&script{}).answer(ctx, s, in.Frame)
		case in.Method == "test/late":
			_ = s.WriteRelated(ctx, logNote(1), in.ID)
			fallthrough
		default:
			_ = s.Refuse(ctx, in.ID, needsLogin)
		}
		in.Release()
	}
}

const refusedCall = `{"jsonrpc":"2.0","id":5,"error":{"code":-31001,"message":"sign in again","data":{"z":1e400}}}`

func TestRefusalIsTheHTTPAnswer(t *testing.T) {
	c := startFront(t, FrontOptions{Serve: refuser}).open("2025-11-25")
	resp := c.do(http.MethodPost, request("5", "tools/call", "{}"), nil)
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusForbidden || string(body) != refusedCall {
		t.Errorf("HTTP %d %s", resp.StatusCode, body)
	}
	if h := resp.Header; h.Get("WWW-Authenticate") != `Bearer error="insufficient_scope"` || h.Get("Retry-After") != "7" || h.Get("Content-Type") != "application/json" {
		t.Errorf("got %v", h)
	}
	// The session goes on.
	if got := c.call(request("6", "tools/call", "{}")); len(got) != 1 || string(got[0].ID) != "6" {
		t.Errorf("got %v", texts(got))
	}
}

func TestRefusalAfterAMessageIsAnErrorOnTheStream(t *testing.T) {
	c := startFront(t, FrontOptions{Serve: refuser}).open("2025-11-25")
	resp := c.do(http.MethodPost, request("5", "test/late", "{}"), nil)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("HTTP %d %v", resp.StatusCode, resp.Header)
	}
	if got := readMessages(t, resp); len(got) != 2 || string(got[1].Raw) != refusedCall {
		t.Errorf("got %v", texts(got))
	}
}

func TestRefusalAfterAPauseIsAnErrorOnTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front := NewStreamableFront(FrontOptions{Serve: func(ctx context.Context, s *Session) {
			for {
				in, err := s.Receive(ctx)
				if err != nil {
					return
				}
				if in.Method == "initialize" {
					(&script{}).answer(ctx, s, in.Frame)
					continue
				}
				time.Sleep(time.Minute)
				_ = s.Refuse(ctx, in.ID, needsLogin)
			}
		}})
		b := &bubble{t: t, h: front}
		b.open("2025-06-18")
		if code, body := b.post(request("5", "tools/call", "{}")); code != http.StatusOK || !strings.Contains(body, ": keep-alive") || !strings.Contains(body, "data: "+refusedCall) {
			t.Errorf("HTTP %d %q", code, body)
		}
		if err := front.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusedInitializeOpensNoSession(t *testing.T) {
	ft := startFront(t, FrontOptions{Serve: refuser})
	c := &frontClient{t: t, url: ft.server.URL}
	resp := c.do(http.MethodPost, request("5", "initialize", `{"clientInfo":{"name":"stranger"}}`), nil)
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusForbidden || string(body) != refusedCall || resp.Header.Get(HeaderSession) != "" {
		t.Errorf("HTTP %d %s %v", resp.StatusCode, body, resp.Header)
	}
	eventually(t, "the session's end", func() bool { return len(ft.front.front.all()) == 0 })
}

func TestRefusalInABatchIsAnError(t *testing.T) {
	c := startFront(t, FrontOptions{Serve: refuser}).open("2025-03-26")
	if got := c.call("[" + request("5", "tools/call", "{}") + "]"); len(got) != 1 || string(got[0].Raw) != refusedCall {
		t.Errorf("got %v", texts(got))
	}
}

func TestRefusalOverSSEIsAnErrorOnTheStream(t *testing.T) {
	c := startSSE(t, FrontOptions{Serve: refuser}, nil).connect("")
	c.initialize()
	c.post.notify(request("5", "tools/call", "{}"))
	if f := c.mustNext(); string(f.Raw) != refusedCall {
		t.Errorf("got %s", f.Raw)
	}
}

func TestRefusalOfNothing(t *testing.T) {
	sc := &script{sessions: make(chan *Session, 1)}
	startFrontWith(t, FrontOptions{}, sc).open("2025-11-25")
	if err := (<-sc.sessions).Refuse(t.Context(), ID("5"), needsLogin); !errors.Is(err, ErrNoRequest) {
		t.Errorf("got %v", err)
	}
}

func TestRefusalText(t *testing.T) {
	for want, r := range map[string]*Refusal{
		"refused with HTTP 403: sign in again":    &needsLogin,
		"refused with HTTP 429 Too Many Requests": {Status: 429},
		"refused: sign in again":                  {Answer: needsLogin.Answer},
		"refused with HTTP 418 I'm a teapot":      {Status: 418, Answer: MustParse(`{"jsonrpc":"2.0","id":1,"result":{}}`)},
	} {
		if got := r.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for want, r := range map[string]*Refusal{
		`{"jsonrpc":"2.0","id":"a","error":{"code":-32603,"message":"Too Many Requests"}}`: {Status: 429},
		`{"jsonrpc":"2.0","id":"a","error":{"code":-32603,"message":"Refused"}}`:           {Answer: MustParse(`{"jsonrpc":"2.0","id":1,"result":{}}`)},
	} {
		if got := string(r.answer(ID(`"a"`)).Raw); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
