package statetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

var mailParts = []part{
	{"MailReachesEveryListener", mail},
	{"MailIsACopy", mailCopied},
	{"MailOfManySendersIsInOrder", mailSenders},
	{"MailWaitsForSlowListeners", mailWaits},
	{"MailEndsWithItsContext", mailEnds},
}

// listener is a Listen call that runs.
type listener struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// listen starts a listener and returns once it is ready.
func listen(t *testing.T, s state.Store, topic string, handle func([]byte)) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &listener{cancel, make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		defer close(l.ended)
		if err := s.Listen(ctx, topic, ready, handle); !errors.Is(err, context.Canceled) {
			t.Errorf("Listen: %v", err)
		}
	}()
	t.Cleanup(func() { l.end(t) })
	within(t, "a listener", ready)
	return l
}

// end stops the listener and waits for it.
func (l *listener) end(t *testing.T) {
	t.Helper()
	l.cancel()
	within(t, "a listener's end", l.ended)
}

// inbox keeps what a listener hears.
type inbox struct {
	mu       sync.Mutex
	messages []string
	awaited  int
	full     chan struct{}
}

func newInbox(awaited int) *inbox { return &inbox{awaited: awaited, full: make(chan struct{})} }

func (in *inbox) add(data []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.messages = append(in.messages, string(data)); len(in.messages) == in.awaited {
		close(in.full)
	}
}

func (in *inbox) all(t *testing.T) []string {
	t.Helper()
	within(t, "messages", in.full)
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.messages)
}

func mail(t *testing.T, _ Harness, s state.Store) {
	const messages = 200
	ctx := patient(t)
	if n, err := s.Send(ctx, "a", []byte("lost")); err != nil || n != 0 {
		t.Errorf("without listeners: %d, %v", n, err)
	}
	boxes := []*inbox{newInbox(messages), newInbox(messages)}
	first := listen(t, s, "a", boxes[0].add)
	listen(t, s, "a", boxes[1].add)
	listen(t, s, "b", func(data []byte) { t.Errorf("topic b got %q", data) })
	var sent []string
	for i := range messages {
		sent = append(sent, fmt.Sprint("m", i))
		if n, err := s.Send(ctx, "a", []byte(sent[i])); err != nil || n != 2 {
			t.Fatalf("%d listeners, %v", n, err)
		}
	}
	for i, box := range boxes {
		if got := box.all(t); !slices.Equal(got, sent) {
			t.Errorf("listener %d got %d messages, not in order", i, len(got))
		}
	}
	first.end(t)
	if n, err := s.Send(ctx, "a", []byte("later")); err != nil || n != 1 {
		t.Errorf("after one has left: %d listeners, %v", n, err)
	}
}

func mailCopied(t *testing.T, _ Harness, s state.Store) {
	box := newInbox(2)
	listen(t, s, "a", func(data []byte) {
		box.add(data)
		data[0] = 'y'
	})
	listen(t, s, "a", func(data []byte) { box.add(data) })
	data := []byte("x")
	_, err := s.Send(patient(t), "a", data)
	must(t, err)
	data[0] = 'z'
	if got := box.all(t); got[0] != "x" || got[1] != "x" {
		t.Errorf("got %q", got)
	}
}

func mailSenders(t *testing.T, _ Harness, s state.Store) {
	const senders, each = 10, 100
	ctx := patient(t)
	box := newInbox(senders * each)
	listen(t, s, "a", box.add)
	var sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			for n := range each {
				if _, err := s.Send(ctx, "a", fmt.Appendf(nil, "%d %d", i, n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sending.Wait()
	next := make([]int, senders)
	for _, text := range box.all(t) {
		var i, n int
		if _, err := fmt.Sscan(text, &i, &n); err != nil || n != next[i] {
			t.Fatalf("%q: %v; message %d of this sender should come", text, err, next[i])
		}
		next[i]++
	}
}

func mailWaits(t *testing.T, _ Harness, s state.Store) {
	const messages = 1000
	ctx := patient(t)
	hold, box := make(chan struct{}), newInbox(messages)
	listen(t, s, "a", func(data []byte) { <-hold; box.add(data) })
	others := newInbox(1)
	listen(t, s, "b", others.add)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range messages {
			if n, err := s.Send(ctx, "a", fmt.Append(nil, i)); err != nil || n != 1 {
				t.Errorf("message %d: %d listeners, %v", i, n, err)
				return
			}
		}
	}()
	_, err := s.Send(ctx, "b", []byte("x")) // other topics have nothing to do with it
	must(t, err)
	others.all(t)
	time.Sleep(20 * time.Millisecond) // for a store that gives up waiting
	close(hold)
	within(t, "all messages to be sent", sent)
	for i, text := range box.all(t) {
		if text != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, text)
		}
	}
}

func mailEnds(t *testing.T, _ Harness, s state.Store) {
	hold := make(chan struct{})
	listen(t, s, "a", func([]byte) { <-hold })
	defer close(hold)
	// Whatever a store holds for a slow listener, it is not without bound.
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		data := make([]byte, 1<<20)
		for range 10_000 {
			if _, err := s.Send(ctx, "a", data); err != nil {
				ended <- err
				return
			}
		}
		ended <- errors.New("10 GB wait for a listener that takes nothing")
	}()
	select {
	case err := <-ended:
		want(t, err, context.DeadlineExceeded)
	case <-time.After(patience):
		t.Fatal("Send waits longer than its context")
	}
}
