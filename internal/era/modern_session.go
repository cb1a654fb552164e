package era

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// openTimeout bounds opening a session. It goes on when the request that caused
// it is cancelled: initialize can't be (MCP basic/utilities/cancellation).
const openTimeout = time.Minute

// errTurnedModern: the remote refuses initialize by now.
var errTurnedModern = errors.New("the server has changed protocol eras")

// session is what was agreed with the remote.
type session struct {
	capabilities []byte // of the client
	answer       []byte // the InitializeResult
	fixed        bool   // the remote refused to open another in its place
}

// enter returns the session, opening it where there is none or where the client
// has come to declare more and nothing is in flight. The session stays as it is
// until leave is called.
func (m *modernClient) enter(ctx context.Context, who identity) (*session, error) {
	select {
	case <-m.opening:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-m.life.Done():
		return nil, wire.ErrStopping
	}
	defer func() { m.opening <- struct{}{} }()
	wanted := legacyCapabilities(who.capabilities)
	m.mu.Lock()
	s, idle := m.session, m.inFlight == 0
	m.mu.Unlock()
	if s == nil || idle && !s.fixed && !covers(s.capabilities, wanted) {
		opened, err := m.open(ctx, who, s, wanted)
		if err != nil {
			return nil, err
		}
		s = opened
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = s
	m.inFlight++
	return s, nil
}

func (m *modernClient) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight--
}

// forget drops a session that the remote has lost.
func (m *modernClient) forget(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session == s {
		m.session = nil
	}
}

// open opens a session, in place of old where there is one.
func (m *modernClient) open(ctx context.Context, who identity, old *session, wanted []byte) (*session, error) {
	ctx, cancel := m.detached(ctx, openTimeout)
	defer cancel()
	version := legacyVersion
	if m.t.opts.Mode != ModeAuto {
		version = m.t.opts.Mode
	}
	if old != nil {
		wanted = union(old.capabilities, wanted)
		m.t.opts.Logger.Info("the client can do more than before; opening a new session with the server")
	}
	params := newSplice([]byte("{}"))
	params.set("protocolVersion", quote(version))
	params.set("capabilities", wanted)
	params.set("clientInfo", who.info)
	answer, err := m.t.ask(ctx, requestFrame(m.t.newID(), "initialize", params.bytes()))
	defer answer.Release()
	if refusal(answer, err) {
		return m.notOpened(ctx, who, old, answer, err)
	}
	s := &session{capabilities: wanted, answer: append([]byte(nil), wire.Lookup(answer.Raw, "result")...)}
	if v := wire.LookupString(s.answer, "protocolVersion"); v == "" || mcp.IsModernProtocol(v) {
		return nil, fmt.Errorf("the server answered initialize with the protocol revision %.40q", v)
	}
	if err := m.t.down().Exchange(ctx, noteFrame("notifications/initialized", nil)); err != nil {
		return nil, err
	}
	m.listenAgain()
	m.replay(ctx)
	return s, nil
}

// notOpened finds out what to do without a new session.
func (m *modernClient) notOpened(ctx context.Context, who identity, old *session, answer wire.Frame, err error) (*session, error) {
	if m.t.opts.Mode == ModeAuto && read("initialize", answer, err) == saysModern {
		if era, _, probeErr := m.t.probe(ctx, who); probeErr == nil && era == Modern {
			m.t.found(Modern)
			return nil, errTurnedModern
		}
	}
	if old != nil && answer.Failed {
		m.t.opts.Logger.Info("the server opens no second session; what the client can do more stays unused")
		return &session{capabilities: old.capabilities, answer: old.answer, fixed: true}, nil
	}
	m.forget(old)
	if err == nil {
		err = &wire.StatusError{Status: 400, Answer: answer.Clone()}
	}
	return nil, fmt.Errorf("opening a session with the server: %w", err)
}

// listenAgain opens the stream for the session's own messages, in place of that
// of the session before.
func (m *modernClient) listenAgain() {
	m.mu.Lock()
	before := m.unlisten
	ctx, cancel := context.WithCancel(m.life)
	m.unlisten = cancel
	m.mu.Unlock()
	if before != nil {
		before()
	}
	m.start(func() {
		defer cancel()
		err := m.t.down().Listen(ctx)
		if ctx.Err() == nil && !errors.Is(err, wire.ErrNoListen) {
			m.t.opts.Logger.Warn("the server's stream ended", "reason", err)
		}
	})
}

// replay gives a new session what the one before had.
func (m *modernClient) replay(ctx context.Context) {
	m.mu.Lock()
	level := m.level
	m.level = ""
	var uris []string
	for uri := range m.followers {
		uris = append(uris, uri)
	}
	m.mu.Unlock()
	m.talkative(ctx, level)
	for _, uri := range uris {
		if err := m.subscription(ctx, "resources/subscribe", uri); err != nil {
			m.t.opts.Logger.Warn("the new session lacks something of the old", "reason", err)
		}
	}
}

// talkative makes the session's log messages start at the level at the latest.
// It never makes them start later: another request may want them.
func (m *modernClient) talkative(ctx context.Context, level string) {
	m.mu.Lock()
	before := m.level
	m.mu.Unlock()
	if level == "" || before != "" && slices.Index(logLevels, before) <= slices.Index(logLevels, level) {
		return
	}
	params := newSplice([]byte("{}"))
	params.set("level", quote(level))
	answer, err := m.t.ask(ctx, requestFrame(m.t.newID(), "logging/setLevel", params.bytes()))
	defer answer.Release()
	if refusal(answer, err) {
		m.t.opts.Logger.Debug("the server took no log level", "reason", err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.level = level
}

// legacyCapabilities is what a legacy remote may know of a modern client's.
func legacyCapabilities(raw []byte) []byte {
	s := newSplice(raw)
	dropTasksExtension(s)
	return s.bytes()
}

// covers reports that a declares all that b does, as far as it matters: members
// of the capabilities and of what they hold.
func covers(a, b []byte) bool {
	formA, _ := elicitationModes(a)
	if formB, _ := elicitationModes(b); formB && !formA {
		return false
	}
	for name, value := range fields(b) {
		mine := wire.Lookup(a, name)
		if mine == nil {
			return false
		}
		for inner := range fields(value) {
			if wire.Lookup(mine, inner) == nil {
				return false
			}
		}
	}
	return true
}

// union declares what a or b does.
func union(a, b []byte) []byte {
	formA, _ := elicitationModes(a)
	formB, _ := elicitationModes(b)
	s := newSplice(a)
	for name, value := range fields(b) {
		mine := s.in(name)
		if mine == nil {
			s.set(name, value)
			continue
		}
		for inner, v := range fields(value) {
			if mine.get(inner) == nil {
				mine.set(inner, v)
			}
		}
	}
	// {} means forms, but not any more next to another mode.
	if e := s.in("elicitation"); e != nil && (formA || formB) {
		e.set("form", []byte("{}"))
	}
	return s.bytes()
}
