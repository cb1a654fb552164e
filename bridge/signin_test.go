package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/era"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// Checklist 4 and the first login: with no credentials a client is answered at
// once, is told what to do, and nothing is started by that.
func TestRow04NoCredentialsIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, &signer{err: errNobody})
		began := time.Now()
		d.send(initPlain)
		d.expect(`"id":0`, `"protocolVersion":"2025-06-18"`, `"name":"mcpctl"`, `"listChanged":true`, "sign_in", "https://x.example/mcp")
		d.send(inited)
		for i, want := range map[string]string{
			"tools/list": `"name":"sign_in"`, "resources/list": `"resources":[]`, "prompts/list": `"prompts":[]`,
			"resources/templates/list": `"resourceTemplates":[]`, "ping": `"result":{}`, "logging/setLevel": `"result":{}`,
			"completion/complete": `"values":[]`,
		} {
			d.send(`{"jsonrpc":"2.0","id":"` + i + `","method":"` + i + `","params":{"level":"info"}}`)
			d.expect(`"id":"`+i+`"`, want)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
		d.send(fmt.Sprintf(callEcho, 2))
		d.expect(`"code":-31001`, "sign_in", "mcpctl login https://x.example/mcp")
		time.Sleep(time.Hour)
		if asked, starts := d.signer.counts(); asked != 1 || starts != 0 || d.remote.seen() != "" {
			t.Errorf("%d tokens asked for, %d sign-ins begun, the remote got %q", asked, starts, d.remote.seen())
		}
	})
}

// Checklist 2: a client of 2026-07-28 is answered too, and starts nothing.
func TestRow02DiscoverWithoutToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, &signer{err: errNobody})
		const meta = `"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}`
		d.send(`{"jsonrpc":"2.0","id":1,"method":"server/discover",` + meta + `}`)
		d.expect(`"supportedVersions":["2026-07-28"]`, `"resultType":"complete"`, "sign_in")
		d.send(`{"jsonrpc":"2.0","id":2,"method":"tools/list",` + meta + `}`)
		d.expect(`"name":"sign_in"`, `"resultType":"complete"`, `"ttlMs":0`)
		if _, starts := d.signer.counts(); starts != 0 || d.remote.seen() != "" {
			t.Errorf("%d sign-ins, the remote got %q", starts, d.remote.seen())
		}
	})
}

// Where the remote is known to be of the initialize era, a client of both eras is
// led to it, though nobody is signed in.
func TestDiscoverBeforeALegacyRemote(t *testing.T) {
	known := verdicts{Era: era.Legacy}
	for name, opts := range map[string]Options{"by choice": {Protocol: "2025-11-25"}, "by experience": {Verdicts: known}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDeskWith(t, &signer{err: errNobody}, opts)
				d.send(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`)
				d.expect(`"code":-32601`)
				d.greet(initPlain)
			})
		})
	}
}

type verdicts era.Verdict

func (v verdicts) Get(string) (era.Verdict, bool) { return era.Verdict(v), true }
func (v verdicts) Put(string, era.Verdict)        {}

// The tool: a code at once, then progress and the outcome; then the remote takes
// over with the handshake that the client has had.
func TestSignInTool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		person := make(chan error)
		s := &signer{err: errNobody, act: takes(person)}
		d := newDesk(t, s)
		d.greet(initPlain)
		d.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		d.expect("sign_in")
		d.send(`{"jsonrpc":"2.0","id":"l","method":"logging/setLevel","params":{"level":"debug"}}`)
		d.expect(`"id":"l"`)
		d.send(fmt.Sprintf(callSignIn, 2))
		d.expect(`"id":2`, "https://login.example/device", "ABC-123", "15 more minutes", `"status":"pending"`, `"user_code":"ABC-123"`, `"expires_in_seconds":900`)
		d.send(fmt.Sprintf(callEcho, 3))
		d.expect(`"id":3`, `"code":-31001`, "ABC-123")

		d.send(fmt.Sprintf(callSignIn, 4))
		d.expect("notifications/progress", `"progressToken":"p"`)
		s.signedIn()
		person <- nil
		d.expectLists()
		d.expect(`"id":4`, `"status":"signed_in"`)
		if got := d.remote.seen(); got != "initialize notifications/initialized logging/setLevel" {
			t.Errorf("the remote got %q", got)
		}
		if d.remote.ids[0] == "0" {
			t.Error("the replayed initialize has the client's id")
		}
		// A model that does as it was told is answered, and the rest passes.
		d.send(fmt.Sprintf(callSignIn, 5))
		d.expect(`"id":5`, `"status":"signed_in"`)
		d.send(fmt.Sprintf(callEcho, 6))
		d.expect(`"id":6`, `"from":"remote"`)
		synctest.Wait()
		if d.remote.listens != 1 {
			t.Errorf("listened %d times", d.remote.listens)
		}
	})
}

// A call of the tool returns in time for clients that give up after a minute,
// and a failure is told once before the next call begins anew.
func TestSignInToolPendingAndFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		person := make(chan error)
		s := &signer{err: errNobody, act: takes(person)}
		d := newDesk(t, s)
		d.greet(initPlain)
		call := strings.Replace(callSignIn, `,"_meta":{"progressToken":"p"}`, "", 1)
		d.send(fmt.Sprintf(call, 1))
		d.expect(`"status":"pending"`)
		began := time.Now()
		d.send(fmt.Sprintf(call, 2))
		d.expect(`"status":"pending"`, "has not finished yet")
		if took := time.Since(began); took != toolWait {
			t.Errorf("it took %v", took)
		}
		person <- errors.New("AADSTS53003: forbidden")
		synctest.Wait()
		d.send(fmt.Sprintf(call, 3))
		d.expect(`"status":"failed"`, "AADSTS53003", `"isError":true`)
		d.send(fmt.Sprintf(call, 4))
		d.expect(`"status":"pending"`)
		if _, starts := s.counts(); starts != 2 {
			t.Errorf("%d sign-ins", starts)
		}
	})
}

// Sign-ins are braked: a model that calls the tool again and again can't make
// more than a few.
func TestSignInBrake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{err: errNobody, act: func(context.Context, <-chan struct{}, func(Prompt)) error { return errors.New("no luck") }}
		d := newDesk(t, s)
		d.greet(initPlain)
		for i := range 20 {
			d.send(fmt.Sprintf(callSignIn, i+1))
			d.expect(`"status":"failed"`)
		}
		if _, starts := s.counts(); starts != maxStarts {
			t.Errorf("%d sign-ins", starts)
		}
		time.Sleep(startWindow)
		d.send(fmt.Sprintf(callSignIn, 99))
		d.expect("no luck")
	})
}

// A keyring that hangs delays the handshake by a second, not more; when it does
// answer, the remote takes over.
func TestSlowTokenStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, &signer{token: "t", slow: 3 * time.Second})
		began := time.Now()
		d.greet(initPlain)
		if took := time.Since(began); took != lookPatience {
			t.Errorf("initialize took %v", took)
		}
		// What needs the remote waits for it.
		d.send(fmt.Sprintf(callEcho, 1))
		d.expectLists()
		d.expect(`"id":1`, `"from":"remote"`)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("all took %v", took)
		}
	})
}

// With a token nothing is added: the client's own messages reach the remote.
func TestPassesWithToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, &signer{token: "t"})
		d.greet(initElicit)
		d.send(fmt.Sprintf(callEcho, 1))
		d.expect(`"id":1`, `"from":"remote"`)
		if got := d.remote.seen(); got != "initialize notifications/initialized tools/call" || d.remote.ids[0] != "0" {
			t.Errorf("the remote got %q with ids %v", got, d.remote.ids)
		}
	})
}

// A login in a terminal is noticed, and until then the token store is left
// alone.
func TestLoginElsewhereIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{err: errNobody, act: takes(nil)}
		d := newDesk(t, s)
		d.greet(initPlain)
		time.Sleep(time.Hour)
		if asked, _ := s.counts(); asked != 1 {
			t.Errorf("asked %d times while nothing changed", asked)
		}
		began := time.Now()
		s.signedIn()
		d.expectLists()
		if took := time.Since(began); took > watchLazy {
			t.Errorf("noticed after %v", took)
		}
		d.send(fmt.Sprintf(callEcho, 1))
		d.expect(`"from":"remote"`)
	})
}

// A login in a terminal also ends a sign-in that is under way here.
func TestLoginElsewhereEndsOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{err: errNobody, act: takes(nil)}
		d := newDesk(t, s)
		d.greet(initElicit)
		d.send(strings.Replace(fmt.Sprintf(callEcho, 1), `,"_meta":{"progressToken":"p"}`, "", 1))
		asked := wire.MustParse(d.expect("elicitation/create"))
		s.signedIn()
		d.expectLists()
		all := d.expect() + d.expect() + d.expect()
		for _, want := range []string{`"id":1,"result":{"from":"remote"`, `"requestId":` + string(asked.ID), "notifications/elicitation/complete"} {
			if !strings.Contains(all, want) {
				t.Errorf("%s is missing in %s", want, all)
			}
		}
	})
}

// Where nobody can sign in from here the command to run is named, and the bridge
// goes on by itself when that has been done.
func TestSignInFromHereIsOutOfTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{err: errNobody, unable: errNobody}
		d := newDesk(t, s)
		d.send(initElicit)
		d.expect("mcpctl login https://x.example/mcp")
		d.send(inited)
		d.send(fmt.Sprintf(callSignIn, 1))
		d.expect("mcpctl login https://x.example/mcp", `"status":"failed"`)
		d.send(fmt.Sprintf(callEcho, 2))
		d.expect(`"code":-31001`, "mcpctl login https://x.example/mcp")
		s.mu.Lock()
		s.unable = nil
		s.mu.Unlock()
		s.signedIn()
		d.expectLists()
		if _, starts := s.counts(); starts != 0 {
			t.Errorf("%d sign-ins", starts)
		}
	})
}

// What keeps the token away without a person's fault passes by itself.
func TestOutageOfTheAuthorityPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{err: errors.New("the authority is down")}
		d := newDesk(t, s)
		d.greet(initPlain)
		d.send(fmt.Sprintf(callEcho, 1))
		d.expect(`"id":1`, "the authority is down")
		d.send(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
		d.expect(`"id":2`, "the authority is down")
		s.mu.Lock()
		s.token, s.err = "t", nil // the stamp stays
		s.mu.Unlock()
		d.expectLists()
	})
}

// A session that ends while running: one clear answer, the tool again, and after
// the sign-in the same session goes on.
func TestSessionEndsWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		person := make(chan error)
		s := &signer{token: "t", act: takes(person)}
		d := newDesk(t, s)
		d.greet(initPlain)
		revoked := errors.New("AADSTS50173: revoked")
		var over atomic.Bool
		d.remote.failBy(func(wire.Frame) error {
			if over.Load() {
				return &signInError{fmt.Errorf("%w: %w", revoked, ErrSignInNeeded)}
			}
			return nil
		})
		synctest.Wait()
		over.Store(true)
		s.mu.Lock()
		s.err = errNobody
		s.mu.Unlock()
		d.send(fmt.Sprintf(callEcho, 1))
		got := d.expect() + d.expect() + d.expect() + d.expect()
		for _, want := range []string{"notifications/tools/list_changed", `"id":1,"error":{"code":-31001`, "AADSTS50173", "sign_in"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s is missing in %s", want, got)
			}
		}
		d.send(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
		d.expect(`"name":"sign_in"`)
		d.send(fmt.Sprintf(callSignIn, 3))
		d.expect("ABC-123")
		over.Store(false)
		s.signedIn()
		person <- nil
		d.expectLists()
		d.send(fmt.Sprintf(callEcho, 4))
		d.expect(`"id":4`, `"from":"remote"`)
		if n := strings.Count(d.remote.seen(), "initialize"); n != 2 { // and "initialized"
			t.Errorf("the remote got %q", d.remote.seen())
		}
	})
}

// A request that needs more permissions brings the code with it; all others go
// on meanwhile.
func TestStepUpInBand(t *testing.T) {
	for _, elicits := range []bool{false, true} {
		t.Run(fmt.Sprintf("elicits=%v", elicits), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				person := make(chan error)
				s := &signer{token: "t", act: takes(person)}
				d := newDesk(t, s)
				d.greet(map[bool]string{false: initPlain, true: initElicit}[elicits])
				var mu sync.Mutex
				granted := false
				d.remote.failBy(func(f wire.Frame) error {
					mu.Lock()
					defer mu.Unlock()
					if f.Method == "tools/call" && !granted {
						return &signInError{fmt.Errorf("the server wants api://x/Write: %w", ErrConsentNeeded)}
					}
					return nil
				})
				d.send(strings.Replace(fmt.Sprintf(callEcho, 1), `,"_meta":{"progressToken":"p"}`, "", 1))
				if elicits {
					d.expect("elicitation/create", "ABC-123")
				} else {
					d.expect(`"id":1`, `"code":-31001`, "api://x/Write", "ABC-123", "repeat this request")
				}
				d.send(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
				d.expect(`"id":2`, `"from":"remote"`)
				mu.Lock()
				granted = true
				mu.Unlock()
				person <- nil
				if elicits {
					all := d.expect() + d.expect() + d.expect()
					if !strings.Contains(all, `"id":1,"result":{"from":"remote"`) {
						t.Errorf("got %s", all)
					}
				} else {
					synctest.Wait()
					d.send(fmt.Sprintf(callEcho, 3))
					d.expect(`"id":3`, `"from":"remote"`)
				}
			})
		})
	}
}

// The remote's own refusal of the handshake reaches the client.
func TestRemoteRefusesTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{err: errNobody, act: takes(nil)}
		d := newDesk(t, s)
		d.greet(initPlain)
		d.remote.failBy(func(f wire.Frame) error {
			return d.remote.deliver(t.Context(), wire.NewError(f.ID, -32602, "own words", nil))
		})
		s.signedIn()
		time.Sleep(5 * time.Second)
		d.send(fmt.Sprintf(callEcho, 1))
		d.expect(`"id":1`, `"code":-32602`, "own words")
	})
}

// The lists of a client of 2026-07-28 change on the stream that it opened.
func TestModernListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{err: errNobody}
		d := newDesk(t, s)
		d.send(`{"jsonrpc":"2.0","id":"s","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`)
		d.expect("notifications/subscriptions/acknowledged", `"io.modelcontextprotocol/subscriptionId":"s"`, `"toolsListChanged":true`)
		s.signedIn()
		d.expect("notifications/tools/list_changed", `"io.modelcontextprotocol/subscriptionId":"s"`)
		synctest.Wait()
		if got := d.remote.seen(); got != "subscriptions/listen" {
			t.Errorf("the remote got %q", got)
		}
	})
}

// Whatever a sign-in does meanwhile, each request gets exactly one answer.
func TestEveryRequestIsAnsweredOnce(t *testing.T) {
	for _, initialize := range []string{initPlain, initElicit} {
		synctest.Test(t, func(t *testing.T) {
			person := make(chan error)
			s := &signer{err: errNobody, act: takes(person)}
			d := newDesk(t, s)
			d.greet(initialize)
			const rounds = 60
			methods := []string{"tools/list", "ping", "resources/read", "x/unknown", "tools/call", "logging/setLevel"}
			answers := map[string]int{}
			var reading sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			reading.Go(func() {
				for {
					f, err := d.conn.Read(ctx)
					if err != nil {
						return
					}
					if f.Kind == wire.Response {
						answers[f.ID.Key()]++
					}
				}
			})
			var revoked atomic.Bool
			d.remote.failBy(func(wire.Frame) error {
				if revoked.Load() {
					return &signInError{errNobody}
				}
				return nil
			})
			for i := range rounds {
				for j, m := range methods {
					d.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{"name":"echo"}}`, 100+i*len(methods)+j, m))
				}
				switch i % 20 {
				case 5:
					if i == 5 {
						d.send(fmt.Sprintf(callSignIn, 9))
					}
					time.Sleep(time.Second)
				case 10:
					revoked.Store(false)
					s.signedIn()
				case 12:
					time.Sleep(10 * time.Second)
				case 17:
					s.mu.Lock()
					s.err = errNobody
					s.mu.Unlock()
					revoked.Store(true)
				}
			}
			time.Sleep(time.Hour)
			cancel()
			reading.Wait()
			for i := range rounds * len(methods) {
				if n := answers[fmt.Sprint(100+i)]; n != 1 {
					t.Errorf("request %d got %d answers", 100+i, n)
				}
			}
		})
	}
}

// Checklist 15: a client that ends while its request waits for a person is not
// waited for.
func TestRow15EndsWhileAPersonIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, call := range []string{callEcho, callSignIn} {
			client, inner := halfClosing()
			s := &signer{err: errNobody, act: takes(nil)}
			done := make(chan error, 1)
			began := time.Now()
			go func() {
				done <- Run(t.Context(), Options{Client: inner, URL: "https://x.example/mcp", Tokens: s, HTTP: &guard{by: func(string) (int, string) { return 500, "" }}})
			}()
			client.in <- wire.MustParse(initElicit)
			<-client.out
			client.in <- wire.MustParse(fmt.Sprintf(call, 1))
			<-client.out // the question, or the code
			client.in <- wire.MustParse(fmt.Sprintf(callSignIn, 2))
			synctest.Wait()
			close(client.in)
			if err := <-done; err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v to end", took)
			}
		}
	})
}

// The stream for the server's own messages waits for the connection, and for the
// next one when a sign-in ends.
func TestListenFollowsTheSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{token: "t"}
		d := newDesk(t, s)
		end := make(chan error)
		d.remote.listenBy = end
		d.greet(initPlain)
		synctest.Wait()
		s.mu.Lock()
		s.err = errNobody
		s.mu.Unlock()
		end <- errNobody
		d.expectLists()
		d.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		d.expect("sign_in")
		s.signedIn()
		d.expectLists()
		synctest.Wait()
		if d.remote.listens != 2 {
			t.Errorf("listened %d times", d.remote.listens)
		}
	})
}

// While the remote is being connected, pings are answered and all else waits.
func TestConnectingTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{err: errNobody}
		d := newDesk(t, s)
		d.greet(initPlain)
		d.remote.failBy(func(f wire.Frame) error {
			if f.Method == "initialize" {
				time.Sleep(10 * time.Second)
			}
			return nil
		})
		s.signedIn()
		time.Sleep(5 * time.Second)
		d.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		d.send(`{"jsonrpc":"2.0","id":2,"method":"ping"}`)
		d.expect(`"id":2`)
		d.expectLists()
		d.expect(`"id":1`, `"from":"remote"`)
	})
}

// A remote with a tool of that name keeps it.
func TestRemoteHasAToolOfThatName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{err: errNobody}
		d := newDesk(t, s)
		d.greet(initPlain)
		d.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		d.expect("sign_in")
		s.signedIn()
		d.expectLists()
		d.remote.failBy(func(f wire.Frame) error {
			if f.Method == "tools/list" {
				return d.remote.deliver(t.Context(), wire.NewResult(f.ID, map[string]any{"tools": []any{map[string]any{"name": "sign_in"}}}))
			}
			return nil
		})
		d.send(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
		d.expect(`"id":2`, "sign_in")
		d.send(fmt.Sprintf(callSignIn, 3))
		d.expect(`"id":3`, `"from":"remote"`)
	})
}
