package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// lastAnswers bounds how long answers that are on their way are waited for when
// all requests have been settled.
const lastAnswers = 2 * time.Second

// connections counts those on which a request is on its way or answered. The
// zero value is ready for use.
type connections struct {
	mu   sync.Mutex
	busy map[net.Conn]struct{}
}

// track is http.Server.ConnState.
func (c *connections) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy == nil {
		c.busy = map[net.Conn]struct{}{}
	}
	switch state {
	case http.StateNew, http.StateActive:
		c.busy[conn] = struct{}{}
	case http.StateIdle, http.StateHijacked, http.StateClosed:
		delete(c.busy, conn)
	}
}

// settle waits until none is busy or ctx ends.
func (c *connections) settle(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		c.mu.Lock()
		busy := len(c.busy)
		c.mu.Unlock()
		if busy == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
