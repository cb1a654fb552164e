package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// signer is a SignIner whose person is the test.
type signer struct {
	mu     sync.Mutex
	token  Token
	err    error // of Token
	slow   time.Duration
	stamp  int
	asked  int // calls of Token
	starts int // calls of SignIn
	unable error
	act    func(ctx context.Context, consent <-chan struct{}, show func(Prompt)) error
}

func (s *signer) Token(ctx context.Context) (Token, time.Time, error) {
	s.mu.Lock()
	s.asked++
	token, err, slow := s.token, s.err, s.slow
	s.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return "", time.Time{}, ctx.Err()
	}
	if err != nil {
		return "", time.Time{}, err
	}
	return token, time.Now().Add(time.Hour), nil
}

func (s *signer) Refresh(context.Context, Token, []string) (Token, time.Time, error) {
	return "", time.Time{}, errNobody
}
func (s *signer) Refused(int, []string) error { return errors.New("refused") }
func (s *signer) Unable() error               { return s.unable }

func (s *signer) Stamp() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.stamp)
}

func (s *signer) SignIn(ctx context.Context, consent <-chan struct{}, show func(Prompt)) error {
	s.mu.Lock()
	s.starts++
	s.mu.Unlock()
	return s.act(ctx, consent, show)
}

// signedIn makes the next Token succeed.
func (s *signer) signedIn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.err, s.slow = "t", nil, 0
	s.stamp++
}

func (s *signer) counts() (asked, starts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.starts
}

var errNobody = fmt.Errorf("nobody is signed in (%w). Run: mcpctl login https://x.example/mcp", ErrSignInNeeded)

// farEnd is a remote that notes what it is sent.
type farEnd struct {
	deliver wire.Deliver
	mu      sync.Mutex
	got     []string // method, or "response"
	ids     []string
	fail    func(f wire.Frame) error
	listens int
	// listenBy ends listening with what comes on it; nil never does.
	listenBy chan error
}

func (r *farEnd) Exchange(ctx context.Context, f wire.Frame) error {
	r.mu.Lock()
	name := f.Method
	if f.Kind == wire.Response {
		name = "response"
	}
	r.got, r.ids = append(r.got, name), append(r.ids, string(f.ID))
	fail := r.fail
	r.mu.Unlock()
	if fail != nil {
		if err := fail(f); err != nil {
			return err
		}
	}
	if f.Kind != wire.Request {
		return nil
	}
	return r.deliver(ctx, wire.NewResult(f.ID, map[string]any{"from": "remote", "method": f.Method}))
}

func (r *farEnd) Listen(ctx context.Context) error {
	r.mu.Lock()
	r.listens++
	r.mu.Unlock()
	select {
	case err := <-r.listenBy:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
func (r *farEnd) End(context.Context) error { return nil }

func (r *farEnd) failBy(fail func(f wire.Frame) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
}

func (r *farEnd) seen() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.got, " ")
}

// desk is a client in front of signIn and a scripted remote.
type desk struct {
	t      *testing.T
	conn   *wire.ClientConn
	remote *farEnd
	signer *signer
}

func newDesk(t *testing.T, s *signer) *desk {
	t.Helper()
	return newDeskWith(t, s, Options{})
}

func newDeskWith(t *testing.T, s *signer, opts Options) *desk {
	t.Helper()
	d := &desk{t: t, remote: &farEnd{}, signer: s}
	opts.Client, opts.URL, opts.Tokens = noClient{}, "https://x.example/mcp", s
	opts, err := opts.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	d.conn, err = wire.NewClientConn(wire.ClientConnOptions{Explain: explainer{url: opts.URL, tokens: s}.answer}, func(deliver wire.Deliver) (wire.Remote, error) {
		return newSignIn(opts, deliver, func(deliver wire.Deliver) (wire.Remote, error) {
			d.remote.deliver = deliver
			return d.remote, nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

type noClient struct{ wire.Conn }

func (d *desk) send(raw string) {
	d.t.Helper()
	if err := d.conn.Write(d.t.Context(), wire.MustParse(raw)); err != nil {
		d.t.Fatal(err)
	}
}

// read returns the next message, "" if none comes within the time.
func (d *desk) read(within time.Duration) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), within)
	defer cancel()
	f, err := d.conn.Read(ctx)
	if err != nil {
		return ""
	}
	return string(f.Raw)
}

// expect reads the next message, which must hold all of the texts.
func (d *desk) expect(texts ...string) string {
	d.t.Helper()
	got := d.read(time.Hour)
	for _, text := range texts {
		if !strings.Contains(got, text) {
			d.t.Fatalf("got  %s\nwant %q in it", got, text)
		}
	}
	return got
}

func (d *desk) silent(within time.Duration) {
	d.t.Helper()
	if got := d.read(within); got != "" {
		d.t.Fatalf("unexpected %s", got)
	}
}

const (
	initElicit = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{"form":{},"url":{}}},"clientInfo":{"name":"c","version":"1"}}}`
	initPlain  = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`
	inited     = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	callSignIn = `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"sign_in","_meta":{"progressToken":"p"}}}`
	callEcho   = `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"echo","_meta":{"progressToken":"p"}}}`
)

// greet does the handshake of a client.
func (d *desk) greet(initialize string) {
	d.t.Helper()
	d.send(initialize)
	d.expect(`"id":0`, `"result"`)
	d.send(inited)
}

// takes answers with a code and waits for the person.
func takes(person <-chan error) func(context.Context, <-chan struct{}, func(Prompt)) error {
	return func(ctx context.Context, _ <-chan struct{}, show func(Prompt)) error {
		show(Prompt{URL: "https://login.example/device", Code: "ABC-123", ExpiresOn: time.Now().Add(15 * time.Minute)})
		select {
		case err := <-person:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d *desk) expectLists() {
	d.t.Helper()
	for _, list := range lists {
		d.expect("notifications/" + list + "/list_changed")
	}
}
