package bridge

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// A sign-in that nobody finishes ends, and whoever waits for it learns what to
// do now.
func TestUnfinishedSignIn(t *testing.T) {
	for name, call := range map[string]string{"tool": callSignIn, "call": callEcho} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, &signer{err: errNobody, act: takes(nil)})
				d.greet(initElicit)
				d.send(strings.Replace(fmt.Sprintf(call, 1), `,"_meta":{"progressToken":"p"}`, "", 1))
				d.expect("elicitation/create", "ABC-123")
				if name == "tool" {
					d.expect(`"id":1`, `"status":"pending"`)
					time.Sleep(flowLimit - toolWait - 10*time.Second)
					d.send(strings.Replace(fmt.Sprintf(call, 1), `,"_meta":{"progressToken":"p"}`, "", 1))
				}
				all := d.expect() + d.expect()
				for _, want := range []string{"notifications/cancelled", `"id":1`, "nobody finished the sign-in within 20 minutes", "sign_in", "mcpctl login https://x.example/mcp"} {
					if !strings.Contains(all, want) {
						t.Errorf("%s lacks %q", all, want)
					}
				}
			})
		})
	}
}

// A sign-in for more permissions that is under way when the present one ends
// serves for both: the person gets one page.
func TestStepUpUnderWayWhenTheSignInEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		person := make(chan error)
		s := &signer{token: "t", act: takes(person)}
		d := newDesk(t, s)
		d.greet(initPlain)
		var why error
		d.remote.failBy(func(f wire.Frame) error {
			if f.Method != "tools/call" || why == nil {
				return nil
			}
			return &signInError{why}
		})
		why = fmt.Errorf("the server wants api://x/Write: %w", ErrConsentNeeded)
		d.send(fmt.Sprintf(callEcho, 1))
		d.expect(`"id":1`, "ABC-123")
		s.mu.Lock()
		s.err = errNobody
		s.mu.Unlock()
		why = errors.Join(errors.New("AADSTS50173: revoked"), ErrSignInNeeded)
		d.send(fmt.Sprintf(callEcho, 2))
		all := d.expect() + d.expect() + d.expect() + d.expect()
		if !strings.Contains(all, `"id":2,"error"`) || !strings.Contains(all, "ABC-123") {
			t.Errorf("got %s", all)
		}
		d.send(fmt.Sprintf(callSignIn, 3))
		d.expect(`"id":3`, "ABC-123")
		why = nil
		s.signedIn()
		person <- nil
		d.expectLists()
		if _, starts := s.counts(); starts != 1 {
			t.Errorf("%d sign-ins", starts)
		}
	})
}

// A client whose initialize has shown that a sign-in is needed is told of no
// change: it has not asked for anything yet.
func TestNothingChangesForANewClient(t *testing.T) {
	for range 300 { // it takes bad luck
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, &signer{token: "t"})
			d.remote.failBy(func(wire.Frame) error { return &signInError{errNobody} })
			d.signer.mu.Lock()
			d.signer.slow = time.Millisecond
			d.signer.mu.Unlock()
			d.send(initPlain)
			d.send(inited)
			d.expect(`"id":0`, `"result"`)
			d.silent(time.Millisecond)
		})
	}
}
