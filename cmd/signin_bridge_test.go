package cmd

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/bridge"
	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// scopedServer is an MCP server whose tools are scopes: a call needs the scope
// that the tool is called.
func scopedServer(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	scp, ok := scopesOf(r.Header.Get("Authorization"))
	body, _ := io.ReadAll(r.Body)
	f, err := wire.Parse(body)
	tool := wire.LookupString(f.Raw, "params", "name")
	switch {
	case !ok:
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
	case err != nil || f.Kind != wire.Request:
		w.WriteHeader(http.StatusAccepted)
	case tool != "" && !strings.Contains(" "+scp+" ", " "+tool+" "):
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer error="insufficient_scope", scope="%s/%s"`, apiURI, tool))
		w.WriteHeader(http.StatusForbidden)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(wire.NewResult(f.ID, map[string]any{
			"protocolVersion": "2025-11-25", "capabilities": map[string]any{"tools": map[string]any{}}, "serverInfo": map[string]any{"name": "scoped", "version": "1"}, "scp": scp,
		}).Raw)
	}
}

// scopesOf reads a token's scp. It is no check of the token.
func scopesOf(authorization string) (string, bool) {
	parts := strings.Split(strings.TrimPrefix(authorization, "Bearer "), ".")
	if len(parts) != 3 {
		return "", false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	return wire.LookupString(payload, "scp"), err == nil
}

// guest is an MCP client inside the test, in front of a whole bridge.
type guest struct {
	t    *testing.T
	conn wire.Conn
}

func (s *sourced) bridge() guest {
	s.t.Helper()
	client, inner := wire.Pipe(64)
	transport := wire.NewTransport()
	done := make(chan error, 1)
	go func() {
		done <- bridge.Run(context.Background(), bridge.Options{Client: inner, URL: s.url, Tokens: s.profileSource, HTTP: transport})
	}()
	s.t.Cleanup(func() {
		_ = client.Close()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
		transport.CloseIdleConnections()
	})
	return guest{s.t, client}
}

func (g guest) send(raw string) {
	g.t.Helper()
	if err := g.conn.Write(g.t.Context(), wire.MustParse(raw)); err != nil {
		g.t.Fatal(err)
	}
}

// until returns the first message that holds the text.
func (g guest) until(text string) string {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), scriptPatience)
	defer cancel()
	for {
		f, err := g.conn.Read(ctx)
		if err != nil {
			g.t.Fatalf("no message with %s: %v", text, err)
		}
		if strings.Contains(string(f.Raw), text) {
			return string(f.Raw)
		}
	}
}

func (g guest) greet() {
	g.t.Helper()
	g.send(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{"url":{}}},"clientInfo":{"name":"c","version":"1"}}}`)
	g.until(`"id":0`)
	g.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

var codeInText = regexp.MustCompile(`enter the code ([A-Z0-9]+)`)

// opens is the person whose client shows the page.
func (s *sourced) opens(g guest, asked string) {
	s.t.Helper()
	code := codeInText.FindStringSubmatch(asked)
	if code == nil {
		s.t.Fatalf("no code in %s", asked)
	}
	f := wire.MustParse(asked)
	g.send(`{"jsonrpc":"2.0","id":` + string(f.ID) + `,"result":{"action":"accept"}}`)
	if err := s.authority.ApproveDevice(code[1], s.ada.UPN); err != nil {
		s.t.Fatal(err)
	}
}

// Checklist 40 from end to end, and the first login with a client that opens
// pages: both calls wait for the person and are answered by the server.
func TestRow40FromEndToEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(scopedServer))
	defer server.Close()
	s := newSourced(t, server.URL+"/mcp", readScope)
	g := s.bridge()
	g.greet()
	g.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"Read"}}`)
	asked := g.until("elicitation/create")
	if n := s.authority.CountRequests(fakeentra.EndpointDeviceCode, ""); n != 1 {
		t.Errorf("%d codes", n)
	}
	s.opens(g, asked)
	if got := g.until(`"id":1`); !strings.Contains(got, `"scp":"Read"`) {
		t.Fatalf("got %s", got)
	}
	g.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"Write"}}`)
	s.opens(g, g.until("elicitation/create"))
	if got := g.until(`"id":2`); !strings.Contains(got, "Write") || strings.Contains(got, "error") {
		t.Fatalf("got %s", got)
	}
	p, err := s.profiles.Load(s.url)
	if err != nil || len(p.Scopes) != 2 || p.Account.Username != s.ada.UPN {
		t.Errorf("pinned %v for %q, %v", p.Scopes, p.Account.Username, err)
	}
	if n := s.authority.CountRequests(fakeentra.EndpointDeviceCode, ""); n != 2 {
		t.Errorf("%d codes", n)
	}
}

// The person who declines on the page ends the sign-in; each waiting request is
// told.
func TestDeclinedOnThePage(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(scopedServer))
	defer server.Close()
	s := newSourced(t, server.URL+"/mcp", readScope)
	g := s.bridge()
	g.greet()
	g.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"Read"}}`)
	code := codeInText.FindStringSubmatch(g.until("elicitation/create"))
	if err := s.authority.DeclineDevice(code[1]); err != nil {
		t.Fatal(err)
	}
	if got := g.until(`"id":1`); !strings.Contains(got, `"code":-31001`) || !strings.Contains(got, "declined") || !strings.Contains(got, "mcpctl login "+s.url) {
		t.Errorf("got %s", got)
	}
}

// A pin that the server no longer keeps to is named through the bridge, and the
// token that it refused goes nowhere else.
func TestChangedPinThroughTheBridge(t *testing.T) {
	var moved bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if moved {
			w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="https://evil.example/prm"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		scopedServer(w, r)
	}))
	defer server.Close()
	s := newSourced(t, server.URL+"/mcp", readScope)
	s.signIn()
	moved = true
	g := s.bridge()
	g.send(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
	got := g.until(`"id":0`)
	for _, want := range []string{"error", "evil.example", "does not follow", "mcpctl login " + s.url} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %q in it", got, want)
		}
	}
	if p, err := s.profiles.Load(s.url); err != nil || len(profile.Diff(p, profile.Pin{Scopes: []string{readScope}})) != 0 {
		t.Errorf("the pin has changed: %v", err)
	}
}
