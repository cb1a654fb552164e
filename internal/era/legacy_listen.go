package era

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// filter is what a subscriptions/listen asks for (MCP 2026-07-28
// basic/patterns/subscriptions, Notification Filter).
type filter struct {
	Tools     bool     `json:"toolsListChanged,omitempty"`
	Prompts   bool     `json:"promptsListChanged,omitempty"`
	Resources bool     `json:"resourcesListChanged,omitempty"`
	URIs      []string `json:"resourceSubscriptions,omitempty"`
}

func (f filter) empty() bool {
	return !f.Tools && !f.Prompts && !f.Resources && len(f.URIs) == 0
}

// subscriptions keeps one subscriptions/listen open for all that a legacy client
// wants to be told.
type subscriptions struct {
	l     *legacyClient
	lists filter // what the remote can tell of lists

	mu      sync.Mutex
	wanted  map[string]bool
	version int           // of wanted
	changed chan struct{} // closed when version moves on
	settled struct {
		version int
		uris    []string // that the remote will tell of
		err     error
		moved   chan struct{} // closed when it moves on
	}
	streams map[string]*stream // by id key
	refused error              // why there will be no stream at all
}

// stream is one subscriptions/listen.
type stream struct {
	id      wire.ID
	version int
	since   time.Time
	cancel  context.CancelFunc
	acked   chan struct{}
	granted filter // once acked
	ackOnce sync.Once
	done    chan struct{}
	err     error // once done
}

func (s *subscriptions) init(l *legacyClient) {
	s.l = l
	can := func(path ...string) bool { return string(wire.Lookup(l.server, path...)) == "true" }
	s.lists = filter{Tools: can("tools", "listChanged"), Prompts: can("prompts", "listChanged"), Resources: can("resources", "listChanged")}
	s.wanted = map[string]bool{}
	s.changed, s.settled.moved = make(chan struct{}), make(chan struct{})
	s.streams = map[string]*stream{}
}

func (s *subscriptions) uris() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sorted()
}

func (s *subscriptions) sorted() []string {
	list := make([]string, 0, len(s.wanted))
	for uri := range s.wanted {
		list = append(list, uri)
	}
	slices.Sort(list)
	return list
}

// want reports what is wanted now, and a channel that is closed when that
// changes.
func (s *subscriptions) want() (filter, int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.lists
	f.URIs = s.sorted()
	return f, s.version, s.changed
}

// moveOn counts a change; the caller holds the lock.
func (s *subscriptions) moveOn() int {
	s.version++
	close(s.changed)
	s.changed = make(chan struct{})
	return s.version
}

func (s *subscriptions) settle(version int, uris []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled.version, s.settled.uris, s.settled.err = version, uris, err
	close(s.settled.moved)
	s.settled.moved = make(chan struct{})
}

// subscribe adds a resource and answers once the remote has agreed.
func (s *subscriptions) subscribe(ctx context.Context, f wire.Frame) wire.Frame {
	uri := wire.LookupString(f.Raw, "params", "uri")
	if string(wire.Lookup(s.l.server, "resources", "subscribe")) != "true" {
		return wire.NewError(f.ID, wire.CodeMethodNotFound, "Method not found: the server does not tell of changes to resources", nil)
	}
	s.mu.Lock()
	version := s.version
	switch {
	case s.refused != nil:
		s.mu.Unlock()
		return wire.NewError(f.ID, wire.CodeInternal, "The server does not take subscriptions: "+s.refused.Error(), nil)
	case s.wanted[uri]:
	case len(s.wanted) >= s.l.t.opts.Limits.Subscriptions:
		s.mu.Unlock()
		return wire.NewError(f.ID, wire.CodeInternal, "Too many resources are subscribed to", nil)
	default:
		s.wanted[uri] = true
		version = s.moveOn()
	}
	s.mu.Unlock()
	if err := s.await(ctx, version, uri); err != nil {
		s.remove(uri)
		return wire.NewError(f.ID, wire.CodeInternal, "The subscription was not established: "+err.Error(), nil)
	}
	return resultFrame(f.ID, []byte("{}"))
}

var (
	errNotGranted = errors.New("the server does not tell of changes to this resource")
	errNoAck      = errors.New("the server did not acknowledge it in time")
)

// await waits until the remote has answered for a version.
func (s *subscriptions) await(ctx context.Context, version int, uri string) error {
	timeout := time.NewTimer(s.l.t.opts.Limits.Settle)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		settled := s.settled
		s.mu.Unlock()
		if settled.version >= version {
			if settled.err == nil && !slices.Contains(settled.uris, uri) {
				return errNotGranted
			}
			return settled.err
		}
		select {
		case <-settled.moved:
		case <-timeout.C:
			return errNoAck
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *subscriptions) remove(uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted[uri] {
		delete(s.wanted, uri)
		s.moveOn()
	}
}

func (s *subscriptions) unsubscribe(f wire.Frame) wire.Frame {
	s.remove(wire.LookupString(f.Raw, "params", "uri"))
	return resultFrame(f.ID, []byte("{}"))
}

// acknowledged takes the first message of a stream.
func (s *subscriptions) acknowledged(f wire.Frame) {
	st := s.stream(wire.ID(wire.Lookup(f.Raw, "params", "_meta", metaSubscription)))
	if st == nil {
		return
	}
	st.ackOnce.Do(func() {
		if err := json.Unmarshal(wire.Lookup(f.Raw, "params", "notifications"), &st.granted); err != nil {
			st.granted = filter{}
		}
		close(st.acked)
	})
}

// ended takes the remote's word that a stream is over.
func (s *subscriptions) ended(id wire.ID) {
	if st := s.stream(id); st != nil {
		st.cancel()
	}
}

func (s *subscriptions) stream(id wire.ID) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[id.Key()]
}

// open starts a stream; it ends with ctx or stop.
func (s *subscriptions) open(ctx context.Context, want filter, version int) *stream {
	st := &stream{id: s.l.t.newID(), version: version, since: time.Now(), acked: make(chan struct{}), done: make(chan struct{})}
	ctx, st.cancel = context.WithCancel(ctx)
	notifications, err := json.Marshal(want)
	if err != nil {
		panic("era: " + err.Error()) // booleans and strings
	}
	params := newSplice([]byte("{}"))
	params.set("notifications", notifications)
	params.set("_meta", s.l.identity().meta())
	request := requestFrame(st.id, "subscriptions/listen", params.bytes())
	s.mu.Lock()
	s.streams[st.id.Key()] = st
	s.mu.Unlock()
	go func() {
		defer close(st.done)
		defer st.cancel() // else the listener's context would keep one for each stream
		answer, err := s.l.t.ask(ctx, request)
		defer answer.Release()
		if err == nil && answer.Failed {
			err = &wire.StatusError{Status: http.StatusBadRequest, Answer: answer.Clone()}
		}
		st.err = err
		s.mu.Lock()
		delete(s.streams, st.id.Key())
		s.mu.Unlock()
	}()
	return st
}

func (st *stream) stop() {
	if st != nil {
		st.cancel()
		<-st.done
	}
}

// Pauses between attempts to open a stream, and how long one has to live to be
// taken for healthy.
const (
	firstListenPause   = 250 * time.Millisecond
	longestListenPause = 15 * time.Second
	healthyStream      = 30 * time.Second
)

// listen keeps the stream open until ctx ends or the remote has none. When what
// is wanted changes, the new stream is opened before the old one is closed.
func (l *legacyClient) listen(ctx context.Context) error {
	s := &l.subs
	var current *stream
	defer func() { current.stop() }()
	var pause pauses
	lost := false
	for {
		want, version, changed := s.want()
		switch {
		case want.empty():
			current.stop()
			current = nil
			s.settle(version, nil, nil)
		case current == nil || current.version != version:
			next, err := l.replaceStream(ctx, current, want, version)
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if neverListens(err) {
					s.refuse(err)
					return wire.ErrNoListen
				}
				l.t.opts.Logger.Info("the server's notifications can't be listened to at the moment", "reason", err)
				lost = lost || current == nil
				if err := pause.wait(ctx, firstListenPause, longestListenPause); err != nil {
					return err
				}
				continue
			}
			current = next
			if lost {
				lost = false
				if err := l.missed(ctx, current.granted); err != nil {
					return err
				}
			}
		}
		var ended <-chan struct{}
		if current != nil {
			ended = current.done
		}
		select {
		case <-changed:
		case <-ended:
			l.t.opts.Logger.Debug("the server's notifications ended; asking for them again", "reason", current.err)
			if time.Since(current.since) > healthyStream {
				pause = pauses{}
			}
			current, lost = nil, true
			if err := pause.wait(ctx, firstListenPause, longestListenPause); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// replaceStream opens a stream and, once it stands, closes the one before.
func (l *legacyClient) replaceStream(ctx context.Context, old *stream, want filter, version int) (*stream, error) {
	next := l.subs.open(ctx, want, version)
	timeout := time.NewTimer(l.t.opts.Limits.Settle)
	defer timeout.Stop()
	var err error
	select {
	case <-next.acked:
		old.stop()
		l.subs.settle(version, next.granted.URIs, nil)
		return next, nil
	case <-next.done:
		if err = next.err; err == nil {
			err = errors.New("the server ended the subscription before it began")
		}
	case <-timeout.C:
		err = errNoAck
	case <-ctx.Done():
		err = ctx.Err()
	}
	next.stop()
	l.subs.settle(version, nil, err)
	return nil, err
}

// refuse lets no more subscriptions in.
func (s *subscriptions) refuse(err error) {
	s.mu.Lock()
	s.refused = err
	s.mu.Unlock()
	s.settle(math.MaxInt, nil, err)
}

// neverListens reports that the remote has no subscriptions at all.
func neverListens(err error) bool {
	var status *wire.StatusError
	return errors.As(err, &status) && errorCode(status.Answer) == wire.CodeMethodNotFound
}

// missed tells the client that something may have happened while nobody
// listened.
func (l *legacyClient) missed(ctx context.Context, f filter) error {
	var notes []wire.Frame
	for _, list := range []struct {
		told bool
		name string
	}{{f.Tools, "tools"}, {f.Prompts, "prompts"}, {f.Resources, "resources"}} {
		if list.told {
			notes = append(notes, noteFrame("notifications/"+list.name+"/list_changed", nil))
		}
	}
	for _, uri := range f.URIs {
		params := newSplice([]byte("{}"))
		params.set("uri", quote(uri))
		notes = append(notes, noteFrame("notifications/resources/updated", params.bytes()))
	}
	for _, f := range notes {
		if err := l.t.opts.Deliver(ctx, f); err != nil {
			return err
		}
	}
	return nil
}
