package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// A guest is an MCP client in front of a bridge at which nobody may be signed
// in, of one of the kinds that sign people in differently.
type guest struct {
	*peer
	s    *stack
	kind guestKind
	held []message // read and not yet asked for
}

type guestKind struct {
	name   string
	modern bool // speaks MCP 2026-07-28, else 2025-11-25
	opens  bool // declares that it opens pages
}

var guestKinds = []guestKind{
	{"2025-11-25", false, false},
	{"2025-11-25 with pages", false, true},
	{"2026-07-28", true, false},
	{"2026-07-28 with pages", true, true},
}

func (s *stack) guest(d desk, kind guestKind, flags ...string) *guest {
	s.t.Helper()
	p, _ := d.bridge(s.t, s.url, flags...)
	return &guest{peer: p, s: s, kind: kind}
}

func (g *guest) capabilities() string {
	if g.kind.opens {
		return `{"elicitation":{"form":{},"url":{}}}`
	}
	return `{}`
}

// greet does what the client does first.
func (g *guest) greet(ctx context.Context) {
	g.t.Helper()
	if g.kind.modern {
		g.ask(ctx, "server/discover", `"x":1`)
		return
	}
	g.ask(ctx, "initialize", fmt.Sprintf(`"protocolVersion":"2025-11-25","capabilities":%s,"clientInfo":{"name":"e2e","version":"1"}`, g.capabilities()))
	g.peer.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

// begin sends a request whose params have the members, and returns its id.
func (g *guest) begin(method, members string) string {
	g.t.Helper()
	g.last++
	if g.kind.modern {
		members += fmt.Sprintf(`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"e2e","version":"1"},"io.modelcontextprotocol/clientCapabilities":%s}`, g.capabilities())
	}
	g.peer.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, g.last, method, members))
	return fmt.Sprint(g.last)
}

// ask sends a request and returns its answer.
func (g *guest) ask(ctx context.Context, method, members string) message {
	g.t.Helper()
	return g.answer(ctx, g.begin(method, members))
}

// until returns the next message for which match says so, and keeps the others.
func (g *guest) until(ctx context.Context, match func(message) bool) message {
	g.t.Helper()
	for i, m := range g.held {
		if match(m) {
			g.held = append(g.held[:i:i], g.held[i+1:]...)
			return m
		}
	}
	for {
		m, ok := g.next(ctx)
		if !ok {
			g.t.Fatal("the output ended")
		}
		if match(m) {
			return m
		}
		g.held = append(g.held, m)
	}
}

func (g *guest) answer(ctx context.Context, id string) message {
	g.t.Helper()
	return g.until(ctx, func(m message) bool { return m.Method == "" && string(m.ID) == id })
}

const bigCall = `"name":"big","arguments":{"bytes":3}`

// page is where a person signs in, and with which code.
type page struct{ url, code string }

var toOpen = regexp.MustCompile(`Open (\S+) and enter the code ([A-Z0-9]+)\.`)

var codeToEnter = regexp.MustCompile(`enter the code ([A-Z0-9]+)`)

// asksFor begins the request and returns the page that it leads to, by whatever
// way there is for this client. done returns the request's answer, once the
// person has signed in.
func (g *guest) asksFor(ctx context.Context, method, members string) (at page, done func() message) {
	g.t.Helper()
	id := g.begin(method, members)
	if g.kind.opens && !g.kind.modern {
		q := g.until(ctx, func(m message) bool { return m.Method == "elicitation/create" })
		at = g.pageIn(q.Params)
		g.peer.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"action":"accept"}}`, q.ID))
		return at, func() message { return g.answer(ctx, id) }
	}
	first := g.answer(ctx, id)
	if g.kind.opens {
		var r struct {
			ResultType    string
			RequestState  string
			InputRequests map[string]struct{ Params json.RawMessage }
		}
		if err := json.Unmarshal(first.Result, &r); err != nil || r.ResultType != "input_required" || len(r.InputRequests) != 1 {
			g.t.Fatalf("got %s", first.raw)
		}
		for key, q := range r.InputRequests {
			at = g.pageIn(q.Params)
			id := g.begin(method, fmt.Sprintf(`"inputResponses":{%q:{"action":"accept"}},"requestState":%q,%s`, key, r.RequestState, members))
			return at, func() message { return g.answer(ctx, id) }
		}
	}
	// The model tells the person, and repeats the request.
	repeated := func() message {
		for {
			// It may take the bridge a moment to see a sign-in that was made elsewhere.
			if m := g.ask(ctx, method, members); m.Error == nil {
				return m
			}
		}
	}
	g.refused(first)
	if at := toOpen.FindStringSubmatch(first.Error.Message); at != nil {
		return page{at[1], at[2]}, repeated // the error has it already
	}
	g.refused(first, "sign_in", "mcpctl login "+g.s.url)
	m := g.ask(ctx, "tools/call", `"name":"sign_in"`)
	var r struct {
		StructuredContent struct {
			URL  string `json:"verification_url"`
			Code string `json:"user_code"`
		}
	}
	if err := json.Unmarshal(m.Result, &r); err != nil || r.StructuredContent.Code == "" {
		g.t.Fatalf("got %s", m.raw)
	}
	return page{r.StructuredContent.URL, r.StructuredContent.Code}, repeated
}

func (g *guest) pageIn(params json.RawMessage) page {
	g.t.Helper()
	var p struct{ Mode, URL, Message string }
	if err := json.Unmarshal(params, &p); err != nil {
		g.t.Fatal(err)
	}
	code := codeToEnter.FindStringSubmatch(p.Message)
	if p.Mode != "url" || code == nil {
		g.t.Fatalf("asked for %s", params)
	}
	return page{p.URL, code[1]}
}

// came makes sure that a call has come through.
func (g *guest) came(m message) {
	g.t.Helper()
	if m.Error != nil || !regexp.MustCompile(`"text":"012"`).Match(m.Result) {
		g.t.Fatalf("got %.400s", m.raw)
	}
}

// forget takes a desk's tokens away and leaves its profiles.
func (d desk) forget(t *testing.T) {
	t.Helper()
	if err := os.Remove(filepath.Join(d.dir, "dev", "tokens.bin")); err != nil {
		t.Fatal(err)
	}
}

// Whoever signs in where and how, the request that needs the server comes
// through: with the code that the client was given, by mcpctl login in a
// terminal, and through another bridge.
func TestSignInFromInsideTheClient(t *testing.T) {
	t.Parallel()
	for _, kind := range guestKinds {
		for _, where := range []string{"here", "in a terminal", "at another bridge"} {
			t.Run(kind.name+"/"+where, func(t *testing.T) {
				t.Parallel()
				s, d := newStack(t, scripted(t)), newDesk(t)
				d.login(t, s.url, s.caFile, ada)
				d.forget(t)
				ctx := testContext(t)
				g := s.guest(d, kind)
				g.greet(ctx)
				at, done := g.asksFor(ctx, "tools/call", bigCall)
				switch where {
				case "here":
					enterCode(ctx, t, at.url, at.code, s.caFile, ada)
				case "in a terminal":
					d.login(t, s.url, s.caFile, ada)
				default:
					other := s.guest(d, guestKinds[1])
					other.greet(ctx)
					same, otherDone := other.asksFor(ctx, "tools/call", bigCall)
					if same.code != at.code {
						t.Errorf("two bridges ask for %s and %s", at.code, same.code)
					}
					enterCode(ctx, t, same.url, same.code, s.caFile, ada)
					other.came(otherDone())
				}
				g.came(done())
				if !kind.modern {
					g.until(ctx, func(m message) bool { return m.Method == "notifications/tools/list_changed" })
				}
				if m := g.ask(ctx, "tools/list", `"x":1`); m.Error != nil || !regexp.MustCompile(`"name":"big"`).Match(m.Result) {
					t.Errorf("the tools are not the server's: %s", m.raw)
				}
			})
		}
	}
}
