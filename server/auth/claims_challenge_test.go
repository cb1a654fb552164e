package auth

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const stepUp = `{"access_token":{"acrs":{"essential":true,"values":["c1"]}}}`

func TestClaimsChallenge(t *testing.T) {
	m := newMetadata(t, nil)
	able := &Principal{ClientCapabilities: []string{"cp1"}}
	for _, tt := range []struct {
		name      string
		p         *Principal
		claims    string
		status    int
		challenge bool
	}{
		{"a client that takes challenges", able, stepUp, 401, true},
		{"in capitals", &Principal{ClientCapabilities: []string{"CP1"}}, stepUp, 401, true},
		{"one that does not", &Principal{}, stepUp, 403, false},
		{"another capability", &Principal{ClientCapabilities: []string{"cp2"}}, stepUp, 403, false},
		{"no claims", able, "", 403, false},
		{"claims that are no object", able, `"x"`, 403, false},
		{"null", able, `null`, 403, false},
		{"too large", able, `{"a":"` + strings.Repeat("b", maxClaimsChallenge) + `"}`, 403, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NeedClaims(tt.p, tt.claims, `MFA is needed: "policy"`)
			status, header := m.Answer("/mcp", r)
			challenge := header.Get("WWW-Authenticate")
			if status != tt.status || (challenge != "") != tt.challenge || r.Rule != RuleClaims || r.Fix == "" {
				t.Errorf("got %d %q", status, challenge)
			}
			want := `error="insufficient_claims", claims="` + base64.StdEncoding.EncodeToString([]byte(tt.claims)) + `"`
			if tt.challenge && (!strings.Contains(challenge, want) || !strings.Contains(challenge, `resource_metadata="`+m.URL("/mcp")+`"`)) {
				t.Errorf("challenge %q, want %q", challenge, want)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	m := newMetadata(t, nil)
	for _, tt := range []struct {
		r      *Refusal
		header string
	}{
		{NeedSignIn(&Principal{}, "The sign-in is over.", "Sign in again."), "invalid_token"},
		{&Refusal{Status: 503, RetryAfter: 1500 * time.Millisecond}, "map[Retry-After:[2]]"},
		{&Refusal{Status: 403, Description: "No."}, "map[]"},
		{forbidden(&Principal{}, RuleScope, "No."), "insufficient_scope"},
	} {
		if status, header := m.Answer("/mcp", tt.r); status != tt.r.Status || !strings.Contains(fmt.Sprint(header), tt.header) {
			t.Errorf("got %d %v, want %s", status, header, tt.header)
		}
	}
}

// TestAssertionStaysWithItsRequest: whoever needs the token finds it, and
// nobody else: not where nobody acts on behalf of callers, and in no text.
func TestAssertionStaysWithItsRequest(t *testing.T) {
	raw := v2Token().sign()
	for _, keep := range []bool{false, true} {
		log := &strings.Builder{}
		guard, err := NewGuard(GuardOptions{Verifier: testVerifier(t), Metadata: newMetadata(t, nil), KeepAssertion: keep})
		if err != nil {
			t.Fatal(err)
		}
		ran := false
		guard.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ran = true
			token, expires := Assertion(r.Context())
			if keep != (token == raw) || !keep && token != "" || !expires.Equal(start.Add(time.Hour)) {
				t.Errorf("kept: %v, until %v", token != "", expires)
			}
			in := inboundFrom(r.Context())
			slog.New(slog.NewJSONHandler(log, nil)).Info("x", "ctx", r.Context(), "token", in.token, "in", in)
			wantNoToken(t, raw, log.String()+fmt.Sprintf("%v %+v %#v %s %q %x", in.token, in.token, in.token, in.token, in.token, in.token)+
				fmt.Sprintf("%v %+v %#v", r.Context(), in, r.Context())+mustJSON(map[string]any{"t": in.token})+fmt.Sprint(r.Header))
			if Refused(r.Context()) != nil {
				t.Error("refused already")
			}
			Refuse(r.Context(), &Refusal{Status: 401})
			if got := Refused(Inherit(t.Context(), r.Context())); got == nil || got.Status != 401 {
				t.Errorf("noted %v", got)
			}
			if again, _ := Assertion(Inherit(t.Context(), r.Context())); again != token {
				t.Error("a request of the same session has another token")
			}
		})).ServeHTTP(httptest.NewRecorder(), request("/mcp", "Bearer "+raw))
		if !ran {
			t.Fatal("refused")
		}
	}
	if token, _ := Assertion(t.Context()); token != "" || Refused(t.Context()) != nil {
		t.Error("a request of nobody has a token")
	}
	Refuse(t.Context(), &Refusal{})
}

// TestClaimsMappedApps: their signing keys are asked for by the API's id.
func TestClaimsMappedApps(t *testing.T) {
	authority := newFakeAuthority()
	o := testOptions(authority, newClock())
	o.ClaimsMapping = true
	v := newVerifier(t, o)
	for _, raw := range []string{v2Token().sign(), v1Token().sign()} {
		if _, err := v.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	asked := 0
	for _, u := range authority.requests {
		if strings.Contains(u, "openid-configuration") {
			asked++
			if !strings.HasSuffix(u, "/.well-known/openid-configuration?appid="+testAPI) {
				t.Errorf("asked %s", u)
			}
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times: %v", asked, authority.requests)
	}
}
