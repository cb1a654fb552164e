package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// mux shares one upstream connection among several clients: the sessions of one
// principal or, where the operator says so, of all. Each client sees a
// connection of its own: ids and progress tokens are replaced on the way, and
// what comes back goes to the client it concerns and to no other.
type mux struct {
	conn wire.Conn
	log  *slog.Logger
	// strangers: the clients may be different people. The upstream is then told
	// of no client capability, may ask clients nothing, and its log messages
	// and messages of unknown kind reach nobody: they could be about another.
	strangers bool
	patience  time.Duration // with a client that does not take its messages
	onEnd     func()        // called once the upstream has ended

	ctx         context.Context
	stop        context.CancelFunc
	tasks       sync.WaitGroup
	replies     chan wire.Frame // the mux's own answers to the upstream
	subscribing chan struct{}   // holds a token while nobody changes subscriptions

	mu      sync.Mutex
	last    int64     // of the ids given to requests
	used    time.Time // when somebody last asked or was answered
	clients map[*muxClient]struct{}
	recent  *muxClient          // the client that wrote last
	calls   map[string]*muxCall // by the id that the upstream knows
	asked   map[string]question // what the upstream asked clients, by its id
	hello   *handshake
	theirs  belongings // what strangers have that others must not use
	err     error      // why the upstream ended
}

// muxCall is a request of a client that the upstream has not answered.
type muxCall struct {
	number   int64
	client   *muxClient // nil for the handshake
	id       wire.ID    // the client's
	progress wire.ID    // the client's token, nil for none
	method   string
	added    string // the URI that the client did not subscribe to before
	task     string // the task that it names
}

// question is a request of the upstream that a client has not answered.
type question struct {
	client *muxClient
	id     wire.ID
}

// Bounds of what the mux remembers.
const (
	maxOpenCalls     = maxInFlight // of one client
	maxQuestions     = 1000        // of the upstream
	maxSubscriptions = 1000        // of one client
)

// How long a client may leave its queue full before it is cut off, since it
// holds up the others meanwhile: its owner's own, or strangers.
const (
	ownPatience      = 10 * time.Second
	strangerPatience = 2 * time.Second
)

var (
	errStalled = errors.New("the client did not take its messages")
	errDeaf    = errors.New("the upstream asks and does not take the answers")
)

// metaSubscription names the subscriptions/listen request that a notification
// belongs to (MCP 2026-07-28, basic/patterns/subscriptions).
const metaSubscription = "io.modelcontextprotocol/subscriptionId"

// newMux shares conn, which it owns. onEnd may be nil.
func newMux(conn wire.Conn, strangers bool, log *slog.Logger, onEnd func()) *mux {
	m := &mux{
		conn: conn, strangers: strangers, log: log, patience: ownPatience, onEnd: onEnd,
		replies: make(chan wire.Frame, 64), subscribing: make(chan struct{}, 1),
		clients: map[*muxClient]struct{}{}, calls: map[string]*muxCall{}, asked: map[string]question{}, theirs: newBelongings(), used: time.Now(),
	}
	if strangers {
		m.patience = strangerPatience
	}
	m.subscribing <- struct{}{}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.tasks.Go(m.read)
	m.tasks.Go(m.reply)
	return m
}

// attach adds a client of the owner, "" for nobody's. It fails once the upstream
// has ended.
func (m *mux) attach(owner string) (*muxClient, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, fmt.Errorf("the upstream has ended: %w", m.err)
	}
	if owner == "" {
		owner = "nobody " + rand.Text()
	}
	c := &muxClient{
		mux: m, owner: owner, in: newQueue(), gone: make(chan struct{}),
		open: map[string]wire.ID{}, subscriptions: map[string]struct{}{}, level: levelUnset,
	}
	m.clients[c] = struct{}{}
	return c, nil
}

// close ends the upstream and waits for it.
func (m *mux) close() error {
	m.stop()
	err := m.conn.Close()
	m.tasks.Wait()
	return err
}

// fresh reports that no handshake has begun.
func (m *mux) fresh() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hello == nil
}

// read passes on what the upstream says until it ends.
func (m *mux) read() {
	err := m.readAll()
	if m.ctx.Err() != nil && !errors.Is(err, errDeaf) {
		err = wire.ErrClosed
	}
	m.mu.Lock()
	if m.err == nil {
		m.err = err
	}
	for c := range m.clients {
		c.leave(err)
	}
	m.mu.Unlock()
	m.stop()
	if m.onEnd != nil {
		m.onEnd()
	}
}

func (m *mux) readAll() error {
	for {
		f, err := m.conn.Read(m.ctx)
		var bad *wire.FrameError
		switch {
		case errors.As(err, &bad):
			err = m.malformed(bad)
		case err == nil:
			err = m.fromUpstream(f)
			f.Release()
		}
		if err != nil {
			return err
		}
	}
}

// reply sends the mux's own answers. The reader does not: an upstream that
// waits for its output to be read may not read meanwhile.
func (m *mux) reply() {
	for {
		select {
		case f := <-m.replies:
			if err := m.conn.Write(m.ctx, f); err != nil && m.ctx.Err() == nil {
				m.log.Debug("an answer to the upstream was lost", "reason", err)
			}
		case <-m.ctx.Done():
			return
		}
	}
}

// answer queues an answer to the upstream.
func (m *mux) answer(f wire.Frame) error {
	select {
	case m.replies <- f:
		return nil
	default:
		return errDeaf
	}
}

func (m *mux) malformed(bad *wire.FrameError) error {
	m.log.Warn("a message from the upstream was dropped", "reason", bad.Reason)
	switch {
	case bad.ID == nil:
		return nil
	case bad.Request:
		return m.answer(bad.Answer())
	}
	return m.fromUpstream(wire.NewError(bad.ID, CodeUpstream, unfit(bad), nil))
}

// unfit says why an answer can't be passed on, in words for those who call.
func unfit(bad *wire.FrameError) string {
	switch {
	case bad.Limit > 0:
		return "The answer of the MCP server behind this gateway is larger than " + binarySize(bad.Limit) + ", so it can't be passed on. Ask for less at a time."
	case bad.Cut:
		return "The MCP server behind this gateway stopped in the midst of its answer. The work may have been done; check before trying again."
	}
	return "The answer of the MCP server behind this gateway can't be passed on: " + bad.Reason
}

func binarySize(n int) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}

// fromUpstream passes on one message. Its error ends the upstream.
func (m *mux) fromUpstream(f wire.Frame) error {
	switch f.Kind {
	case wire.Response:
		m.response(f)
	case wire.Request:
		return m.question(f)
	case wire.Notification:
		m.notification(f)
	case wire.Batch:
		members, errs := f.Split()
		for i, member := range members {
			err := errs[i]
			var bad *wire.FrameError
			if errors.As(err, &bad) {
				err = m.malformed(bad)
			} else if err == nil {
				err = m.fromUpstream(member)
			}
			if err != nil {
				return err
			}
		}
	case wire.Invalid:
	}
	return nil
}
