package statetest_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

type impatient struct{ state.Store }

func (s impatient) Send(ctx context.Context, topic string, data []byte) (int, error) {
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	n, err := s.Store.Send(short, topic, data)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return 1, nil
	}
	return n, err
}

type shuffles struct {
	state.Store
	mu   sync.Mutex
	held map[string][]byte
}

func (s *shuffles) Send(ctx context.Context, topic string, data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = map[string][]byte{}
	}
	if first := s.held[topic]; first != nil {
		delete(s.held, topic)
		if _, err := s.Store.Send(ctx, topic, data); err != nil {
			return 0, err
		}
		return s.Store.Send(ctx, topic, first)
	}
	n, err := s.Store.Send(ctx, topic+" nobody", nil)
	if err != nil {
		return n, err
	}
	s.held[topic] = bytes.Clone(data)
	return 2, nil
}

type oneTopic struct{ state.Store }

func (s oneTopic) Listen(ctx context.Context, _ string, ready chan<- struct{}, handle func([]byte)) error {
	return s.Store.Listen(ctx, "a", ready, handle)
}

type stubborn struct{ state.Store }

func (s stubborn) Send(ctx context.Context, topic string, data []byte) (int, error) {
	return s.Store.Send(context.WithoutCancel(ctx), topic, data)
}

type hoards struct{ state.Store }

func (s hoards) Send(ctx context.Context, topic string, data []byte) (int, error) {
	go func() { _, _ = s.Store.Send(context.WithoutCancel(ctx), topic, data[:0]) }()
	return 1, nil
}
