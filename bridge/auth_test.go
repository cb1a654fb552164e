package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// guard is a RoundTripper that answers by the token.
type guard struct {
	mu   sync.Mutex
	seen []string
	by   func(token string) (status int, challenge string)
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		if b, _ := io.ReadAll(req.Body); string(b) != "body" {
			return nil, fmt.Errorf("the body was %q", b)
		}
		_ = req.Body.Close()
	}
	token := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = append(g.seen, token)
	status, challenge := g.by(token)
	w := httptest.NewRecorder()
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	w.WriteHeader(status)
	return w.Result(), nil
}

// elevator is a source whose next tokens are written down.
type elevator struct {
	mu        sync.Mutex
	token     string
	refreshed []string // what Refresh returns, one after another
	elevated  []string
	err       error // when there is no next
	calls     []string
}

func (e *elevator) Token(context.Context) (Token, time.Time, error) {
	return Token(e.token), time.Now().Add(time.Hour), nil
}

func (e *elevator) next(call string, list *[]string) (Token, time.Time, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, call)
	if len(*list) == 0 {
		return "", time.Time{}, e.err
	}
	t := (*list)[0]
	*list = (*list)[1:]
	return Token(t), time.Now().Add(time.Hour), nil
}

func (e *elevator) Refresh(_ context.Context, _ Token, challenge []string) (Token, time.Time, error) {
	return e.next("refresh "+strings.Join(challenge, ","), &e.refreshed)
}

func (e *elevator) Elevate(_ context.Context, _ Token, challenge []string) (Token, time.Time, error) {
	return e.next("elevate "+strings.Join(challenge, ","), &e.elevated)
}
func (e *elevator) Refused(int, []string) error { return errors.New("refused") }

// What is done about a rejected request, and how often.
func TestRow40AuthorizationWhileRunning(t *testing.T) {
	const expired, claims, scope = `Bearer error="invalid_token"`, `Bearer error="insufficient_claims", claims="e30="`, `Bearer error="insufficient_scope", scope="api://x/Write"`
	gone := errors.New("gone")
	for _, tc := range []struct {
		name      string
		answers   map[string]string // by token: the challenge; "" lets in
		refreshed []string
		elevated  []string
		want      int
		fails     bool
		seen      string
		calls     int
	}{
		{"the token is good", map[string]string{"0": ""}, nil, nil, 200, false, "0", 0},
		{"expired: refreshed once", map[string]string{"0": expired, "1": ""}, []string{"1"}, nil, 200, false, "0 1", 1},
		{"refreshing does not help", map[string]string{"0": expired, "1": expired}, []string{"1", "2"}, nil, 401, false, "0 1", 1},
		{"refreshing fails", map[string]string{"0": expired}, nil, nil, 0, true, "0", 1},
		{"claims are asked for", map[string]string{"0": claims, "1": ""}, []string{"1"}, nil, 200, false, "0 1", 1},
		{"expired, then claims", map[string]string{"0": expired, "1": claims, "2": ""}, []string{"1", "2"}, nil, 200, false, "0 1 2", 2},
		{"claims without end", map[string]string{"0": claims, "1": claims}, []string{"1", "2"}, nil, 401, false, "0 1", 1},
		{"a scope is missing", map[string]string{"0": scope, "1": ""}, nil, []string{"1"}, 200, false, "0 1", 1},
		{"scopes without end", map[string]string{"0": scope, "1": scope, "2": scope}, nil, []string{"1", "2", "3"}, 403, false, "0 1 2", 2},
		{"the step-up fails", map[string]string{"0": scope}, nil, nil, 0, true, "0", 1},
		{"expired, then a scope", map[string]string{"0": expired, "1": scope, "2": ""}, []string{"1"}, []string{"2"}, 200, false, "0 1 2", 2},
		{"another 403", map[string]string{"0": "Bearer"}, nil, []string{"1"}, 403, false, "0", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := &guard{by: func(token string) (int, string) {
				switch c := tc.answers[token]; {
				case c == "":
					return 200, ""
				case c == scope || c == "Bearer":
					return 403, c
				default:
					return 401, c
				}
			}}
			src := &elevator{token: "0", refreshed: tc.refreshed, elevated: tc.elevated, err: gone}
			at := &authTransport{base: g, tokens: src, origin: "https://x.example"}
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://x.example/mcp", strings.NewReader("body"))
			resp, err := at.RoundTrip(req)
			var signIn *signInError
			if tc.fails != errors.As(err, &signIn) || tc.fails != errors.Is(err, gone) {
				t.Fatalf("error %v", err)
			}
			if err == nil {
				_ = resp.Body.Close()
				if resp.StatusCode != tc.want {
					t.Errorf("status %d, want %d", resp.StatusCode, tc.want)
				}
			}
			if got := strings.Join(g.seen, " "); got != tc.seen || len(src.calls) != tc.calls {
				t.Errorf("the remote saw %q and the source %q", got, src.calls)
			}
		})
	}
}

// A source that knows of no need for a token has none sent.
func TestNoTokenIsKnownToBeNeeded(t *testing.T) {
	g := &guard{by: func(token string) (int, string) {
		if token != "" {
			t.Errorf("sent %q", token)
		}
		return 200, ""
	}}
	at := &authTransport{base: g, tokens: &elevator{}, origin: "https://x.example"}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://x.example/mcp", nil)
	req.Header.Set("Authorization", "")
	resp, err := at.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

// A remote that rejects every token costs a bounded number of refreshes, and the
// answer says so; after a while it is tried again.
func TestStormOfRejections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		src := &storm{next: func() string { n++; return fmt.Sprint(n) }}
		g := &guard{by: func(string) (int, string) { return 401, "Bearer" }}
		at := &authTransport{base: g, tokens: src, origin: "https://x.example"}
		try := func() error {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://x.example/mcp", nil)
			resp, err := at.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			return err
		}
		var last error
		for range 100 {
			last = try()
		}
		if n != maxRefreshes || last == nil || !strings.Contains(last.Error(), "asks for no more for 30 seconds") {
			t.Errorf("%d refreshes, then %v", n, last)
		}
		time.Sleep(refreshWindow)
		if err := try(); err != nil || n != maxRefreshes+1 {
			t.Errorf("%d refreshes, then %v", n, err)
		}
	})
}

type storm struct {
	tokens
	next func() string
}

func (s *storm) Refresh(context.Context, Token, []string) (Token, time.Time, error) {
	return Token(s.next()), time.Now().Add(time.Hour), nil
}

// Requests that a revoked session rejects together share one failed refresh.
func TestRejectedTogetherFailTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &elevator{token: "0", err: errNobody}
		g := &guard{by: func(string) (int, string) { return 401, "Bearer" }}
		at := &authTransport{base: g, tokens: src, origin: "https://x.example"}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://x.example/mcp", nil)
				resp, err := at.RoundTrip(req)
				if err == nil {
					_ = resp.Body.Close()
				}
				if !errors.Is(err, ErrSignInNeeded) {
					t.Errorf("error %v", err)
				}
			})
		}
		wg.Wait()
		if len(src.calls) != 1 {
			t.Errorf("%d refreshes", len(src.calls))
		}
	})
}

// A sign-in ends the memory of what failed before it: the request that has waited
// for it gets the new token, however fast that was.
func TestSignInEndsTheMemoryOfFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &stampedElevator{elevator{token: "0", err: errNobody}, "1"}
		g := &guard{by: func(token string) (int, string) {
			if token == "more" {
				return 200, ""
			}
			return 403, `Bearer error="insufficient_scope", scope="Write"`
		}}
		at := &authTransport{base: g, tokens: src, origin: "https://x.example"}
		try := func() error {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://x.example/mcp", nil)
			resp, err := at.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			return err
		}
		for range 3 {
			if err := try(); !errors.Is(err, ErrSignInNeeded) {
				t.Errorf("error %v", err)
			}
		}
		src.elevated, src.stamp = []string{"more"}, "2"
		if err := try(); err != nil || len(src.calls) != 2 {
			t.Errorf("%d attempts, %v", len(src.calls), err)
		}
	})
}

// stampedElevator is a source that tells when somebody has signed in.
type stampedElevator struct {
	elevator
	stamp string
}

func (s *stampedElevator) SignIn(context.Context, <-chan struct{}, func(Prompt)) error { return nil }
func (s *stampedElevator) Unable() error                                               { return nil }
func (s *stampedElevator) Stamp() string                                               { return s.stamp }

// Checklist 47: a redirect or an HTTP+SSE endpoint on another origin gets no
// token, through the whole bridge.
func TestRow47CrossOriginGetsNoToken(t *testing.T) {
	var mu sync.Mutex
	var leaked []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		leaked = append(leaked, r.Method+" "+r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	redirects := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusPermanentRedirect)
	}))
	defer redirects.Close()
	sse := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "event: endpoint\ndata: %s/messages\n\n", elsewhere.URL)
	}))
	defer sse.Close()
	for _, tc := range []struct{ name, url, transport, want string }{
		{"redirect", redirects.URL, TransportHTTP, "does not follow"},
		{"endpoint event", sse.URL, TransportSSE, "origin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _ := session(t, Options{URL: tc.url, Transport: tc.transport, Tokens: &tokens{current: "t1"}, Patience: time.Millisecond})
			got := ask(t, c, initialize)
			f := wire.MustParse(got)
			if !f.Failed || !strings.Contains(got, tc.want) {
				t.Errorf("answer %s", got)
			}
		})
	}
	mu.Lock()
	defer mu.Unlock()
	if len(leaked) != 0 {
		t.Errorf("the other origin got %q", leaked)
	}
}
