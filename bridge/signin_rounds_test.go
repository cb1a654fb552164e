package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

const (
	metaPages = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{},"url":{}}}}`
	metaForms = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}`
)

// modernCall is a request of MCP 2026-07-28 whose params begin with the given
// members.
func modernCall(id int, method, members, meta string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s,%s}}`, id, method, members, meta)
}

// asked is the result that asks for the sign-in.
type asked struct {
	state, url, message string
}

// expectAsked reads the next message, which must ask for the page of the code.
func (d *desk) expectAsked(id int, code string) asked {
	d.t.Helper()
	got := d.expect(fmt.Sprintf(`"id":%d`, id), `"resultType":"input_required"`, code)
	var m struct {
		Result struct {
			RequestState  string
			InputRequests map[string]struct {
				Method string
				Params struct{ Mode, URL, Message string }
			}
		}
	}
	if err := json.Unmarshal([]byte(got), &m); err != nil {
		d.t.Fatal(err)
	}
	q, ok := m.Result.InputRequests[askKey]
	if !ok || len(m.Result.InputRequests) != 1 || q.Method != "elicitation/create" || q.Params.Mode != "url" || q.Params.URL != "https://login.example/device" || !strings.Contains(q.Params.Message, code) {
		d.t.Fatalf("got %s", got)
	}
	if strings.Contains(got, "elicitationId") {
		d.t.Errorf("2026-07-28 has no elicitationId: %s", got)
	}
	return asked{m.Result.RequestState, q.Params.URL, q.Params.Message}
}

// with is what a retry brings in front of the params it had.
func (a asked) with(action string) string {
	return fmt.Sprintf(`"inputResponses":{%q:{"action":%q}},"requestState":%q,`, askKey, action, a.state)
}

// A client of 2026-07-28 that opens pages is asked in the result of its own
// request; the retry waits for the person and is answered by the remote, which
// gets the request as it first was.
func TestModernElicitation(t *testing.T) {
	for method, members := range map[string]string{"tools/call": `"name":"echo"`, "resources/read": `"uri":"x:"`, "prompts/get": `"name":"p"`} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				person := make(chan error)
				s := &signer{err: errNobody, act: takes(person)}
				d := newDesk(t, s)
				var got wire.Frame
				d.remote.failBy(func(f wire.Frame) error { got = f.Clone(); return nil })
				d.send(modernCall(1, method, members, metaPages))
				a := d.expectAsked(1, "ABC-123")
				d.send(modernCall(2, method, a.with("accept")+members, metaPages))
				d.silent(10 * time.Second) // the person needs a while
				s.signedIn()
				person <- nil
				d.expect(`"id":2`, `"from":"remote"`)
				if want := modernCall(2, method, members, metaPages); string(got.Raw) != want {
					t.Errorf("the remote got %s, want %s", got.Raw, want)
				}
				if _, starts := s.counts(); starts != 1 {
					t.Errorf("%d sign-ins", starts)
				}
			})
		})
	}
}

// Nobody is asked who has not said that he opens pages, and where a result can't
// ask; starting and listing ask nobody at all.
func TestModernElicitationIsNotForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{err: errNobody, act: takes(nil)}
		d := newDesk(t, s)
		for i, f := range []string{
			modernCall(1, "tools/call", `"name":"echo"`, metaForms),
			modernCall(2, "tools/call", `"name":"echo"`, strings.Replace(metaPages, `"url":{}`, `"url":null`, 1)),
			modernCall(3, "x/unknown", `"name":"echo"`, metaPages),
		} {
			d.send(f)
			d.expect(fmt.Sprintf(`"id":%d`, i+1), `"code":-31001`, "sign_in", "mcpctl login https://x.example/mcp")
		}
		for i, method := range []string{"server/discover", "tools/list", "resources/list", "prompts/list"} {
			d.send(modernCall(10+i, method, `"x":1`, metaPages))
			d.expect(fmt.Sprintf(`"id":%d`, 10+i), `"resultType":"complete"`)
		}
		if _, starts := s.counts(); starts != 0 {
			t.Errorf("%d sign-ins", starts)
		}
	})
}

// While the person is not done the retry waits for a bounded time and then asks
// again, and in the end says what to do.
func TestModernElicitationAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{err: errNobody, act: takes(nil)}
		d := newDesk(t, s)
		d.send(modernCall(1, "tools/call", `"name":"echo"`, metaPages))
		a := d.expectAsked(1, "ABC-123")
		for id := 2; id <= maxRounds; id++ {
			began := time.Now()
			d.send(modernCall(id, "tools/call", a.with("accept")+`"name":"echo"`, metaPages))
			a = d.expectAsked(id, "ABC-123")
			if took := time.Since(began); took != roundWait {
				t.Errorf("round %d took %v", id, took)
			}
		}
		d.send(modernCall(99, "tools/call", a.with("accept")+`"name":"echo"`, metaPages))
		d.expect(`"id":99`, `"code":-31001`, "ABC-123", "repeat this request")
		// Whoever brings no decision is asked at once.
		d.send(modernCall(100, "tools/call", `"name":"echo"`, metaPages))
		a = d.expectAsked(100, "ABC-123")
		d.send(modernCall(101, "tools/call", fmt.Sprintf(`"requestState":%q,"name":"echo"`, a.state), metaPages))
		time.Sleep(burst)
		d.expectAsked(101, "ABC-123")
		if _, starts := s.counts(); starts != 1 || d.remote.seen() != "" {
			t.Errorf("%d sign-ins, the remote got %q", starts, d.remote.seen())
		}
	})
}

// A person who declines, or closes the dialogue, ends the sign-in: the request
// says how to sign in otherwise, and for a while nobody is asked again.
func TestModernElicitationDeclined(t *testing.T) {
	for _, action := range []string{"decline", "cancel"} {
		t.Run(action, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &signer{err: errNobody, act: takes(nil)}
				d := newDesk(t, s)
				d.send(modernCall(1, "tools/call", `"name":"echo"`, metaPages))
				a := d.expectAsked(1, "ABC-123")
				d.send(modernCall(2, "tools/call", a.with(action)+`"name":"echo"`, metaPages))
				d.expect(`"id":2`, `"code":-31001`, "declined", "sign_in", "mcpctl login https://x.example/mcp")
				d.send(modernCall(3, "tools/call", `"name":"echo"`, metaPages))
				d.expect(`"id":3`, `"code":-31001`, "sign_in")
				d.send(modernCall(4, "tools/call", `"name":"sign_in"`, metaPages))
				d.expect(`"id":4`, `"status":"pending"`, "ABC-123") // in words: asked for by name
				if _, starts := s.counts(); starts != 2 || d.remote.seen() != "" {
					t.Errorf("%d sign-ins, the remote got %q", starts, d.remote.seen())
				}
				time.Sleep(declinePause + time.Second)
				d.send(modernCall(5, "tools/call", `"name":"echo"`, metaPages))
				d.expectAsked(5, "ABC-123")
			})
		})
	}
}

// A sign-in that fails is told to the request that waits for it and to one that
// comes back too late; the next request begins anew.
func TestModernElicitationFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		person := make(chan error)
		s := &signer{err: errNobody, act: takes(person)}
		d := newDesk(t, s)
		d.send(modernCall(1, "tools/call", `"name":"echo"`, metaPages))
		a := d.expectAsked(1, "ABC-123")
		d.send(modernCall(2, "tools/call", a.with("accept")+`"name":"echo"`, metaPages))
		synctest.Wait()
		person <- errors.New("AADSTS50105: not assigned")
		d.expect(`"id":2`, `"code":-31001`, "AADSTS50105")
		d.send(modernCall(3, "tools/call", a.with("accept")+`"name":"echo"`, metaPages))
		d.expect(`"id":3`, `"code":-31001`, "AADSTS50105")
		d.send(modernCall(4, "tools/call", `"name":"echo"`, metaPages))
		d.expectAsked(4, "ABC-123")
		if _, starts := s.counts(); starts != 2 {
			t.Errorf("%d sign-ins", starts)
		}
	})
}

// A code that has been replaced is shown at once; requests that come together
// show one page, the others wait for the same sign-in.
func TestModernElicitationFollowsTheCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, done := make(chan struct{}), make(chan struct{})
		s := &signer{err: errNobody, act: func(_ context.Context, _ <-chan struct{}, show func(Prompt)) error {
			show(Prompt{URL: "https://login.example/device", Code: "OLD-1", ExpiresOn: time.Now().Add(time.Minute)})
			<-next
			show(Prompt{URL: "https://login.example/device", Code: "NEW-2", ExpiresOn: time.Now().Add(time.Minute), Note: "The other program ended."})
			<-done
			return nil
		}}
		d := newDesk(t, s)
		d.send(modernCall(1, "tools/call", `"name":"a"`, metaPages))
		a := d.expectAsked(1, "OLD-1")
		d.send(modernCall(2, "tools/call", `"name":"b"`, metaPages))
		d.silent(time.Second)
		d.send(modernCall(3, "tools/call", a.with("accept")+`"name":"a"`, metaPages))
		d.silent(time.Second)
		close(next)
		d.expect(`"resultType":"input_required"`, "NEW-2", "The other program ended.")
		d.silent(time.Second)
		s.signedIn()
		close(done)
		d.expect(`"from":"remote"`) // the other one
	})
}

// Requests that come at once, before there is a code, show one page as well.
func TestModernElicitationOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		person := make(chan error)
		s := &signer{err: errNobody}
		s.act = func(ctx context.Context, consent <-chan struct{}, show func(Prompt)) error {
			time.Sleep(time.Second)
			return takes(person)(ctx, consent, show)
		}
		d := newDesk(t, s)
		const n = 10
		for i := range n {
			d.send(modernCall(i, "tools/call", `"name":"echo"`, metaPages))
		}
		d.expect(`"resultType":"input_required"`, "ABC-123")
		d.silent(10 * time.Second)
		s.signedIn()
		person <- nil
		for range n - 1 {
			d.expect(`"from":"remote"`)
		}
		if _, starts := s.counts(); starts != 1 {
			t.Errorf("%d sign-ins", starts)
		}
	})
}

// The tool itself asks with the page too, and says how it went.
func TestModernSignInToolAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		person := make(chan error)
		s := &signer{err: errNobody, act: takes(person)}
		d := newDesk(t, s)
		d.send(modernCall(1, "tools/call", `"name":"sign_in"`, metaPages))
		a := d.expectAsked(1, "ABC-123")
		d.send(modernCall(2, "tools/call", a.with("decline")+`"name":"sign_in"`, metaPages))
		d.expect(`"id":2`, `"status":"failed"`, "declined", `"isError":true`, `"resultType":"complete"`)
		time.Sleep(declinePause + time.Second)
		d.send(modernCall(3, "tools/call", `"name":"sign_in"`, metaPages))
		a = d.expectAsked(3, "ABC-123")
		d.send(modernCall(4, "tools/call", a.with("accept")+`"name":"sign_in"`, metaPages))
		synctest.Wait()
		s.signedIn()
		person <- nil
		d.expect(`"id":4`, `"status":"signed_in"`, `"resultType":"complete"`)
	})
}

// The tool of a client of the initialize era that opens pages does so as well.
func TestSignInToolAsksWithThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		person := make(chan error)
		s := &signer{err: errNobody, act: takes(person)}
		d := newDesk(t, s)
		d.greet(initElicit)
		call := strings.Replace(callSignIn, `,"_meta":{"progressToken":"p"}`, "", 1)
		d.send(fmt.Sprintf(call, 1))
		page := wire.MustParse(d.expect("elicitation/create", "ABC-123"))
		d.send(`{"jsonrpc":"2.0","id":` + string(page.ID) + `,"result":{"action":"accept"}}`)
		d.expect(`"id":1`, `"status":"pending"`, "ABC-123") // after toolWait: clients give up
		d.send(fmt.Sprintf(call, 2))
		synctest.Wait()
		s.signedIn()
		person <- nil
		d.expectLists()
		if all := d.expect() + d.expect(); !strings.Contains(all, `"status":"signed_in"`) || !strings.Contains(all, "notifications/elicitation/complete") {
			t.Errorf("got %s", all)
		}
	})
}

// What the request had for the server itself, an answer to a question of its own,
// survives the sign-in, even if the client has started another bridge meanwhile.
func TestModernElicitationKeepsTheServersState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members = `"name":"echo","inputResponses":{"k": {"action":"accept","content":{"n":9007199254740993}}},"requestState":"s\u0031\"<&","z":1`
		first := newDesk(t, &signer{err: errNobody, act: takes(nil)})
		first.send(modernCall(1, "tools/call", members, metaPages))
		a := first.expectAsked(1, "ABC-123")

		second := newDesk(t, &signer{token: "t"})
		var got wire.Frame
		second.remote.failBy(func(f wire.Frame) error { got = f.Clone(); return nil })
		retry := modernCall(2, "tools/call", fmt.Sprintf(`"name":"echo","inputResponses":{%q:{"action":"accept"}},"requestState":%q,"z":1`, askKey, a.state), metaPages)
		second.send(retry)
		second.expect(`"id":2`, `"from":"remote"`)
		if want := modernCall(2, "tools/call", strings.Replace(members, `"k": {`, `"k":{`, 1), metaPages); string(got.Raw) != want {
			t.Errorf("the remote got\n%s, want\n%s", got.Raw, want)
		}
	})
}

// States that are not ours pass; one that is and has been changed is refused.
func TestForeignRequestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, &signer{token: "t"})
		elsewhere := stateMark + "eyJzZXJ2ZXIiOiJodHRwczovL290aGVyLmV4YW1wbGUiLCJmbG93IjoiWCJ9" // {"server":"https://other.example","flow":"X"}
		for i, state := range []string{"abc", "x" + stateMark, elsewhere} {
			d.send(modernCall(i, "tools/call", fmt.Sprintf(`"name":"echo","requestState":%q`, state), metaPages))
			d.expect(fmt.Sprintf(`"id":%d`, i), `"from":"remote"`)
		}
		for i, state := range []string{stateMark, stateMark + "!", stateMark + "e30", stateMark + "eyJmbG93IjoiWCIsInN0YXRlIjp7fX0"} {
			d.send(modernCall(i, "tools/call", fmt.Sprintf(`"name":"echo","requestState":%q`, state), metaPages))
			d.expect(fmt.Sprintf(`"id":%d`, i), `"code":-32602`, "requestState")
		}
	})
}

// A request that needs more permissions asks for the page and is repeated when
// they have been granted; others go on meanwhile.
func TestModernStepUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		person := make(chan error)
		s := &signer{token: "t", act: takes(person)}
		d := newDesk(t, s)
		granted, asks := false, 0
		d.remote.failBy(func(f wire.Frame) error {
			if f.Method == "tools/call" && !granted {
				asks++
				return &signInError{fmt.Errorf("the server wants api://x/Write: %w", ErrConsentNeeded)}
			}
			return nil
		})
		d.send(modernCall(1, "tools/call", `"name":"echo"`, metaPages))
		a := d.expectAsked(1, "ABC-123")
		d.send(modernCall(2, "tools/call", a.with("accept")+`"name":"echo"`, metaPages))
		d.send(modernCall(3, "tools/list", `"x":1`, metaPages))
		d.expect(`"id":3`, `"from":"remote"`)
		if asks != 1 {
			t.Errorf("the remote was asked %d times before the person had decided", asks)
		}
		granted = true
		person <- nil
		d.expect(`"id":2`, `"from":"remote"`)

		// What the person does not want is not asked for again at once.
		granted = false
		d.send(modernCall(4, "tools/call", `"name":"echo"`, metaPages))
		a = d.expectAsked(4, "ABC-123")
		d.send(modernCall(5, "tools/call", a.with("decline")+`"name":"echo"`, metaPages))
		d.expect(`"id":5`, `"code":-31001`, "declined")
	})
}

// A sign-in that needs no page, because the organisation wants a browser, is
// asked for by the request itself; it is told where the person has to look.
func TestBrowserInsteadOfAPage(t *testing.T) {
	for _, modern := range []bool{false, true} {
		t.Run(fmt.Sprintf("modern=%v", modern), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				done := make(chan struct{})
				s := &signer{err: errNobody}
				s.act = func(_ context.Context, consent <-chan struct{}, show func(Prompt)) error {
					show(Prompt{Note: "No codes here."})
					<-consent
					<-done
					return nil
				}
				d := newDesk(t, s)
				if modern {
					d.send(modernCall(1, "tools/call", `"name":"echo"`, metaPages))
				} else {
					d.greet(initElicit)
					d.send(strings.Replace(fmt.Sprintf(callEcho, 1), `,"_meta":{"progressToken":"p"}`, "", 1))
				}
				if modern {
					d.expect(`"id":1`, `"code":-31001`, "No codes here.", "browser window", "repeat this request")
					d.send(modernCall(1, "tools/call", `"name":"echo"`, metaPages))
				}
				d.silent(10 * time.Second)
				s.signedIn()
				close(done)
				for !strings.Contains(d.expect(), `"id":1,"result":{"from":"remote"`) {
				}
			})
		})
	}
}

// A retry that the client gives up is not sent, and the bridge does not wait for
// it.
func TestModernParkedRequestIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		person := make(chan error)
		s := &signer{err: errNobody, act: takes(person)}
		d := newDesk(t, s)
		d.send(modernCall(1, "tools/call", `"name":"echo"`, metaPages))
		a := d.expectAsked(1, "ABC-123")
		d.send(modernCall(2, "tools/call", a.with("accept")+`"name":"echo"`, metaPages))
		synctest.Wait()
		d.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)
		synctest.Wait()
		s.signedIn()
		person <- nil
		time.Sleep(time.Minute)
		if got := d.remote.seen(); got != "" {
			t.Errorf("the remote got %q", got)
		}
	})
}

func FuzzReturned(f *testing.F) {
	for _, members := range []string{
		`"name":"a","requestState":"mcpctl-signin.e30"`,
		`"requestState":"mcpctl-signin.eyJzZXJ2ZXIiOiIiLCJmbG93IjoiWCJ9","inputResponses":{"mcpctl_sign_in":{"action":"accept"}}`,
		`"requestState" : "x", "requestState":"mcpctl-signin.eyJzZXJ2ZXIiOiIiLCJmbG93IjoiWCIsInN0YXRlIjoiXCJzXCIifQ" ,"n":1`,
		`"\u0072equestState":"mcpctl-signin.eyJzZXJ2ZXIiOiIiLCJmbG93IjoiWCIsImlucHV0cyI6e319"`,
	} {
		f.Add(modernCall(1, "tools/call", members, metaPages))
	}
	s := &signIn{tokens: &signer{}}
	f.Fuzz(func(t *testing.T, raw string) {
		in, err := wire.Parse([]byte(raw))
		if err != nil {
			return
		}
		r, out, err := s.returned(in)
		if err != nil {
			return
		}
		again, err := wire.Parse(out.Raw)
		if err != nil || again.Method != in.Method || string(again.ID) != string(in.ID) {
			t.Fatalf("%s became %s: %v", raw, out.Raw, err)
		}
		if r.Flow == "" && string(out.Raw) != raw && string(out.Raw) != string(in.Raw) {
			t.Fatalf("%s became %s", raw, out.Raw)
		}
		if state := wire.Lookup(out.Raw, "params", "requestState"); r.Flow != "" && string(state) != string(r.State) {
			t.Fatalf("%s became %s, with the state %s", raw, out.Raw, r.State)
		}
	})
}
