package state

import (
	"bytes"
	"context"
)

// listener is one Listen call. Its queue is unbuffered: a sender waits for it.
type listener struct {
	queue chan []byte
	gone  chan struct{}
}

// Send implements Mail.
func (m *Memory) Send(ctx context.Context, topic string, data []byte) (int, error) {
	if len(data) > MaxValue {
		return 0, ErrTooLarge
	}
	if err := m.enter(ctx, topic); err != nil {
		return 0, err
	}
	var to []*listener
	for l := range m.topics[topic] {
		to = append(to, l)
	}
	m.mu.Unlock()
	reached := 0
	for _, l := range to {
		select {
		case l.queue <- bytes.Clone(data):
			reached++
		case <-l.gone:
		case <-m.stop:
			return reached, ErrClosed
		case <-ctx.Done():
			return reached, ctx.Err()
		}
	}
	return reached, nil
}

// Listen implements Mail.
func (m *Memory) Listen(ctx context.Context, topic string, ready chan<- struct{}, handle func(data []byte)) error {
	if err := m.enter(ctx, topic); err != nil {
		return err
	}
	l := &listener{queue: make(chan []byte), gone: make(chan struct{})}
	if m.topics[topic] == nil {
		m.topics[topic] = map[*listener]struct{}{}
	}
	m.topics[topic][l] = struct{}{}
	m.mu.Unlock()
	defer func() {
		close(l.gone)
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.topics[topic], l)
		if len(m.topics[topic]) == 0 {
			delete(m.topics, topic)
		}
	}()
	if ready != nil {
		close(ready)
	}
	for {
		select {
		case data := <-l.queue:
			handle(data)
		case <-m.stop:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
