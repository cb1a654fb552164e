package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/memnet"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// The fault matrix: what happens to servers, networks and clients, each before a
// referee (see world) who wants one answer to each request, the server's own
// bytes where it answered, and progress in order.

func TestFaultNone(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.open()
		w.succeeds(w.call("a", "echo", `"x":1`))
		w.succeeds(w.call("b", "notes", `"n":5`))
		w.succeeds(w.call("c", "ask", ``))
		w.succeeds(w.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
		if w.asked != 1 {
			t.Errorf("the server asked %d times", w.asked)
		}
	})
}

// A server that dies in the middle of a request is answered for at once; later
// calls work as soon as it is back.
func TestFaultKilledMidRequest(t *testing.T) {
	for _, back := range []bool{true, false} {
		t.Run(fmt.Sprintf("back=%v", back), func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				w.server.before = func(rw http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
					if wire.LookupString(f.Raw, "params", "name") == "write" {
						rw.Header().Set("Content-Type", "text/event-stream")
						_ = http.NewResponseController(rw).Flush()
						<-w.server.ctx.Done()
						return true
					}
					return false
				}
				w.open()
				c := w.call("w", "write", `"k":1`)
				synctest.Wait()
				start := time.Now()
				w.down()
				if back {
					w.up()
				}
				w.fails(c, CodeOutcome, "may or may not have been done")
				if took := time.Since(start); took > time.Second {
					t.Errorf("answered after %v", took)
				}
				if !back {
					w.fails(w.call("r", "echo", ``), CodeUnreachable, "could not be reached")
					w.up()
				}
				w.succeeds(w.call("r2", "echo", ``))
				w.server.stop()
			})
		})
	}
}

// A restarted server does not know the session. That is set right without the
// client's noticing, and nothing is done twice.
func TestFaultRestart(t *testing.T) {
	text := func(status int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { http.Error(w, body, status) }
	}
	for name, lost := range map[string]func(http.ResponseWriter){
		"404":               nil,
		"400 of the SDK":    text(400, `{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}`),
		"400 of others":     text(400, `{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}`),
		"400 in plain text": text(400, "Invalid session ID"),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				w.server.lost = lost
				w.open()
				for i := range 3 {
					w.succeeds(w.call(fmt.Sprint("before", i), "write", fmt.Sprintf(`"k":%d`, i)))
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
				}
				for params, n := range w.server.done {
					if n != 1 {
						t.Errorf("%s was done %d times", params, n)
					}
				}
				if w.seen("notifications/tools/list_changed") < 3 {
					t.Error("the client was not told that the lists may have changed")
				}
			})
		})
	}
}

// An address where nothing listens is told while somebody is still looking; the
// bridge lives on and works as soon as the server is there.
func TestFaultDownAtStart(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.down()
		start := time.Now()
		w.fails(w.send(initialize), CodeUnreachable, modelURL, "refused")
		if took := time.Since(start); took < 4*time.Second || took > 8*time.Second {
			t.Errorf("answered after %v", took)
		}
		w.up()
		w.succeeds(w.send(strings.Replace(initialize, `"id":0`, `"id":1`, 1)))
	})
}

// A server that is being restarted when the client starts is caught.
func TestFaultUpSoonAfterStart(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.down()
		c := w.send(initialize)
		time.Sleep(4 * time.Second)
		w.up()
		w.succeeds(c)
	})
}

// Names that can't be looked up for a while are looked up again.
func TestFaultDNS(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.open()
		w.net.FailDials(memnet.NoSuchHost)
		w.net.Cut()
		synctest.Wait()
		c := w.call("a", "write", ``)
		time.Sleep(10 * time.Second)
		w.net.FailDials(nil)
		w.succeeds(c)
		synctest.Wait()
		w.net.FailDials(memnet.NoSuchHost)
		w.net.Cut()
		synctest.Wait()
		w.fails(w.call("b", "write", ``), CodeUnreachable, "no such host", "nothing was sent")
		w.net.FailDials(nil)
		w.succeeds(w.call("c", "write", ``))
	})
}

// A token that is rejected in the middle of a session is replaced once, for all
// calls together.
func TestFault401MidSession(t *testing.T) {
	src := &tokens{current: "t1", refreshTo: "t2"}
	inWorld(t, Options{Tokens: src}, func(w *world) {
		accept := "t1"
		w.server.before = func(rw http.ResponseWriter, r *http.Request, _ wire.Frame) bool {
			if r.Header.Get("Authorization") == "Bearer "+accept {
				return false
			}
			rw.Header().Set("WWW-Authenticate", "Bearer")
			rw.WriteHeader(http.StatusUnauthorized)
			return true
		}
		w.open()
		synctest.Wait()
		accept = "t2"
		w.net.Cut()
		var all []*sentCall
		for i := range 20 {
			all = append(all, w.call(fmt.Sprint(i), "notes", `"n":3`))
		}
		for _, c := range all {
			w.succeeds(c)
		}
		if src.refreshes != 1 {
			t.Errorf("%d refreshes", src.refreshes)
		}
	})
}

// A server that asks to come back later is obeyed within patience, and quoted
// beyond.
func TestFaultBusy(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		after  func() string
		fine   bool
	}{
		"503":               {503, func() string { return "2" }, true},
		"429":               {429, func() string { return "3" }, true},
		"429 with a date":   {429, func() string { return time.Now().Add(4 * time.Second).UTC().Format(http.TimeFormat) }, true},
		"429 without":       {429, func() string { return "" }, true},
		"503 for two hours": {503, func() string { return "7200" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				left := 2
				w.server.before = func(rw http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
					if f.Method != "tools/call" || left == 0 {
						return false
					}
					left--
					if after := tc.after(); after != "" {
						rw.Header().Set("Retry-After", after)
					}
					http.Error(rw, "busy", tc.status)
					return true
				}
				w.open()
				c := w.call("a", "write", ``)
				if tc.fine {
					w.succeeds(c)
				} else {
					w.fails(c, CodeRemoteFailed, fmt.Sprint("HTTP ", tc.status), "7200")
				}
			})
		})
	}
}

// Messages larger than any buffer pass whole, in both directions.
func TestFaultLargeMessages(t *testing.T) {
	t.Parallel()
	for _, size := range []int{9 << 20, 12 << 20} { // peers break above 10 MiB
		inWorld(t, Options{}, func(w *world) {
			w.open()
			large := w.call("a", "echo", `"text":"`+strings.Repeat("x", size)+`"`)
			w.succeeds(w.call("b", "echo", ``))
			w.succeeds(large)
		})
	}
	inWorld(t, Options{MaxMessage: 1 << 20}, func(w *world) {
		w.open()
		w.fails(w.call("a", "echo", `"text":"`+strings.Repeat("x", 2<<20)+`"`), wire.CodeInvalidRequest, "1048576")
		w.succeeds(w.call("b", "echo", ``))
	})
}

// Lines that are no messages are refused or dropped, and what comes after works.
func TestFaultInvalidInput(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.open()
		for _, raw := range []string{`{"jsonrpc":`, `42`, `{"foo":1}`, `"text"`, `null`, ``, `[]`, "\xff\xfe", `{"jsonrpc":"2.0","id":{},"method":"x"}`} {
			w.write(raw)
		}
		w.succeeds(w.call("b", "echo", ``))
		if n := w.server.count(""); n != 0 {
			t.Errorf("%d of them reached the server", n)
		}
	})
}

// The end of input ends the session at once where nothing is in flight, lets
// calls come to their end, and answers for those that don't.
func TestFaultEndOfInput(t *testing.T) {
	for _, tc := range []struct {
		name string
		send func(w *world) *sentCall
		code int // 0: a result
		took time.Duration
	}{
		{"idle", func(*world) *sentCall { return nil }, 0, time.Second},
		{"a call that ends", func(w *world) *sentCall { return w.call("a", "slow", `"ms":5000`) }, 0, 6 * time.Second},
		{"a call that does not", func(w *world) *sentCall { return w.call("a", "quiet", ``) }, CodeStopping, 12 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				w.open()
				c := tc.send(w)
				synctest.Wait()
				start := time.Now()
				if err := w.eof(); err != nil {
					t.Errorf("Run: %v", err)
				}
				if took := time.Since(start); took > tc.took {
					t.Errorf("ended after %v", took)
				}
				switch {
				case tc.code != 0:
					w.fails(c, tc.code)
				case c != nil:
					w.succeeds(c)
				}
				if w.server.deleted != 1 {
					t.Errorf("%d sessions deleted", w.server.deleted)
				}
			})
		})
	}
}

// A signal answers for what is in flight and ends the session.
func TestFaultSignal(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.open()
		c := w.call("a", "quiet", ``)
		synctest.Wait()
		w.cancel()
		w.fails(c, CodeStopping, "stopping")
		if err := w.ended(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		if w.server.deleted != 1 {
			t.Errorf("%d sessions deleted", w.server.deleted)
		}
	})
}

// A tool may be silent for as long as it likes: nothing cuts it, whether the
// server has sent the answer's header or not.
func TestFaultSilentTool(t *testing.T) {
	for _, header := range []bool{true, false} {
		t.Run(fmt.Sprintf("header=%v", header), func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				if !header {
					w.server.before = func(rw http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
						if f.Method != "tools/call" {
							return false
						}
						time.Sleep(time.Duration(number(f, "ms")) * time.Millisecond)
						rw.Header().Set("Content-Type", "application/json")
						_, _ = io.WriteString(rw, modelAnswer(f))
						return true
					}
				}
				w.open()
				c, day := w.call("a", "slow", `"ms":310000`), w.call("b", "slow", `"ms":43200000`)
				w.succeeds(c)
				w.succeeds(w.call("c", "echo", ``))
				w.succeeds(day)
			})
		})
	}
}

// Calls don't wait for one another.
func TestFaultEchoDuringSlowCall(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.open()
		slow := w.call("slow", "slow", `"ms":3000`)
		start := time.Now()
		w.succeeds(w.call("a", "echo", ``))
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("the quick call took %v", took)
		}
		w.succeeds(slow)
	})
}

// A stream that breaks after an event id is taken up where it broke.
func TestFaultStreamDropped(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.open()
		c := w.call("a", "notes", `"n":50,"ms":100`)
		for range 4 {
			time.Sleep(time.Second)
			w.net.Cut()
		}
		w.succeeds(c)
		ask := w.call("b", "ask", ``)
		w.net.Cut()
		w.succeeds(ask)
	})
}

// The server's own messages arrive again after its stream broke.
func TestFaultGeneralStreamDropped(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.open()
		for i := range 5 {
			w.server.session().general.send(`{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}`)
			synctest.Wait()
			if n := w.seen("notifications/resources/list_changed"); n != i+1 {
				t.Fatalf("%d of %d messages arrived", n, i+1)
			}
			w.net.Cut()
			time.Sleep(30 * time.Second)
		}
	})
}

// What is cut in the middle of a chunk or short of its announced length is no
// answer; a read is asked for again, a write is not.
func TestFaultTruncated(t *testing.T) {
	for _, length := range []bool{true, false} {
		t.Run(fmt.Sprintf("length=%v", length), func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				left := 2
				w.server.before = func(rw http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
					if f.Method != "tools/call" || left == 0 {
						return false
					}
					left--
					answer := modelAnswer(f)
					rw.Header().Set("Content-Type", "application/json")
					if length {
						rw.Header().Set("Content-Length", fmt.Sprint(len(answer)))
					}
					_, _ = io.WriteString(rw, answer[:len(answer)/2])
					_ = http.NewResponseController(rw).Flush()
					panic(http.ErrAbortHandler)
				}
				w.open()
				w.succeeds(w.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
				w.fails(w.call("a", "write", ``), CodeOutcome, "may or may not")
				w.succeeds(w.call("b", "echo", ``)) // said to be read-only
				if left != 0 {
					t.Errorf("%d were not cut", left)
				}
			})
		})
	}
}

// A server that drips its header or its body is waited for, and left when the
// client leaves.
func TestFaultSlowServer(t *testing.T) {
	for _, where := range []string{"header", "document", "stream", "error"} {
		t.Run(where, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				w.open()
				// A server below net/http, which sends a byte each second.
				w.down()
				ln, err := w.net.Listen(modelHost)
				if err != nil {
					t.Fatal(err)
				}
				answer := modelAnswer(wire.MustParse(toolCall("a", "write", ``)))
				response := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + fmt.Sprint(len(answer)) + "\r\n\r\n" + answer
				switch where {
				case "stream":
					response = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: " + answer + "\n\n"
				case "error":
					response = "HTTP/1.1 500 Oh\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 1000)
				}
				serving := make(chan struct{})
				go func() {
					defer close(serving)
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
					_, _ = conn.Read(make([]byte, 64<<10))
					if where != "header" {
						head := strings.Index(response, "\r\n\r\n") + 4
						_, _ = io.WriteString(conn, response[:head])
						response = response[head:]
					}
					for i := range len(response) {
						time.Sleep(time.Second)
						if _, err := conn.Write([]byte{response[i]}); err != nil {
							return
						}
					}
				}()
				c := w.call("a", "write", ``)
				if where == "error" {
					w.fails(c, CodeRemoteFailed, "500") // its text is not worth the wait
				} else {
					w.succeeds(c)
				}
				_ = ln.Close()
				<-serving
			})
		})
	}
}

// A server that takes connections and never speaks TLS was not sent anything.
func TestFaultTLSHandshakeStalls(t *testing.T) {
	inWorld(t, Options{URL: "https://" + modelHost + "/mcp"}, func(w *world) {
		w.net.Freeze()
		start := time.Now()
		w.fails(w.send(initialize), CodeUnreachable, "TLS handshake", "nothing was sent")
		if took := time.Since(start); took > 31*time.Second {
			t.Errorf("answered after %v", took)
		}
	})
}

// A network that has died without a word holds up what is on it until the
// system notices, and nothing else for longer; a client that leaves is not kept.
func TestFaultHalfOpen(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.open()
		w.succeeds(w.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
		w.net.Freeze()
		write, read := w.call("a", "write", ``), w.call("b", "echo", ``)
		time.Sleep(time.Minute)
		w.net.Cut() // what TCP_USER_TIMEOUT and keep-alive do (see wire.NewTransport)
		w.net.Thaw()
		w.fails(write, CodeOutcome)
		w.succeeds(read)
		w.succeeds(w.call("c", "write", ``))
		w.net.Freeze()
		last := w.call("d", "write", ``)
		synctest.Wait()
		start := time.Now()
		if err := w.eof(); err != nil {
			t.Errorf("Run: %v", err)
		}
		w.fails(last, CodeStopping)
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// After a sleep the connections from before it are dead, and nothing says so:
// the next call has one of its own, and the server's stream is opened anew.
func TestFaultSleep(t *testing.T) {
	woke := make(chan func(), 1)
	inWorld(t, Options{awake: func(f func()) { woke <- f }}, func(w *world) {
		wake := <-woke
		w.open()
		w.succeeds(w.call("a", "echo", ``))
		before := w.net.Dials()
		w.net.Strand()
		wake()
		synctest.Wait()
		start := time.Now()
		w.succeeds(w.call("b", "write", ``))
		if took := time.Since(start); took > time.Second {
			t.Errorf("the first call after the sleep took %v", took)
		}
		time.Sleep(10 * time.Second)
		w.server.session().general.send(`{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}`)
		synctest.Wait()
		if w.seen("notifications/resources/list_changed") != 1 {
			t.Errorf("the server's stream is dead; %d connections before, %d after", before, w.net.Dials())
		}
	})
}

// A client that does not read stops the server, not the memory; later it gets
// everything in order.
func TestFaultClientStopsReading(t *testing.T) {
	const many = 10_000
	inWorld(t, Options{}, func(w *world) {
		w.open()
		resume := w.pause()
		var flushed atomic.Int64
		w.server.before = func(rw http.ResponseWriter, _ *http.Request, f wire.Frame) bool {
			if wire.LookupString(f.Raw, "params", "name") != "notes" {
				return false
			}
			rw.Header().Set("Content-Type", "text/event-stream")
			for i := range number(f, "n") {
				_, _ = fmt.Fprintf(rw, "data: %s\n\n", modelNote(f, i))
				_ = http.NewResponseController(rw).Flush()
				flushed.Store(int64(i))
			}
			_, _ = fmt.Fprintf(rw, "data: %s\n\n", modelAnswer(f))
			return true
		}
		c := w.call("a", "notes", fmt.Sprintf(`"n":%d`, many))
		time.Sleep(time.Hour)
		if n := flushed.Load(); n > many/2 {
			t.Errorf("the server could send %d messages that nobody reads", n)
		}
		resume()
		w.succeeds(c)
		w.succeeds(w.call("b", "echo", ``))
	})
}

// A client that does not read any more does not keep the bridge from ending.
func TestFaultClientNeverReads(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.open()
		resume := w.pause()
		w.torn = true
		c := w.call("a", "notes", `"n":10000`)
		time.Sleep(time.Minute)
		start := time.Now()
		w.write(endOfInput)
		err := <-w.bridge
		w.bridge <- err
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("ended after %v with %v", took, err)
		}
		resume()
		w.mu.Lock()
		c.cancelled = true // whoever does not read gets no answer
		w.mu.Unlock()
	})
}

// Cookies of a load balancer come back with every request of a session, also of
// one that was established again.
func TestFaultLoadBalancer(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		node := "one"
		w.server.before = func(rw http.ResponseWriter, r *http.Request, f wire.Frame) bool {
			if f.Method == "initialize" {
				http.SetCookie(rw, &http.Cookie{Name: "AWSALB", Value: node, Path: "/"})
				return false
			}
			if c, err := r.Cookie("AWSALB"); err != nil || c.Value != node {
				rw.WriteHeader(http.StatusNotFound) // another node, which has no such session
				return true
			}
			return false
		}
		w.open()
		w.succeeds(w.call("a", "write", ``))
		node = "two"
		w.server.restart()
		w.succeeds(w.call("b", "write", ``))
	})
}

// A cancelled call gets no answer, its server is told, and later calls work.
func TestFaultCancelled(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.open()
		c := w.call("a", "slow", `"ms":60000`)
		synctest.Wait()
		w.mu.Lock()
		c.cancelled = true
		w.mu.Unlock()
		w.write(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}`)
		w.succeeds(w.call("b", "echo", ``))
		time.Sleep(2 * time.Minute)
		if n := w.server.count("notifications/cancelled"); n != 1 {
			t.Errorf("the server was told %d times", n)
		}
	})
}

// A call whose stream broke because its server was restarted may have been done:
// that the new server does not know the session says nothing about it. It is
// answered for, not done again; what is declared repeatable is.
func TestFaultRestartMidCall(t *testing.T) {
	for name, lost := range map[string]func(http.ResponseWriter){
		"404": nil,
		"400": func(w http.ResponseWriter) {
			http.Error(w, `{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}`, http.StatusBadRequest)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				w.server.lost = lost
				w.open()
				w.succeeds(w.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
				slow, notes := w.call("a", "slow", `"ms":60000`), w.call("b", "notes", `"n":10,"ms":1000`)
				time.Sleep(3 * time.Second)
				w.down()
				w.up()
				w.fails(slow, CodeOutcome, "may or may not")
				w.succeeds(notes)
				for params, n := range w.server.done {
					if strings.Contains(params, `"slow"`) && n != 1 {
						t.Errorf("%s was done %d times", params, n)
					}
				}
			})
		})
	}
}

// A call whose stream broke and can't be taken up, because the server stays away
// for long, may have been done: it is answered for, whatever it was that could not
// be reached in the end.
func TestFaultOutageMidCall(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.open()
		w.succeeds(w.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
		slow, notes := w.call("a", "slow", `"ms":60000`), w.call("b", "notes", `"n":10,"ms":1000`)
		time.Sleep(3 * time.Second)
		w.down()
		w.fails(slow, CodeOutcome, "may or may not")
		w.up()
		w.succeeds(notes)
		time.Sleep(time.Hour)
		for params, n := range w.server.done {
			if strings.Contains(params, `"slow"`) && n != 1 {
				t.Errorf("%s was done %d times", params, n)
			}
		}
	})
}

// A keyring that is locked, or a disk that is full, while the bridge runs is
// told as what it is; when that has passed the next call works, and nobody had
// to sign in for it.
func TestFaultTokenStoreFails(t *testing.T) {
	src := &tokens{current: "t"}
	inWorld(t, Options{Tokens: src}, func(w *world) {
		w.open()
		time.Sleep(2 * time.Hour) // the token in hand has expired
		src.mu.Lock()
		src.err = errors.New("the keyring is locked: unlock it and try again")
		src.mu.Unlock()
		for i := range 3 {
			c := w.call(fmt.Sprint("locked", i), "write", ``)
			if answer := w.wait(c); !strings.Contains(answer, "the keyring is locked") {
				t.Errorf("answered with %s", answer)
			}
		}
		src.mu.Lock()
		src.err = nil
		src.mu.Unlock()
		w.succeeds(w.call("unlocked", "write", ``))
		for params, n := range w.server.done {
			if n != 1 {
				t.Errorf("%s was done %d times", params, n)
			}
		}
	})
}
