package era

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// legacyClient serves a client of the legacy era before a modern remote.
type legacyClient struct {
	t            *Translator
	capabilities []byte // the client's own, as it declared them
	server       []byte // the remote's, as it declared them
	subs         subscriptions
	falling      sync.Mutex // held while the remote's return to the legacy era is looked into

	mu    sync.Mutex
	who   identity
	calls map[string]context.CancelFunc // by id key
}

func newLegacyClient(t *Translator, hello, discovered wire.Frame) *legacyClient {
	hello = hello.Clone()
	l := &legacyClient{
		t: t, who: t.identityOf(hello),
		capabilities: wire.Lookup(hello.Raw, "params", "capabilities"),
		server:       wire.Lookup(discovered.Raw, "result", "capabilities"),
		calls:        map[string]context.CancelFunc{},
	}
	l.who.version = knownModern(stringsAt(discovered.Raw, "result", "supportedVersions"))
	l.subs.init(l)
	return l
}

// initializeResult makes the answer to initialize out of the remote's answer to
// server/discover. The client gets the revision it asked for where it is known:
// nothing in the translation depends on it.
func (l *legacyClient) initializeResult(f, discovered wire.Frame) wire.Frame {
	s := newSplice(wire.Lookup(discovered.Raw, "result"))
	for _, name := range []string{"resultType", "ttlMs", "cacheScope", "supportedVersions"} {
		s.drop(name)
	}
	if c := s.in("capabilities"); c != nil {
		c.drop("tasks")
		dropTasksExtension(c)
	} else {
		s.set("capabilities", []byte("{}"))
	}
	info := wire.Lookup(discovered.Raw, "result", "_meta", metaServerInfo)
	if !isObject(info) {
		info = []byte(`{"name":"unknown","version":"unknown"}`)
	}
	s.set("protocolVersion", quote(mcp.NegotiateLegacyVersion(wire.LookupString(f.Raw, "params", "protocolVersion"))))
	s.set("serverInfo", info)
	return resultFrame(f.ID, s.bytes())
}

// exchange takes the client's messages after initialize.
func (l *legacyClient) exchange(ctx context.Context, f wire.Frame) error {
	if f.Kind == wire.Request {
		switch f.Method {
		case "ping":
			return l.t.opts.Deliver(ctx, resultFrame(f.ID, []byte("{}")))
		case "logging/setLevel":
			return l.t.opts.Deliver(ctx, l.setLevel(f))
		case "resources/subscribe":
			return l.t.opts.Deliver(ctx, l.subs.subscribe(ctx, f))
		case "resources/unsubscribe":
			return l.t.opts.Deliver(ctx, l.subs.unsubscribe(f))
		}
		return l.call(ctx, f)
	}
	switch f.Method {
	case "notifications/cancelled":
		// Closing the request's stream says it (basic/patterns/cancellation).
		l.cancel(wire.ID(wire.Lookup(f.Raw, "params", "requestId")))
		return nil
	case "notifications/initialized", "notifications/roots/list_changed", "notifications/progress":
		return nil // have no counterpart
	}
	return l.t.down().Exchange(ctx, l.modernise(f))
}

// setLevel keeps the level for the requests to come.
func (l *legacyClient) setLevel(f wire.Frame) wire.Frame {
	level := wire.LookupString(f.Raw, "params", "level")
	switch {
	case wire.Lookup(l.server, "logging") == nil:
		return wire.NewError(f.ID, wire.CodeMethodNotFound, "Method not found: the server has no log messages", nil)
	case !slices.Contains(logLevels, level):
		return wire.NewError(f.ID, wire.CodeInvalidParams, "Invalid params: level is not a log level", nil)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.who.level = level
	return resultFrame(f.ID, []byte("{}"))
}

func (l *legacyClient) identity() identity {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.who
}

// modernise puts into a message what the modern era wants in each (basic/index,
// Per-request protocol fields).
func (l *legacyClient) modernise(f wire.Frame) wire.Frame {
	who := l.identity()
	s := newSplice(f.Raw)
	params := s.in("params")
	switch {
	case params == nil && s.get("params") == nil:
		s.set("params", append(append([]byte(`{"_meta":`), who.meta()...), '}'))
	case params == nil: // no object: the server says what is wrong with it
	default:
		if meta := params.in("_meta"); meta != nil {
			meta.drop(metaLogLevel)
			who.into(meta)
		} else {
			params.set("_meta", who.meta())
		}
	}
	return s.frame(f)
}

func (l *legacyClient) open(id wire.ID, cancel context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[id.Key()] = cancel
}

func (l *legacyClient) close(id wire.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.calls, id.Key())
}

func (l *legacyClient) cancel(id wire.ID) {
	l.mu.Lock()
	cancel := l.calls[id.Key()]
	l.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// fromRemote takes what the remote sends besides awaited responses.
func (l *legacyClient) fromRemote(ctx context.Context, f wire.Frame) error {
	if f.Kind != wire.Notification {
		l.t.opts.Logger.Warn("a message that a modern server does not send was dropped", "kind", f.Kind.String(), "method", f.Method)
		return nil
	}
	switch f.Method {
	case "notifications/subscriptions/acknowledged":
		l.subs.acknowledged(f)
		return nil
	case "notifications/cancelled":
		// Sent on stdio only, about a subscription (basic/patterns/cancellation).
		l.subs.ended(wire.ID(wire.Lookup(f.Raw, "params", "requestId")))
		return nil
	}
	if wire.Lookup(f.Raw, "params", "_meta", metaSubscription) != nil {
		s := newSplice(f.Raw)
		s.in("params").in("_meta").drop(metaSubscription)
		f = s.frame(f)
	}
	return l.t.opts.Deliver(ctx, f)
}

// fallBack goes over to mirroring where the remote has returned to the legacy
// era: the client's handshake is repeated with the remote itself. It reports
// whether messages pass now.
func (l *legacyClient) fallBack(ctx context.Context) bool {
	l.falling.Lock()
	defer l.falling.Unlock()
	if now, _ := l.t.translating(); now != l {
		return true
	}
	era, _, err := l.t.probe(ctx, l.identity())
	if err != nil || era != Legacy {
		return false
	}
	l.t.found(Legacy)
	hello := l.t.greeted()
	answer, err := l.t.ask(ctx, hello.WithID(l.t.newID()))
	defer answer.Release()
	if err == nil && answer.Failed {
		err = errors.New("the server refused initialize")
	}
	if err == nil {
		err = l.t.down().Exchange(ctx, noteFrame("notifications/initialized", nil))
	}
	if err != nil {
		l.t.opts.Logger.Warn("the server speaks an older protocol era now, but no session could be opened", "reason", err)
		return false
	}
	l.t.opts.Logger.Info("the server speaks an older protocol era than before; passing messages as they are from here on")
	l.t.useLegacy(nil)
	l.replay(ctx)
	return true
}

// replay tells a legacy remote what the client has set before.
func (l *legacyClient) replay(ctx context.Context) {
	if level := l.identity().level; level != "" {
		l.tell(ctx, "logging/setLevel", "level", level)
	}
	for _, uri := range l.subs.uris() {
		l.tell(ctx, "resources/subscribe", "uri", uri)
	}
}

func (l *legacyClient) tell(ctx context.Context, method, name, value string) {
	params := newSplice([]byte("{}"))
	params.set(name, quote(value))
	answer, err := l.t.ask(ctx, requestFrame(l.t.newID(), method, params.bytes()))
	answer.Release()
	if err != nil {
		l.t.opts.Logger.Warn("the new session lacks something of the old", "method", method, "reason", err)
	}
}
