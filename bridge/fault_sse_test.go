package bridge

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The fault matrix over HTTP+SSE, where the one stream of a session carries
// everything and takes the session with it.

// inSSEWorld is inWorld over HTTP+SSE, which the bridge has to find out.
func inSSEWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	inWorld(t, Options{URL: sseURL}, func(w *world) {
		w.open()
		w.succeeds(w.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
		test(w)
		for params, n := range w.server.done {
			if n > 1 && !strings.Contains(params, `"echo"`) && !strings.Contains(params, `"notes"`) {
				t.Errorf("%s was done %d times", params, n)
			}
		}
	})
}

func TestFaultSSENone(t *testing.T) {
	inSSEWorld(t, func(w *world) {
		w.succeeds(w.call("a", "echo", `"x":1`))
		w.succeeds(w.call("b", "notes", `"n":5`))
		w.succeeds(w.call("c", "ask", ``))
		w.succeeds(w.call("d", "slow", `"ms":310000`))
		if w.asked != 1 {
			t.Errorf("the server asked %d times", w.asked)
		}
	})
}

// A server that dies in the middle of a call is answered for at once; a read
// that was under way is asked for again.
func TestFaultSSEKilledMidRequest(t *testing.T) {
	inSSEWorld(t, func(w *world) {
		write, notes := w.call("w", "slow", `"ms":60000`), w.call("n", "notes", `"n":10,"ms":1000`)
		time.Sleep(4500 * time.Millisecond)
		start := time.Now()
		w.down()
		w.fails(write, CodeOutcome, "may or may not have been done")
		if took := time.Since(start); took > time.Second {
			t.Errorf("answered after %v", took)
		}
		w.up()
		w.succeeds(notes) // and the referee looks at the order of its progress
		w.succeeds(w.call("r", "write", ``))
	})
}

// A restart between calls is not noticed: the stream's end is enough to tell.
func TestFaultSSERestart(t *testing.T) {
	inSSEWorld(t, func(w *world) {
		for i := range 3 {
			w.down()
			time.Sleep(2 * time.Second)
			w.up()
			var many []*sentCall
			for j := range 20 {
				many = append(many, w.call(fmt.Sprint("after", i, "-", j), "write", fmt.Sprintf(`"k":"%d-%d"`, i, j)))
			}
			for _, c := range many {
				w.succeeds(c)
			}
			if n := w.seen("notifications/tools/list_changed"); n != i+1 {
				t.Errorf("the client was told %d times that the lists may have changed", n)
			}
		}
	})
}

// A server that has forgotten the session while its stream still stands says so
// to the message.
func TestFaultSSESessionForgotten(t *testing.T) {
	for name, lost := range map[string]func(http.ResponseWriter){
		"404": nil,
		"400": func(w http.ResponseWriter) { http.Error(w, "Invalid session ID", http.StatusBadRequest) },
	} {
		t.Run(name, func(t *testing.T) {
			inSSEWorld(t, func(w *world) {
				w.server.lost = lost
				w.server.mu.Lock()
				w.server.sessions = map[string]*modelSession{}
				w.server.mu.Unlock()
				w.succeeds(w.call("a", "write", ``))
			})
		})
	}
}

// The server's own messages arrive again after its stream broke.
func TestFaultSSEStreamDropped(t *testing.T) {
	inSSEWorld(t, func(w *world) {
		for i := range 5 {
			w.server.session().general.send(`{"jsonrpc":"2.0","method":"notifications/resources/updated"}`)
			synctest.Wait()
			if n := w.seen("notifications/resources/updated"); n != i+1 {
				t.Fatalf("%d of %d messages arrived", n, i+1)
			}
			w.net.Cut()
			time.Sleep(30 * time.Second)
		}
	})
}

// The end of input and a signal end the stream, which is the session.
func TestFaultSSEEnd(t *testing.T) {
	for _, signal := range []bool{false, true} {
		inSSEWorld(t, func(w *world) {
			c := w.call("a", "quiet", ``)
			synctest.Wait()
			start := time.Now()
			if signal {
				w.cancel()
			} else {
				w.write(endOfInput)
			}
			w.fails(c, CodeStopping)
			_ = w.ended()
			if took := time.Since(start); took > 12*time.Second {
				t.Errorf("ended after %v", took)
			}
			synctest.Wait()
			if w.server.deleted != 1 {
				t.Errorf("%d sessions ended", w.server.deleted)
			}
		})
	}
}

// A clock that jumps, as after a sleep or when it is set, looks like a wake-up:
// connections are made anew, and what is under way on the old ones goes on.
func TestFaultClockJump(t *testing.T) {
	for _, url := range []string{modelURL, sseURL} {
		t.Run(strings.TrimPrefix(url, "http://"+modelHost), func(t *testing.T) {
			woke := make(chan func(), 1)
			src := &tokens{current: "t1", refreshTo: "t2"}
			inWorld(t, Options{URL: url, Tokens: src, awake: func(f func()) { woke <- f }}, func(w *world) {
				jump := <-woke
				w.open()
				slow, notes := w.call("a", "slow", `"ms":20000`), w.call("b", "notes", `"n":20,"ms":1000`)
				for i := range 10 {
					time.Sleep(time.Second)
					jump()
					w.succeeds(w.call(fmt.Sprint("c", i), "write", fmt.Sprint(`"n":`, i)))
				}
				w.succeeds(slow)
				w.succeeds(notes)
				time.Sleep(time.Minute)
				w.server.session().general.send(`{"jsonrpc":"2.0","method":"notifications/resources/updated"}`)
				synctest.Wait()
				if n := w.seen("notifications/resources/updated"); n != 1 {
					t.Errorf("%d messages of the server's own arrived", n)
				}
				for params, n := range w.server.done {
					if n != 1 {
						t.Errorf("%s was done %d times", params, n)
					}
				}
			})
		})
	}
}
