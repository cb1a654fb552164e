package bridge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/memnet"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// world is a client before a bridge before the model server, with a network that
// can be made to fail between the two. The client's side is the referee: it
// keeps what was sent and what came back, and complains about a second answer,
// an answer to nothing, a line that is no JSON-RPC, an answer of the server's
// with other bytes than the server sent, and progress that is out of order.
type world struct {
	t      *testing.T
	net    *memnet.Network
	server *model
	http   *http.Server
	bridge chan error // what Run returned
	cancel context.CancelFunc
	stdin  net.Conn
	conns  []net.Conn
	reads  sync.WaitGroup
	// reply answers the server's requests to the client; nil answers all.
	reply func(f wire.Frame) string
	torn  bool // the output may end in the middle of a line

	mu      sync.Mutex
	hold    chan struct{} // while not nil the client takes nothing
	sent    map[string]*sentCall
	notes   []string // notifications that belong to no call
	asked   int      // requests of the server
	changed chan struct{}
}

// sentCall is a request of the client's.
type sentCall struct {
	f         wire.Frame
	answer    string
	notes     []string  // progress
	cancelled bool      // no answer may come any more
	given     bool      // given up; an answer may have been on its way
	at        time.Time // of the answer
}

const (
	modelHost = "server:80"
	modelURL  = "http://" + modelHost + "/mcp"
	sseURL    = "http://" + modelHost + modelSSE
)

// inWorld runs test inside a bubble of its own clock.
func inWorld(t *testing.T, opts Options, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, opts)
		test(w)
		w.end()
	})
}

func newWorld(t *testing.T, opts Options) *world {
	t.Helper()
	w := &world{t: t, net: &memnet.Network{}, server: newModel(), bridge: make(chan error, 1), sent: map[string]*sentCall{}, changed: make(chan struct{})}
	w.up()
	transport := wire.NewTransport()
	transport.Proxy, transport.DialContext = nil, w.net.DialContext
	opts.HTTP = transport
	if opts.URL == "" {
		opts.URL = modelURL
	}
	// The client's end is a pair of pipes with the capacity of a socket.
	desk := &memnet.Network{}
	ln, err := desk.Listen("bridge")
	if err != nil {
		t.Fatal(err)
	}
	outer, err := desk.DialContext(t.Context(), "", "bridge")
	if err != nil {
		t.Fatal(err)
	}
	inner, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	w.stdin = outer
	opts.Client = wire.NewStream(halfClosed{inner}, inner, wire.StreamOptions{MaxMessage: opts.MaxMessage})
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	go func() {
		err := Run(ctx, opts)
		_ = inner.Close()
		transport.CloseIdleConnections()
		w.bridge <- err
	}()
	w.conns = []net.Conn{outer, inner}
	w.reads.Go(func() { w.read(outer) })
	return w
}

// halfClosed takes the line endOfInput for the end of the client's input, since
// the connection can't be closed in one direction only.
type halfClosed struct{ net.Conn }

const endOfInput = "\x04"

func (h halfClosed) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	if n > 0 && strings.Contains(string(p[:n]), endOfInput) {
		return 0, io.EOF
	}
	return n, err
}

func (h halfClosed) Close() error { return nil } // the writer's end closes it

// up lets the server listen.
func (w *world) up() {
	w.t.Helper()
	ln, err := w.net.Listen(modelHost)
	if err != nil {
		w.t.Fatal(err)
	}
	w.http = &http.Server{Handler: w.server}
	srv := w.http
	go func() { _ = srv.Serve(ln) }()
}

// down kills the server: its address refuses, its connections break, its
// sessions are forgotten.
func (w *world) down() {
	_ = w.http.Close()
	w.net.Cut()
	w.server.restart()
}

// read takes what comes out of the bridge.
func (w *world) read(conn net.Conn) {
	for lines := bufio.NewReaderSize(conn, 64<<10); ; {
		w.mu.Lock()
		hold := w.hold
		w.mu.Unlock()
		if hold != nil {
			<-hold
		}
		line, err := lines.ReadBytes('\n')
		if err != nil {
			if len(line) > 0 && !w.torn {
				w.t.Errorf("the output ends with %q", line)
			}
			return
		}
		f, err := wire.Parse(line[:len(line)-1])
		if err != nil {
			w.t.Errorf("no JSON-RPC came out: %v: %.200q", err, line)
			continue
		}
		w.took(f)
	}
}

func (w *world) took(f wire.Frame) {
	w.mu.Lock()
	defer func() {
		close(w.changed)
		w.changed = make(chan struct{})
		w.mu.Unlock()
	}()
	switch f.Kind {
	case wire.Response:
		w.tookAnswer(f)
	case wire.Request:
		w.asked++
		text := `{"jsonrpc":"2.0","id":` + string(f.ID) + `,"result":{"ok":true}}`
		if w.reply != nil {
			text = w.reply(f)
		}
		if text != "" {
			w.reads.Go(func() { _, _ = io.WriteString(w.stdin, text+"\n") })
		}
	default:
		c := w.sent[wire.ID(wire.Lookup(f.Raw, "params", "progressToken")).Key()]
		if f.Method != "notifications/progress" || c == nil {
			w.notes = append(w.notes, string(f.Raw))
			return
		}
		if c.answer != "" {
			w.t.Errorf("progress after the answer to %s", c.f.ID)
		}
		c.notes = append(c.notes, string(f.Raw))
	}
}

func (w *world) tookAnswer(f wire.Frame) {
	c := w.sent[f.ID.Key()]
	switch {
	case c == nil && f.ID.Null():
		w.notes = append(w.notes, string(f.Raw)) // to what was no request
	case c == nil:
		w.t.Errorf("an answer to nothing: %s", f.Raw)
	case c.answer != "":
		w.t.Errorf("a second answer to %s:\n%.300s\n%.300s", f.ID, c.answer, f.Raw)
	default:
		c.answer, c.at = string(f.Raw), time.Now()
		if c.cancelled {
			w.t.Errorf("an answer to the cancelled %s: %.300s", f.ID, f.Raw)
		}
		if want := modelAnswer(c.f); !f.Failed && c.f.Method != "initialize" && c.answer != want {
			w.t.Errorf("sent  %.300s\ngot   %.300s\nwant  %.300s", c.f.Raw, c.answer, want)
		}
		if !f.Failed && wire.LookupString(c.f.Raw, "params", "name") == "notes" {
			w.checkNotes(c)
		}
	}
}

// checkNotes compares the progress of a call that has succeeded.
func (w *world) checkNotes(c *sentCall) {
	for i := range max(number(c.f, "n"), len(c.notes)) {
		if i >= len(c.notes) || c.notes[i] != modelNote(c.f, i) {
			w.t.Errorf("%s: %d steps of progress, wrong from %d on", c.f.ID, len(c.notes), i)
			return
		}
	}
}

// write sends a line.
func (w *world) write(raw string) {
	w.t.Helper()
	if _, err := io.WriteString(w.stdin, raw+"\n"); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		w.t.Errorf("writing: %v", err)
	}
}

// send sends a request and returns it.
func (w *world) send(raw string) *sentCall {
	w.t.Helper()
	f := wire.MustParse(raw)
	c := &sentCall{f: f}
	w.mu.Lock()
	if w.sent[f.ID.Key()] != nil {
		w.t.Fatalf("the test used the id %s before", f.ID)
	}
	w.sent[f.ID.Key()] = c
	w.mu.Unlock()
	w.write(raw)
	return c
}

// call sends tools/call with the arguments' members.
func (w *world) call(id, tool, arguments string) *sentCall {
	w.t.Helper()
	return w.send(toolCall(id, tool, arguments))
}

func toolCall(id, tool, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"tools/call","params":{"name":%q,"arguments":{%s},"_meta":{"progressToken":%q}}}`, id, tool, arguments, id)
}

// wait waits for the answer, for a day at most.
func (w *world) wait(c *sentCall) string {
	w.t.Helper()
	late := time.NewTimer(24 * time.Hour)
	defer late.Stop()
	for {
		w.mu.Lock()
		answer, changed := c.answer, w.changed
		w.mu.Unlock()
		if answer != "" {
			return answer
		}
		select {
		case <-changed:
		case <-late.C:
			w.t.Fatalf("no answer to %s", c.f.Raw)
		}
	}
}

// succeeds waits for a result.
func (w *world) succeeds(c *sentCall) {
	w.t.Helper()
	if answer := w.wait(c); !strings.Contains(answer, `"result":`) {
		w.t.Errorf("%.200s was answered with %.500s", c.f.Raw, answer)
	}
}

// fails waits for an error with the code and the words.
func (w *world) fails(c *sentCall, code int, words ...string) {
	w.t.Helper()
	answer := w.wait(c)
	for _, want := range append(words, fmt.Sprintf(`"code":%d`, code)) {
		if !strings.Contains(answer, want) {
			w.t.Errorf("%.200s was answered with %.500s without %q", c.f.Raw, answer, want)
		}
	}
}

// open opens the session and waits until the server's stream is open too.
func (w *world) open() {
	w.t.Helper()
	w.succeeds(w.send(initialize))
	w.write(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	synctest.Wait()
}

// seen counts notifications of a method that belong to no call.
func (w *world) seen(method string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(strings.Join(w.notes, "\n"), `"method":"`+method+`"`)
}

// pause stops the client's reading until the returned function is called.
func (w *world) pause() (resume func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hold := make(chan struct{})
	w.hold = hold
	return func() {
		w.mu.Lock()
		w.hold = nil
		w.mu.Unlock()
		close(hold)
	}
}

// eof ends the client's input and returns what Run returned.
func (w *world) eof() error {
	w.t.Helper()
	w.write(endOfInput)
	return w.ended()
}

// ended waits for the bridge's end, and for the client to have read all of it.
func (w *world) ended() error {
	w.t.Helper()
	select {
	case err := <-w.bridge:
		w.bridge <- err
		w.reads.Wait()
		return err
	case <-time.After(time.Hour):
		w.t.Fatal("the bridge does not end")
		return nil
	}
}

// end ends everything and has the referee's last word.
func (w *world) end() {
	w.t.Helper()
	_ = w.eof()
	w.cancel()
	_ = w.http.Close()
	w.net.Cut()
	w.server.close()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.sent {
		if c.answer == "" && !c.cancelled {
			w.t.Errorf("no answer to %.300s", c.f.Raw)
		}
	}
}
