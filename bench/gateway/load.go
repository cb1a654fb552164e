package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// A result is one turn of a subject.
type result struct {
	perSecond float64
	latencies []time.Duration
	cpu       time.Duration // of each request
}

// turn has so many clients call echo, each in a session of its own and one call after the other.
func (s *subject) turn(ctx context.Context, clients int, length time.Duration) (result, error) {
	sessions := make([]*caller, clients)
	var opening errgroup.Group
	opening.SetLimit(8)
	for i := range sessions {
		sessions[i] = &caller{url: s.url, token: s.token}
		opening.Go(func() error { return sessions[i].open(ctx) })
	}
	defer func() {
		for _, c := range sessions {
			c.end()
		}
	}()
	if err := opening.Wait(); err != nil {
		return result{}, err
	}
	if _, err := drive(ctx, sessions, length/4); err != nil { // warm up
		return result{}, err
	}
	before, started := s.process.cpu(), time.Now()
	latencies, err := drive(ctx, sessions, length)
	if err != nil {
		return result{}, err
	}
	r := result{latencies: latencies, perSecond: float64(len(latencies)) / time.Since(started).Seconds()}
	r.cpu = (s.process.cpu() - before) / time.Duration(len(latencies))
	return r, nil
}

func drive(ctx context.Context, sessions []*caller, length time.Duration) ([]time.Duration, error) {
	until := time.Now().Add(length)
	var mu sync.Mutex
	var all []time.Duration
	var calling errgroup.Group
	for _, c := range sessions {
		calling.Go(func() error {
			var mine []time.Duration
			for time.Now().Before(until) {
				began := time.Now()
				if err := c.echo(ctx); err != nil {
					return err
				}
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
			return nil
		})
	}
	err := calling.Wait()
	if err == nil && len(all) == 0 {
		err = errors.New("no call was answered in time")
	}
	return all, err
}

// A caller is one client's session on a connection of its own.
type caller struct {
	url, token string
	session    string
	calls      int
	text, out  []byte
	line       *line
}

const (
	protocolVersion = "2025-06-18"
	answerTimeout   = 30 * time.Second
)

func (c *caller) open(ctx context.Context) error {
	target, err := url.Parse(c.url)
	if err != nil {
		return err
	}
	if c.line, err = dial(ctx, target); err != nil {
		return err
	}
	if c.token != "" {
		c.line.fields = "Authorization: Bearer " + c.token + "\r\n"
	}
	if err := c.line.post([]byte(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + protocolVersion + `","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`)); err != nil {
		return fmt.Errorf("initializing: %w", err)
	}
	if !bytes.Contains(c.line.body, []byte(`"serverInfo"`)) {
		return fmt.Errorf("initialize was answered with %.200s", c.line.body)
	}
	if c.session = c.line.session; c.session != "" {
		c.line.fields += "Mcp-Session-Id: " + c.session + "\r\nMcp-Protocol-Version: " + protocolVersion + "\r\n"
	}
	return c.line.post([]byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`))
}

// echo makes one call and checks that the answer is its own.
func (c *caller) echo(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.calls++
	c.text = fmt.Appendf(c.text[:0], "call %p %d", c, c.calls)
	c.out = append(c.out[:0], `{"jsonrpc":"2.0","id":`...)
	c.out = strconv.AppendInt(c.out, int64(c.calls), 10)
	c.out = append(c.out, `,"method":"tools/call","params":{"name":"echo","arguments":{"text":"`...)
	c.out = append(append(c.out, c.text...), `"}}}`...)
	if err := c.line.post(c.out); err != nil {
		return err
	}
	if !bytes.Contains(c.line.body, c.text) {
		return fmt.Errorf("echo of %q was answered with %.200s", c.text, c.line.body)
	}
	return nil
}

// end gives the session up. A peer that has failed may not answer that any more.
func (c *caller) end() {
	if c.line == nil {
		return
	}
	if c.session != "" {
		_ = c.line.exchange(http.MethodDelete, nil)
	}
	_ = c.line.conn.Close()
}
