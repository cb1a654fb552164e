package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

// lostStore can't be asked.
type lostStore struct {
	state.Store
	mu   sync.Mutex
	lost bool
}

var errLost = errors.New("the store is out of reach")

func (s *lostStore) lose(lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = lost
}

func (s *lostStore) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost {
		return errLost
	}
	return nil
}

func (s *lostStore) PutSession(ctx context.Context, in state.Session, ttl time.Duration, q state.Quota) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.Store.PutSession(ctx, in, ttl, q)
}

func (s *lostStore) Session(ctx context.Context, id, owner string, ttl time.Duration) (state.Session, error) {
	if err := s.err(); err != nil {
		return state.Session{}, err
	}
	return s.Store.Session(ctx, id, owner, ttl)
}

func (s *lostStore) AppendEvent(ctx context.Context, session string, stream uint64, e state.Event, keep state.Keep) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.Store.AppendEvent(ctx, session, stream, e, keep)
}

// mailStore does something to each request that passes through its mail.
type mailStore struct {
	state.Store
	send func(data []byte) (changed []byte, err error)
}

func (s *mailStore) Send(ctx context.Context, topic string, data []byte) (int, error) {
	if !bytes.Contains(data, []byte(`"k":"request"`)) {
		return s.Store.Send(ctx, topic, data)
	}
	data, err := s.send(data)
	n, sendErr := s.Store.Send(ctx, topic, data)
	return n, errors.Join(err, sendErr)
}

// Who can write to the store can't have a caller ask for something else.
func TestReplicaBelievesNoChangedRequest(t *testing.T) {
	store := &mailStore{Store: sharedStore(t), send: func(data []byte) ([]byte, error) {
		return bytes.Replace(data, []byte("harmless"), []byte("harmful!"), 1), nil
	}}
	home, away := startReplica(t, store, sharedKey), startReplica(t, store, sharedKey)
	v := visit(t, "ada")
	v.initialize(home)
	if resp := v.do(away, http.MethodPost, "/mcp", call(1, "echo", `{"text":"harmless"}`)); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %s: %s", resp.Status, v.text(resp))
	}
	if resp := v.do(away, http.MethodPost, "/mcp", call(2, "echo", `{"text":"as it was"}`), "Origin", "https://good.example"); resp.StatusCode != http.StatusOK {
		t.Errorf("got %s: %s", resp.Status, v.text(resp))
	}
}

// A request that the other replica may have got, or not, is not answered so that
// clients send it again.
func TestReplicaThatMayHaveHeard(t *testing.T) {
	store := &mailStore{Store: sharedStore(t), send: func(data []byte) ([]byte, error) { return data, errLost }}
	home, away := startReplica(t, store, sharedKey), startReplica(t, store, sharedKey)
	v := visit(t, "ada")
	v.initialize(home)
	resp := v.do(away, http.MethodPost, "/mcp", call(1, "echo", `{}`))
	if resp.StatusCode != http.StatusBadGateway || resp.Header.Get("Retry-After") != "" {
		t.Errorf("got %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
}

// Sessions that live here go on without the store; what only it knows is
// refused as something that may be tried again.
func TestReplicaWithoutItsStore(t *testing.T) {
	store := &lostStore{Store: sharedStore(t)}
	home, away := startReplica(t, store, sharedKey), startReplica(t, store, sharedKey)
	v := visit(t, "ada")
	v.initialize(home)
	store.lose(true)
	s := v.stream(home, http.MethodPost, "/mcp", call(1, "steps", `{"n":2}`))
	s.expect(`"progress":1`)
	s.expect(`"progress":2`)
	s.expect(`"id":1,"result"`)
	for what, resp := range map[string]*http.Response{
		"another's session": v.do(away, http.MethodPost, "/mcp", call(2, "echo", `{}`)),
		"a new session":     visit(t, "ada").do(away, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`),
	} {
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s", what, resp.Status)
		}
	}
	store.lose(false)
	if resp := v.do(away, http.MethodPost, "/mcp", call(3, "echo", `{}`)); resp.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %s", resp.Status)
	}
}
