package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

// wantsMore gives the API a further scope, Write, and has the server ask for it
// in each call of a tool. The organisation has granted it in advance, or leaves
// that to people. The count is that of the answers for want of it.
func (s *stack) wantsMore(granted, insatiable bool) *atomic.Int32 {
	s.t.Helper()
	api := s.sample.API
	api.Scopes = append(api.Scopes[:1:1], fakeentra.Scope{Name: "Write"})
	if !granted {
		api.PreAuthorized = nil
	}
	if _, err := s.authority.RegisterApp(api); err != nil {
		s.t.Fatal(err)
	}
	var refused atomic.Int32
	s.meddleWith(func(w http.ResponseWriter, r *http.Request) bool {
		has := tokenClaims(r).Scp == fakeentra.SampleScope+" Write"
		if !callsTool(r) || has && !insatiable {
			return false
		}
		refused.Add(1)
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer error="insufficient_scope", scope="%s/Write"`, s.url))
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	return &refused
}

// callsTool reports the call of a tool that comes with a token. The body stays to
// be read.
func callsTool(r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && r.Header.Get("Authorization") != "" && bytes.Contains(body, []byte(`"tools/call"`))
}

// Checklist 40 with the real program: a step-up asks the person for the union of
// the scopes, in band, and everything afterwards has it.
func TestStepUpInBand(t *testing.T) {
	t.Parallel()
	for _, kind := range guestKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s, d := newStack(t, scripted(t)), newDesk(t)
			s.wantsMore(false, false)
			d.login(t, s.url, s.caFile, ada, "--scope", s.url+"/"+fakeentra.SampleScope)
			ctx := testContext(t)
			g := s.guest(d, kind)
			g.greet(ctx)
			codes := s.authority.CountRequests(fakeentra.EndpointDeviceCode, "")
			at, done := g.asksFor(ctx, "tools/call", bigCall)
			enterCode(ctx, t, at.url, at.code, s.caFile, ada)
			g.came(done())
			g.came(g.ask(ctx, "tools/call", bigCall))
			if n := s.authority.CountRequests(fakeentra.EndpointDeviceCode, "") - codes; n != 1 {
				t.Errorf("%d codes", n)
			}
			if out, code := d.run(t, "status", "-o", "json"); code != 0 || !strings.Contains(out, s.url+"/Write") || !strings.Contains(out, s.url+"/"+fakeentra.SampleScope) {
				t.Errorf("status ends with %d and says %s", code, out)
			}
		})
	}
}

// What the organisation has granted in advance costs nobody's time.
func TestStepUpSilently(t *testing.T) {
	t.Parallel()
	s, d := newStack(t, scripted(t)), newDesk(t)
	refused := s.wantsMore(true, false)
	d.login(t, s.url, s.caFile, ada, "--scope", s.url+"/"+fakeentra.SampleScope)
	ctx := testContext(t)
	g := s.guest(d, guestKinds[0])
	g.greet(ctx)
	g.came(g.ask(ctx, "tools/call", bigCall))
	g.came(g.ask(ctx, "tools/call", bigCall))
	if n := refused.Load(); n != 1 {
		t.Errorf("refused %d times", n)
	}
	s.refreshes(1)
}

// A server that is never content does not make the bridge, or the person, go
// round in circles.
func TestStepUpThatGainsNothingStops(t *testing.T) {
	t.Parallel()
	for _, kind := range guestKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s, d := newStack(t, scripted(t)), newDesk(t)
			refused := s.wantsMore(true, true)
			d.login(t, s.url, s.caFile, ada, "--scope", s.url+"/"+fakeentra.SampleScope)
			ctx := testContext(t)
			g := s.guest(d, kind)
			g.greet(ctx)
			codes := s.authority.CountRequests(fakeentra.EndpointDeviceCode, "")
			for range 3 {
				g.refused(g.ask(ctx, "tools/call", bigCall), s.url+"/Write", "gain", "operator")
			}
			if n := refused.Load(); n != 4 { // one of them before the step-up
				t.Errorf("refused %d times", n)
			}
			s.refreshes(1)
			if n := s.authority.CountRequests(fakeentra.EndpointDeviceCode, "") - codes; n != 0 {
				t.Errorf("%d codes", n)
			}
		})
	}
}

// A server that rejects each token does not make a storm at the authority, nor
// does a model that goes on trying.
func TestRejectionsMakeNoStorm(t *testing.T) {
	t.Parallel()
	s, d := newStack(t, scripted(t)), newDesk(t)
	d.login(t, s.url, s.caFile, ada)
	ctx := testContext(t)
	g := s.guest(d, guestKinds[0])
	g.greet(ctx)
	s.meddleWith(func(w http.ResponseWriter, r *http.Request) bool {
		return r.Header.Get("Authorization") != "" && challenge(w, `error="invalid_token"`)
	})
	for range 60 {
		g.refused(g.ask(ctx, "tools/call", bigCall))
	}
	// Twenty within half a minute.
	if n := s.authority.CountRequests(fakeentra.EndpointToken, fakeentra.GrantRefreshToken); n > 20 {
		t.Errorf("%d refreshes", n)
	}
	if n := s.authority.CountRequests(fakeentra.EndpointDeviceCode, ""); n != 1 {
		t.Errorf("%d codes", n)
	}
}
