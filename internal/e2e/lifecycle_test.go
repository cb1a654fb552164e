package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// codeUnreachable and codeStopping are codes of the bridge's own errors.
const codeUnreachable, codeStopping = -31002, -31005

// signedIn returns a stack before the scripted server and a desk signed in at
// the transport's address.
func signedIn(t *testing.T, transport int) (*stack, desk, string) {
	t.Helper()
	s, d := newStack(t, scripted(t)), newDesk(t)
	url := transports[transport].address(s.url, s.sse)
	d.login(t, url, s.caFile, ada)
	return s, d, url
}

// eachTransport runs test for both.
func eachTransport(t *testing.T, test func(t *testing.T, s *stack, d desk, url string)) {
	t.Helper()
	for i, transport := range transports {
		t.Run(transport.flag, func(t *testing.T) {
			t.Parallel()
			s, d, url := signedIn(t, i)
			test(t, s, d, url)
		})
	}
}

var repeating = regexp.MustCompile(`msg="repeating a message"`)

// A client that starts before the network is there waits for its first answer.
func TestServerComesUpLater(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, s *stack, d desk, url string) {
		s.down()
		ctx := testContext(t)
		p, process := d.bridge(t, url)
		p.send(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":` + initialize + `}`)
		if _, err := process.stderr.await(ctx, repeating); err != nil {
			t.Fatal("the bridge does not try again")
		}
		s.up()
		if m := p.response(ctx); m.Error != nil {
			t.Errorf("initialize: %s", m.raw)
		}
	})
}

func TestServerStaysDown(t *testing.T) {
	t.Parallel()
	s, d, url := signedIn(t, 0)
	s.down()
	p, _ := d.bridge(t, url)
	m := p.call(testContext(t), "initialize", initialize)
	p.refused(m, url, "could not be reached", "nothing was sent")
	if m.Error.Code != codeUnreachable {
		t.Errorf("the error has the code %d instead of %d", m.Error.Code, codeUnreachable)
	}
}

func TestServerRestarts(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, s *stack, d desk, url string) {
		ctx := testContext(t)
		p, _ := d.bridge(t, url)
		p.open(ctx)
		p.works(ctx)
		s.down()
		s.up()
		p.works(ctx)
	})
}

// held is a call of the tool hold that the upstream works on.
type held struct {
	conn net.Conn
	r    *bufio.Reader
}

// hold calls the tool and returns once it runs.
func (p *peer) hold(ctx context.Context) held {
	p.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	defer ln.Close()
	p.last++
	p.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"hold","arguments":{"address":%q}}}`, p.last, ln.Addr()))
	deadline, _ := ctx.Deadline()
	_ = ln.(*net.TCPListener).SetDeadline(deadline)
	conn, err := ln.Accept()
	if err != nil {
		p.t.Fatalf("the call does not reach the upstream: %v", err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(deadline)
	h := held{conn, bufio.NewReader(conn)}
	if line := h.line(); line != "holding" {
		p.t.Fatalf("the upstream says %q instead of holding", line)
	}
	return h
}

// line is what the upstream says next, "" when it has ended.
func (h held) line() string {
	line, _ := h.r.ReadString('\n')
	return strings.TrimSpace(line)
}

func (h held) release() { fmt.Fprintln(h.conn, "go") }

// ended makes sure that the bridge ended in order: with the exit code 0, no
// further output, and the session closed on the server.
func (s *stack) ended(ctx context.Context, p *peer, process *process, url string) {
	s.t.Helper()
	if m, ok := p.next(ctx); ok {
		s.t.Errorf("after the end came %s", m.raw)
	}
	if code := process.wait(); code != 0 {
		s.t.Errorf("the bridge ended with %d", code)
	}
	if url == s.url && s.count("DELETE /mcp 2") != 1 {
		s.t.Errorf("the session was not deleted: %q", s.seen)
	}
}

// Closing the bridge's input ends it, but not before the answer is out.
func TestEndOfInputWithCallInFlight(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, s *stack, d desk, url string) {
		ctx := testContext(t)
		p, process := d.bridge(t, url)
		p.open(ctx)
		call := p.hold(ctx)
		if err := p.w.Close(); err != nil {
			t.Fatal(err)
		}
		call.release()
		if m := p.response(ctx); m.Error != nil || !strings.Contains(string(m.Result), "done") {
			t.Errorf("the answer is %s", m.raw)
		}
		s.ended(ctx, p, process, url)
	})
}

// A signal ends the bridge in order: what is in flight is answered for, the
// session is closed, and the upstream's process with it.
func TestSignalWithCallInFlight(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signal that asks a process to end")
	}
	eachTransport(t, func(t *testing.T, s *stack, d desk, url string) {
		ctx := testContext(t)
		p, process := d.bridge(t, url)
		p.open(ctx)
		call := p.hold(ctx)
		if err := process.terminate(); err != nil {
			t.Fatal(err)
		}
		if m := p.response(ctx); m.Error == nil || m.Error.Code != codeStopping {
			t.Errorf("the call in flight is answered with %s", m.raw)
		}
		s.ended(ctx, p, process, url)
		for line := call.line(); line != ""; line = call.line() {
			if line != "cancelled" {
				t.Errorf("the upstream says %q", line)
			}
		}
	})
}

// A client that closes its end while nothing is in flight is not kept waiting.
func TestEndOfInputWhenIdle(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, s *stack, d desk, url string) {
		ctx, cancel := context.WithTimeout(testContext(t), 30*time.Second)
		defer cancel()
		p, process := d.bridge(t, url)
		p.open(ctx)
		p.works(ctx)
		if err := p.w.Close(); err != nil {
			t.Fatal(err)
		}
		s.ended(ctx, p, process, url)
	})
}
