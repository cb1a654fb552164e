package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/catalogue"
)

// guarded is a guard in front of a handler that says who called.
type guarded struct {
	handler  http.Handler
	log      *bytes.Buffer
	refusals []error
	seen     *http.Request // what reached the handler behind the guard
	told     *http.Request // what the hook got
}

func newGuarded(t *testing.T, verifier TokenVerifier) *guarded {
	t.Helper()
	g := &guarded{log: &bytes.Buffer{}}
	guard, err := NewGuard(GuardOptions{
		Verifier: verifier,
		Metadata: newMetadata(t, nil),
		Logger:   slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnRefusal: func(r *http.Request, err error) {
			g.told = r
			g.refusals = append(g.refusals, err)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.handler = guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.seen = r
		p, ok := FromContext(r.Context())
		fmt.Fprint(w, ok, " ", p.Key())
	}))
	return g
}

func testVerifier(t *testing.T) *Verifier {
	t.Helper()
	return newVerifier(t, testOptions(newFakeAuthority(), newClock()))
}

func (g *guarded) send(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	return w
}

func request(target string, authorization ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(`{"jsonrpc":"2.0"}`))
	if len(authorization) > 0 {
		r.Header["Authorization"] = authorization
	}
	return r
}

func TestGuardAdmits(t *testing.T) {
	for name, scheme := range map[string]string{"usual": "Bearer ", "lower case": "bearer ", "upper case": "BEARER "} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t, testVerifier(t))
			r := request("/mcp?keep=1", scheme+v2Token().sign())
			r.Header.Set("Mcp-Session-Id", "s")
			w := g.send(r)
			if w.Code != http.StatusOK || w.Body.String() != "true "+testTenant+"/"+testPerson {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			if _, ok := g.seen.Header["Authorization"]; ok {
				t.Error("the token went on to the handler")
			}
			if g.seen.Header.Get("Mcp-Session-Id") != "s" || g.seen.URL.RawQuery != "keep=1" {
				t.Error("the rest of the request did not")
			}
			if r.Header.Get("Authorization") == "" {
				t.Error("the caller's own request was changed")
			}
			if g.log.Len() != 0 || len(g.refusals) != 0 {
				t.Errorf("success is not silent: %s", g.log)
			}
		})
	}
}

func TestGuardRefuses(t *testing.T) {
	good := v2Token().sign()
	tests := []struct {
		name   string
		r      *http.Request
		status int
		code   string // in the challenge
		rule   Rule
	}{
		{"nothing", request("/mcp"), 401, "", RuleNoToken},
		{"empty header", request("/mcp", ""), 401, "", RuleNoToken},
		{"Basic", request("/mcp", "Basic dTpw"), 401, "", RuleNoToken},
		{"token only", request("/mcp", good), 401, "", RuleNoToken},
		{"scheme glued", request("/mcp", "Bearer"+good), 401, "", RuleNoToken},
		{"leading space", request("/mcp", " Bearer "+good), 401, "", RuleNoToken},
		{"tab", request("/mcp", "Bearer\t"+good), 401, "", RuleNoToken},
		{"scheme only", request("/mcp", "Bearer"), 401, errInvalidRequest, RuleBearerSyntax},
		{"scheme and space", request("/mcp", "Bearer "), 401, errInvalidRequest, RuleBearerSyntax},
		{"two spaces", request("/mcp", "Bearer  "+good), 401, errInvalidRequest, RuleBearerSyntax},
		{"trailing space", request("/mcp", "Bearer "+good+" "), 401, errInvalidRequest, RuleBearerSyntax},
		{"list", request("/mcp", "Bearer "+good+", Bearer "+good), 401, errInvalidRequest, RuleBearerSyntax},
		{"parameter", request("/mcp", `Bearer token="`+good+`"`), 401, errInvalidRequest, RuleBearerSyntax},
		{"equals in the middle", request("/mcp", "Bearer a=b"), 401, errInvalidRequest, RuleBearerSyntax},
		{"only equals", request("/mcp", "Bearer =="), 401, errInvalidRequest, RuleBearerSyntax},
		{"non-ASCII", request("/mcp", "Bearer é"), 401, errInvalidRequest, RuleBearerSyntax},
		{"two headers", request("/mcp", "Bearer "+good, "Bearer "+good), 401, errInvalidRequest, RuleManyTokens},
		{"query", request("/mcp?access_token=" + good), 401, errInvalidRequest, RuleTokenInQuery},
		{"query and header", request("/mcp?access_token="+good, "Bearer "+good), 401, errInvalidRequest, RuleTokenInQuery},
		{"query, escaped name", request("/mcp?access%5Ftoken=" + good), 401, errInvalidRequest, RuleTokenInQuery},
		{"query after a semicolon", request("/mcp?a=b;access_token=" + good), 401, errInvalidRequest, RuleTokenInQuery},
		{"padded token", request("/mcp", "Bearer "+good+"="), 401, errInvalidToken, RuleEncoding},
		{"expired", request("/mcp", "Bearer "+v2Token().with(m{"exp": start.Add(-time.Hour).Unix(), "nbf": 1, "iat": 1}).sign()), 401, errInvalidToken, RuleExpired},
		{"wrong scope", request("/mcp", "Bearer "+v2Token().with(m{"scp": "Other"}).sign()), 403, errInsufficientScope, RuleScope},
		{"too large", request("/mcp", "Bearer "+strings.Repeat("a", DefaultMaxTokenBytes+1)), 431, "", RuleTokenTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newGuarded(t, testVerifier(t))
			w := g.send(tt.r)
			if w.Code != tt.status || g.seen != nil {
				t.Fatalf("got %d, went on: %v", w.Code, g.seen != nil)
			}
			challenge := w.Header().Get("WWW-Authenticate")
			if (tt.status == 431) != (challenge == "") {
				t.Errorf("challenge %q", challenge)
			}
			if tt.code != "" && !strings.Contains(challenge, `error="`+tt.code+`"`) || tt.code == "" && strings.Contains(challenge, "error") {
				t.Errorf("challenge %q, want error %q", challenge, tt.code)
			}
			var body struct {
				Error       string `json:"error"`
				Description string `json:"error_description"`
				Fix         string `json:"fix"`
				Rule        Rule   `json:"rule"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Header().Get("Content-Type") != "application/json" {
				t.Fatalf("body %q: %v", w.Body, err)
			}
			explained, ok := catalogue.LookupRule(string(tt.rule))
			if body.Error == "" || body.Description == "" || !ok || body.Fix != explained.FixFor(testURI) || body.Rule != tt.rule {
				t.Errorf("body %q, want rule %s and the catalogue's fix", w.Body, tt.rule)
			}
			if len(g.refusals) != 1 {
				t.Fatalf("the hook was called %d times", len(g.refusals))
			}
			wantRule(t, g.refusals[0], tt.rule)
			if !strings.Contains(g.log.String(), "rule="+string(tt.rule)) {
				t.Errorf("the log does not name the rule: %s", g.log)
			}
			hook := fmt.Sprint(g.told.Header, g.told.URL, g.told.RequestURI)
			wantNoToken(t, good, g.log.String()+w.Body.String()+challenge+hook)
		})
	}
}

func TestChallenges(t *testing.T) {
	good := v2Token().sign()
	for name, r := range map[string]*http.Request{
		"challenge-no-token":  request("/mcp"),
		"challenge-sse":       request("/sse"),
		"challenge-expired":   request("/mcp", "Bearer "+v2Token().with(m{"exp": start.Add(-time.Hour).Unix(), "nbf": 1, "iat": 1}).sign()),
		"challenge-audience":  request("/mcp", "Bearer "+v1Token().with(m{"aud": "x\", evil=\"\r\n\\é"}).sign()),
		"challenge-scope":     request("/mcp", "Bearer "+v2Token().with(m{"scp": "Other"}).sign()),
		"challenge-role":      request("/mcp", "Bearer "+appToken().with(m{"roles": []string{"Other"}}).sign()),
		"challenge-in-query":  request("/mcp?access_token=" + good),
		"challenge-too-large": request("/mcp", "Bearer "+strings.Repeat("a", DefaultMaxTokenBytes+1)),
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, dump(newGuarded(t, testVerifier(t)).send(r))) })
	}
}

func TestChallengeIsOneHeaderLine(t *testing.T) {
	g := newGuarded(t, testVerifier(t))
	w := g.send(request("/mcp", "Bearer "+v1Token().with(m{"aud": "x\", scope=\"evil\"\r\nSet-Cookie: a=b"}).sign()))
	challenge := w.Header().Values("WWW-Authenticate")
	if len(challenge) != 1 || strings.ContainsAny(challenge[0], "\r\n") || strings.Count(challenge[0], `scope="`) != 1 {
		t.Errorf("challenge %q", challenge)
	}
}

// stubVerifier answers with an error.
type stubVerifier struct{ err error }

func (s stubVerifier) Verify(context.Context, string) (*Principal, error) { return nil, s.err }
func (s stubVerifier) MaxTokenBytes() int                                 { return DefaultMaxTokenBytes }

func TestAuthorityOutOfReach(t *testing.T) {
	for _, tt := range []struct {
		err  error
		wait string
	}{
		{&UnavailableError{RetryAfter: 1500 * time.Millisecond, Err: errors.New("dial tcp 10.1.2.3: refused")}, "2"},
		{&UnavailableError{RetryAfter: time.Minute, Err: errors.New("x")}, "60"},
		{context.Canceled, "1"},
	} {
		g := newGuarded(t, stubVerifier{tt.err})
		w := g.send(request("/mcp", "Bearer abc"))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != tt.wait || g.seen != nil {
			t.Errorf("%v: got %d, retry after %q", tt.err, w.Code, w.Header().Get("Retry-After"))
		}
		if w.Header().Get("WWW-Authenticate") != "" {
			t.Error("a client would sign in again for nothing")
		}
		if strings.Contains(w.Body.String(), "10.1.2.3") {
			t.Errorf("the answer tells callers about the network: %s", w.Body)
		}
		if !strings.Contains(g.log.String(), "request not decided") || !errors.Is(g.refusals[0], tt.err) {
			t.Errorf("the log does not say why: %s", g.log)
		}
	}
}

func TestForbiddenCallerIsKnown(t *testing.T) {
	g := newGuarded(t, testVerifier(t))
	g.send(request("/mcp", "Bearer "+v2Token().with(m{"scp": "Other"}).sign()))
	if refusal := wantRule(t, g.refusals[0], RuleScope); refusal.Principal.Key() != testTenant+"/"+testPerson {
		t.Error("audit cannot say who was refused")
	}
	for _, want := range []string{"caller.oid=" + testPerson, "caller.uti=uti-1", "status=403"} {
		if !strings.Contains(g.log.String(), want) {
			t.Errorf("log lacks %s: %s", want, g.log)
		}
	}
	for _, secret := range []string{"Ada", "ada@contoso.com"} {
		if strings.Contains(g.log.String(), secret) {
			t.Errorf("log has the name %s", secret)
		}
	}
}

func TestGuardNeedsItsParts(t *testing.T) {
	if _, err := NewGuard(GuardOptions{Metadata: newMetadata(t, nil)}); err == nil {
		t.Error("a guard without a verifier was made")
	}
	if _, err := NewGuard(GuardOptions{Verifier: testVerifier(t)}); err == nil {
		t.Error("a guard without metadata was made")
	}
}

func TestNoPrincipalInPlainContext(t *testing.T) {
	if p, ok := FromContext(context.Background()); ok || p != nil {
		t.Errorf("got %v", p)
	}
	if p, ok := FromContext(NewContext(context.Background(), nil)); ok || p != nil {
		t.Errorf("got %v", p)
	}
}

// Whoever is not let in writes no more into the log than a line.
func TestLogLinesStayShort(t *testing.T) {
	g := newGuarded(t, testVerifier(t))
	r := request("/mcp/" + strings.Repeat("a", 20_000))
	r.Method = strings.Repeat("M", 20_000)
	if w := g.send(r); w.Code != http.StatusUnauthorized || g.log.Len() > 1000 {
		t.Errorf("HTTP %d and %d bytes of log", w.Code, g.log.Len())
	}
}
