package state

import (
	"bytes"
	"context"
	"sync"
)

type memoryMail struct {
	mu     sync.Mutex
	topics map[string]map[*listener]struct{}
}

// listener is one Listen call. Its queue is unbuffered: a sender waits for it.
type listener struct {
	queue chan []byte
	gone  chan struct{}
}

func (mm *memoryMail) add(topic string, l *listener) {
	mm.mu.Lock()
	defer mm.mu.Unlock()
	if mm.topics[topic] == nil {
		mm.topics[topic] = map[*listener]struct{}{}
	}
	mm.topics[topic][l] = struct{}{}
}

func (mm *memoryMail) remove(topic string, l *listener) {
	close(l.gone)
	mm.mu.Lock()
	defer mm.mu.Unlock()
	delete(mm.topics[topic], l)
	if len(mm.topics[topic]) == 0 {
		delete(mm.topics, topic)
	}
}

func (mm *memoryMail) listeners(topic string) []*listener {
	mm.mu.Lock()
	defer mm.mu.Unlock()
	all := make([]*listener, 0, len(mm.topics[topic]))
	for l := range mm.topics[topic] {
		all = append(all, l)
	}
	return all
}

// Send implements Mail.
func (m *Memory) Send(ctx context.Context, topic string, data []byte) (int, error) {
	if err := m.check(ctx, topic); err != nil {
		return 0, err
	}
	if len(data) > MaxValue {
		return 0, ErrTooLarge
	}
	reached := 0
	for _, l := range m.mail.listeners(topic) {
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
	if err := m.check(ctx, topic); err != nil {
		return err
	}
	l := &listener{queue: make(chan []byte), gone: make(chan struct{})}
	m.mail.add(topic, l)
	defer m.mail.remove(topic, l)
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
