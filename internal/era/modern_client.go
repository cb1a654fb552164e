package era

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// modernClient serves a client of the modern era before a legacy remote, with
// which it has one session.
type modernClient struct {
	t       *Translator
	life    context.Context // ends with the translation
	stop    context.CancelFunc
	opening chan struct{} // holds a token while no session is being opened
	replies chan struct{} // bounds answers to the remote that are on their way
	tasks   sync.WaitGroup

	mu        sync.Mutex
	ending    bool
	session   *session // nil before the first request
	unlisten  func()   // ends the stream of the session's own messages
	level     string   // that the session's log messages start at, "" for the server's choice
	inFlight  int      // requests that depend on the session
	calls     map[string]*modernCall
	newest    []*modernCall // in the order they began
	parked    map[string]*modernCall
	listens   []*modernListen
	followers map[string]int // listens by resource
}

// maxReplies bounds how many answers to the remote may be on their way.
const maxReplies = 64

func newModernClient(t *Translator) *modernClient {
	m := &modernClient{
		t: t, opening: make(chan struct{}, 1), replies: make(chan struct{}, maxReplies),
		calls: map[string]*modernCall{}, parked: map[string]*modernCall{}, followers: map[string]int{},
	}
	m.opening <- struct{}{}
	m.life, m.stop = context.WithCancel(context.Background())
	return m
}

// exchange takes one request.
func (m *modernClient) exchange(ctx context.Context, f wire.Frame) error {
	meta := wire.Lookup(f.Raw, "params", "_meta")
	level := wire.LookupString(meta, metaLogLevel)
	var refusal wire.Frame
	switch version := wire.LookupString(meta, metaVersion); {
	case version != modernVersion:
		refusal = wire.NewError(f.ID, codeUnsupportedVersion, "Unsupported protocol version",
			map[string]any{"supported": []string{modernVersion}, "requested": version})
	case !isObject(wire.Lookup(meta, metaCapabilities)):
		refusal = wire.NewError(f.ID, wire.CodeInvalidParams, "Invalid params: _meta lacks "+metaCapabilities, nil)
	case level != "" && !slices.Contains(logLevels, level):
		refusal = wire.NewError(f.ID, wire.CodeInvalidParams, "Invalid params: _meta has an unknown log level", nil)
	case removed(f.Method):
		refusal = noSuchMethod(f)
	}
	if refusal.Kind == wire.Response {
		return m.t.opts.Deliver(ctx, refusal)
	}
	who := m.t.identityIn(f)
	who.level = level
	err := m.serve(ctx, f, who)
	if errors.Is(err, errTurnedModern) {
		m.t.leaveModern(m)
		if again, ok := turn(ctx); ok {
			return m.t.exchangeModern(again, f)
		}
	}
	return err
}

func (m *modernClient) serve(ctx context.Context, f wire.Frame, who identity) error {
	switch f.Method {
	case "server/discover":
		s, err := m.enter(ctx, who)
		if err != nil {
			return m.pass(ctx, f, err)
		}
		m.leave()
		return m.t.opts.Deliver(ctx, resultFrame(f.ID, discoverResult(s.answer)))
	case "subscriptions/listen":
		return m.listen(ctx, f, who)
	}
	return m.call(ctx, f, who)
}

// removed reports methods that 2026-07-28 has no more (changelog).
func removed(method string) bool {
	switch method {
	case "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe":
		return true
	}
	return false
}

func noSuchMethod(f wire.Frame) wire.Frame {
	return wire.NewError(f.ID, wire.CodeMethodNotFound, "Method not found: "+f.Method+" is not part of "+modernVersion, nil)
}

// pass hands on a failed exchange: the remote's own error as the client's answer.
func (m *modernClient) pass(ctx context.Context, f wire.Frame, err error) error {
	var status *wire.StatusError
	if !errors.As(err, &status) || saysNoEra(status.Status) || status.Answer.Kind != wire.Response {
		return err
	}
	return m.t.opts.Deliver(ctx, modernAnswer(f, status.Answer))
}

// leaveModern ends the translation: the remote takes the client's era now.
func (t *Translator) leaveModern(m *modernClient) {
	t.mu.Lock()
	if t.modern == m {
		t.modern = nil
	}
	t.mu.Unlock()
	m.shut()
}

// start runs do unless the translation has ended.
func (m *modernClient) start(do func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ending {
		return false
	}
	m.tasks.Go(do)
	return true
}

// shut ends everything that runs, without waiting for it.
func (m *modernClient) shut() {
	m.mu.Lock()
	m.ending = true
	for _, c := range m.parked {
		c.expiry.Stop()
	}
	clear(m.parked)
	m.mu.Unlock()
	m.stop()
}

// end ends everything that runs and waits for it until ctx ends.
func (m *modernClient) end(ctx context.Context) {
	m.shut()
	done := make(chan struct{})
	go func() {
		m.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// fromRemote takes what the remote sends besides awaited responses.
func (m *modernClient) fromRemote(ctx context.Context, f wire.Frame) error {
	switch f.Kind {
	case wire.Request:
		return m.question(ctx, f)
	case wire.Notification:
		return m.note(ctx, f)
	}
	m.t.opts.Logger.Debug("a late response was dropped")
	return nil
}

// note passes a notification on to the request or the subscription it is for.
func (m *modernClient) note(ctx context.Context, f wire.Frame) error {
	switch f.Method {
	case "notifications/progress":
		return m.progress(f)
	case "notifications/message":
		return m.logMessage(ctx, f)
	case "notifications/cancelled":
		m.questionTakenBack(wire.ID(wire.Lookup(f.Raw, "params", "requestId")))
		return nil
	case "notifications/tools/list_changed", "notifications/prompts/list_changed",
		"notifications/resources/list_changed", "notifications/resources/updated":
		return m.tell(f)
	case "notifications/elicitation/complete":
		return nil // the client sees the end when its call ends
	}
	if c := callOf(ctx); c != nil {
		if front := c.served(); front != nil {
			return m.deliverOn(front, f)
		}
		return nil
	}
	return m.t.opts.Deliver(ctx, f)
}

// reply sends the remote an answer to its request, not waiting for it.
func (m *modernClient) reply(ctx context.Context, f wire.Frame) error {
	select {
	case m.replies <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-m.life.Done():
		return nil
	}
	started := m.start(func() {
		defer func() { <-m.replies }()
		ctx, cancel := context.WithTimeout(m.life, m.t.opts.Limits.Settle)
		defer cancel()
		m.answer(ctx, f)
	})
	if !started {
		<-m.replies
	}
	return nil
}

func (m *modernClient) answer(ctx context.Context, f wire.Frame) {
	if err := m.t.down().Exchange(ctx, f); err != nil {
		m.t.opts.Logger.Warn("an answer to the server could not be sent", "reason", err)
	}
}

// detached returns a context with the values of ctx that ends with the
// translation, or after d where d is not 0.
func (m *modernClient) detached(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx = context.WithoutCancel(ctx)
	var cancel context.CancelFunc
	if d > 0 {
		ctx, cancel = context.WithTimeout(ctx, d)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	release := context.AfterFunc(m.life, cancel)
	return ctx, func() {
		release()
		cancel()
	}
}
