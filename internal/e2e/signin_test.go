package e2e_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

// codeSignIn is the code of the bridge's errors that ask for a sign-in.
const codeSignIn = -31001

// expiring makes access tokens that are of no use any more when they are used.
var expiring = fakeentra.Lifetimes{AccessToken: time.Second, CAEAccessToken: time.Second, PollInterval: time.Second}

// wantsSignIn makes sure that a call tells a person what to type, whether or
// not the bridge has answered initialize by itself.
func (p *peer) wantsSignIn(ctx context.Context, url string) {
	p.t.Helper()
	m := p.call(ctx, "tools/call", `{"name":"big","arguments":{"bytes":3}}`)
	p.refused(m, "mcpctl login "+url)
	if m.Error.Code != codeSignIn {
		p.t.Errorf("the error has the code %d instead of %d", m.Error.Code, codeSignIn)
	}
	if strings.Count(m.Error.Message, "mcpctl login") > 1 {
		p.t.Errorf("the error says twice what to type: %s", m.Error.Message)
	}
}

// openSignedOut does what a client does first; the answer may be an error.
func (p *peer) openSignedOut(ctx context.Context) message {
	p.t.Helper()
	m := p.call(ctx, "initialize", initialize)
	p.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return m
}

// Whoever never signed in learns which command to type, at each address by the
// one that was typed.
func TestNeverSignedIn(t *testing.T) {
	t.Parallel()
	s, ctx := newStack(t, scripted(t)), testContext(t)
	for _, transport := range append(transports, transports[0]) {
		url := transport.address(s.url, s.sse)
		p, _ := newDesk(t).bridge(t, url, "--transport", transport.flag)
		if m := p.openSignedOut(ctx); m.Error != nil {
			p.refused(m, "mcpctl login "+url)
		} else {
			p.wantsSignIn(ctx, url)
		}
	}
	if n := s.count("POST /mcp 2"); n != 0 {
		t.Errorf("%d requests came through without a sign-in", n)
	}
}

// The HTTP+SSE address alone is enough, both to sign in and to relay.
func TestSSEAddressAlone(t *testing.T) {
	t.Parallel()
	s, d := newStack(t, scripted(t)), newDesk(t)
	d.login(t, s.sse, s.caFile, ada)
	ctx := testContext(t)
	p, _ := d.bridge(t, s.sse)
	p.open(ctx)
	p.works(ctx)
	// Another address is another sign-in.
	other, _ := d.bridge(t, s.url)
	if m := other.openSignedOut(ctx); m.Error == nil {
		other.wantsSignIn(ctx, s.url)
	}
}

func TestExpiredTokenIsRefreshed(t *testing.T) {
	t.Parallel()
	for _, transport := range transports {
		t.Run(transport.flag, func(t *testing.T) {
			t.Parallel()
			s, d := newStackWith(t, scripted(t), fakeentra.Options{Lifetimes: expiring}), newDesk(t)
			url := transport.address(s.url, s.sse)
			d.login(t, url, s.caFile, ada)
			s.authority.SetLifetimes(quick)
			ctx := testContext(t)
			p, _ := d.bridge(t, url, "--transport", transport.flag)
			p.open(ctx)
			p.works(ctx)
			s.refreshes(1)
		})
	}
}

// refreshes makes sure how often the authority was asked for a new token.
func (s *stack) refreshes(want int) {
	s.t.Helper()
	if n := s.authority.CountRequests(fakeentra.EndpointToken, fakeentra.GrantRefreshToken); n != want {
		s.t.Errorf("the token was refreshed %d times instead of %d", n, want)
	}
}

// A token that the server stops accepting in the middle of a session is
// replaced without the client's noticing.
func TestRejectedTokenIsReplaced(t *testing.T) {
	t.Parallel()
	s, d := newStack(t, scripted(t)), newDesk(t)
	d.login(t, s.url, s.caFile, ada)
	ctx := testContext(t)
	p, _ := d.bridge(t, s.url)
	p.open(ctx)
	s.restartWithNewKeys()
	p.works(ctx)
	s.refreshes(1)
	if s.count("POST /mcp 401") == 0 {
		t.Error("the server never rejected the old token")
	}
}

// restartWithNewKeys makes every token issued so far worthless.
func (s *stack) restartWithNewKeys() {
	s.t.Helper()
	if err := s.authority.RotateKeys(true); err != nil {
		s.t.Fatal(err)
	}
	s.down() // a server that runs fetches keys again only after a while
	s.up()
}

func TestRevokedSignIn(t *testing.T) {
	t.Parallel()
	t.Run("before the start", func(t *testing.T) {
		t.Parallel()
		s, d := newStackWith(t, scripted(t), fakeentra.Options{Lifetimes: expiring}), newDesk(t)
		d.login(t, s.url, s.caFile, ada)
		if err := s.authority.Revoke(ada); err != nil {
			t.Fatal(err)
		}
		ctx := testContext(t)
		p, _ := d.bridge(t, s.url)
		p.openSignedOut(ctx)
		p.wantsSignIn(ctx, s.url)
	})
	t.Run("in the middle of a session", func(t *testing.T) {
		t.Parallel()
		s, d := newStack(t, scripted(t)), newDesk(t)
		d.login(t, s.url, s.caFile, ada)
		ctx := testContext(t)
		p, _ := d.bridge(t, s.url)
		p.open(ctx)
		p.works(ctx)
		if err := s.authority.Revoke(ada); err != nil {
			t.Fatal(err)
		}
		s.restartWithNewKeys()
		p.wantsSignIn(ctx, s.url)

		// Who does as told need not restart the client.
		d.login(t, s.url, s.caFile, ada)
		for p.call(ctx, "tools/call", `{"name":"big","arguments":{"bytes":3}}`).Error != nil {
			// The bridge notices within a second or so.
		}
	})
}

// A token that was issued for something else.
func TestWrongAudience(t *testing.T) {
	t.Parallel()
	t.Run("the server has a new registration", func(t *testing.T) {
		t.Parallel()
		s, d := newStack(t, scripted(t)), newDesk(t)
		d.login(t, s.url, s.caFile, ada)
		s.down()
		s.config.Entra.ClientID = "99999999-8888-4777-8666-555555555555"
		s.up()
		s.refuses(d, "audience")
	})
	t.Run("the person asked for another API", func(t *testing.T) {
		t.Parallel()
		s, d := newStack(t, scripted(t)), newDesk(t)
		other, err := s.authority.RegisterApp(fakeentra.App{
			Name: "Another API", Scopes: []fakeentra.Scope{{Name: "Other.Access"}}, TokenVersion: 2,
			PreAuthorized: []string{s.sample.Client.ClientID},
		})
		if err != nil {
			t.Fatal(err)
		}
		d.login(t, s.url, s.caFile, ada, "--scope", other.IDURIs[0]+"/Other.Access")
		s.refuses(d, "")
	})
}

// refuses makes sure that a bridge at the desk says why and what to type.
func (s *stack) refuses(d desk, why string) {
	s.t.Helper()
	ctx := testContext(s.t)
	p, _ := d.bridge(s.t, s.url)
	if m := p.openSignedOut(ctx); m.Error != nil {
		p.refused(m, why, "mcpctl login "+s.url)
	}
	p.wantsSignIn(ctx, s.url)
}

// Several bridges that start at once on an expired token spend one refresh
// token, which works once.
func TestManyBridgesAtOnce(t *testing.T) {
	t.Parallel()
	s, d := newStackWith(t, scripted(t), fakeentra.Options{Lifetimes: expiring, OneTimeRefreshTokens: true}), newDesk(t)
	d.login(t, s.url, s.caFile, ada)
	s.authority.SetLifetimes(quick)
	ctx := testContext(t)
	peers := make([]*peer, 6)
	for i := range peers {
		peers[i], _ = d.bridge(t, s.url)
		peers[i].send(`{"jsonrpc":"2.0","id":"first","method":"initialize","params":` + initialize + `}`)
	}
	for _, p := range peers {
		if m := p.response(ctx); m.Error != nil {
			t.Errorf("initialize: %s", m.raw)
		}
		p.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		p.works(ctx)
	}
	s.refreshes(1)
}
