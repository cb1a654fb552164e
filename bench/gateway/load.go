package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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

// A caller is one client's session on a connection of its own. It speaks HTTP with as little work as can be: it runs on the
// processors that the subjects need.
type caller struct {
	url, token string
	session    string
	calls      int
	conn       net.Conn
	in         *bufio.Reader
	out        []byte
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
	var d net.Dialer
	if c.conn, err = d.DialContext(ctx, "tcp", target.Host); err != nil {
		return err
	}
	c.in = bufio.NewReader(c.conn)
	answer, header, err := c.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + protocolVersion + `","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`)
	if err != nil {
		return fmt.Errorf("initializing: %w", err)
	}
	if !bytes.Contains(answer, []byte(`"serverInfo"`)) {
		return fmt.Errorf("initialize was answered with %.200s", answer)
	}
	c.session = header.Get("Mcp-Session-Id")
	_, _, err = c.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return err
}

// echo makes one call and checks that the answer is its own.
func (c *caller) echo(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.calls++
	text := fmt.Sprintf("call %p %d", c, c.calls)
	answer, _, err := c.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"echo","arguments":{"text":"%s"}}}`, c.calls, text))
	if err != nil {
		return err
	}
	if !bytes.Contains(answer, []byte(text)) {
		return fmt.Errorf("echo of %q was answered with %.200s", text, answer)
	}
	return nil
}

// end gives the session up. A peer that has failed may not answer that any more.
func (c *caller) end() {
	if c.conn == nil {
		return
	}
	if c.session != "" {
		_, _, _ = c.exchange(http.MethodDelete, "")
	}
	_ = c.conn.Close()
}

func (c *caller) post(body string) ([]byte, http.Header, error) {
	return c.exchange(http.MethodPost, body)
}

func (c *caller) exchange(method, body string) ([]byte, http.Header, error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, nil, err
	}
	target, err := url.Parse(c.url)
	if err != nil {
		return nil, nil, err
	}
	b := fmt.Appendf(c.out[:0], "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: %d\r\n",
		method, target.Path, target.Host, len(body))
	if c.session != "" {
		b = fmt.Appendf(b, "Mcp-Session-Id: %s\r\nMcp-Protocol-Version: %s\r\n", c.session, protocolVersion)
	}
	if c.token != "" {
		b = fmt.Appendf(b, "Authorization: Bearer %s\r\n", c.token)
	}
	c.out = append(append(b, "\r\n"...), body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return nil, nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body) // an event stream ends with the answer
	switch {
	case err != nil:
		return nil, nil, err
	case resp.StatusCode >= 300:
		return nil, nil, fmt.Errorf("the server answered %s: %.500s", resp.Status, answer)
	}
	return answer, resp.Header, nil
}
