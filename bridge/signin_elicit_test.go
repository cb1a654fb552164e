package bridge

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// A client that opens pages is asked when a request needs the remote; the
// request waits and is answered by the remote.
func TestElicitation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		person := make(chan error)
		s := &signer{err: errNobody, act: takes(person)}
		d := newDesk(t, s)
		d.greet(initElicit)
		d.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		d.expect("sign_in")
		d.silent(time.Minute) // listing is no reason to ask anybody
		d.send(fmt.Sprintf(callEcho, 2))
		d.send(`{"jsonrpc":"2.0","id":3,"method":"resources/read","params":{"uri":"x:"}}`)
		asked := wire.MustParse(d.expect(`"method":"elicitation/create"`, `"mode":"url"`, `"url":"https://login.example/device"`, "ABC-123", `"elicitationId"`))
		d.send(`{"jsonrpc":"2.0","id":` + string(asked.ID) + `,"result":{"action":"accept"}}`)
		d.expect("notifications/progress", "Waiting for the sign-in") // id 2 asked for it, and waits
		s.signedIn()
		person <- nil
		d.expectLists()
		rest := []string{d.read(time.Second), d.read(time.Second), d.read(time.Second)}
		all := strings.Join(rest, "\n")
		for _, want := range []string{`"id":2,"result":{"from":"remote"`, `"id":3,"result":{"from":"remote"`, "notifications/elicitation/complete"} {
			if !strings.Contains(all, want) {
				t.Errorf("%s is missing in\n%s", want, all)
			}
		}
		if _, starts := s.counts(); starts != 1 {
			t.Errorf("%d sign-ins", starts)
		}
		if strings.Contains(d.remote.seen(), "response") {
			t.Error("the answer to our request reached the remote")
		}
	})
}

// Whoever declines is left in peace, and whoever calls the tool is asked anew.
func TestElicitationDeclined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{err: errNobody, act: takes(nil)}
		d := newDesk(t, s)
		d.greet(initElicit)
		d.send(fmt.Sprintf(callEcho, 1))
		asked := wire.MustParse(d.expect("elicitation/create"))
		d.send(`{"jsonrpc":"2.0","id":` + string(asked.ID) + `,"result":{"action":"decline"}}`)
		d.expect(`"id":1`, `"code":-31001`, "declined")
		d.send(fmt.Sprintf(callEcho, 2))
		d.expect(`"id":2`, "sign_in")
		d.send(fmt.Sprintf(callSignIn, 3))
		d.expect(`"id":3`, "ABC-123")
		if d.remote.seen() != "" {
			t.Errorf("the remote got %q", d.remote.seen())
		}
	})
}

// A client that can't open pages after all is told in words.
func TestElicitationRefusedByClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{err: errNobody, act: takes(nil)}
		d := newDesk(t, s)
		d.greet(initElicit)
		d.send(strings.Replace(fmt.Sprintf(callEcho, 1), `,"_meta":{"progressToken":"p"}`, "", 1))
		asked := wire.MustParse(d.expect("elicitation/create"))
		d.send(`{"jsonrpc":"2.0","id":` + string(asked.ID) + `,"error":{"code":-32601,"message":"no"}}`)
		d.expect(`"id":1`, `"code":-31001`, "ABC-123")
	})
}

// A code that has been replaced is asked for anew.
func TestElicitationFollowsTheCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := make(chan struct{})
		s := &signer{err: errNobody, act: func(ctx context.Context, _ <-chan struct{}, show func(Prompt)) error {
			show(Prompt{URL: "https://login.example/device", Code: "OLD", ExpiresOn: time.Now().Add(time.Minute)})
			<-next
			show(Prompt{URL: "https://login.example/device", Code: "NEW", ExpiresOn: time.Now().Add(time.Minute), Note: "The other program ended."})
			<-ctx.Done()
			return ctx.Err()
		}}
		d := newDesk(t, s)
		d.greet(initElicit)
		d.send(strings.Replace(fmt.Sprintf(callEcho, 1), `,"_meta":{"progressToken":"p"}`, "", 1))
		old := wire.MustParse(d.expect("elicitation/create", "OLD"))
		close(next)
		d.expect("notifications/cancelled", `"requestId":`+string(old.ID))
		d.expect("elicitation/create", "NEW", "The other program ended.")
	})
}

// A request that the client cancels while it waits is not sent later.
func TestParkedRequestIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		person := make(chan error)
		s := &signer{err: errNobody, act: takes(person)}
		d := newDesk(t, s)
		d.greet(initElicit)
		d.send(fmt.Sprintf(callEcho, 1))
		d.expect("elicitation/create")
		d.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		synctest.Wait()
		s.signedIn()
		person <- nil
		time.Sleep(time.Minute)
		if got := d.remote.seen(); strings.Contains(got, "tools/call") {
			t.Errorf("the remote got %q", got)
		}
	})
}
