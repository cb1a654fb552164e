package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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
	transport := &http.Transport{MaxIdleConnsPerHost: clients + 1, DisableCompression: true}
	defer transport.CloseIdleConnections()
	sessions := make([]*caller, clients)
	var opening errgroup.Group
	opening.SetLimit(8)
	for i := range sessions {
		sessions[i] = &caller{http: transport, url: s.url, token: s.token}
		opening.Go(func() error { return sessions[i].open(ctx) })
	}
	defer func() {
		for _, c := range sessions {
			c.end(ctx)
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

// A caller is one client's session.
type caller struct {
	http       *http.Transport
	url, token string
	session    string
	calls      int
}

const (
	protocolVersion = "2025-06-18"
	answerTimeout   = 30 * time.Second
)

func (c *caller) open(ctx context.Context) error {
	answer, header, err := c.post(ctx, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"`+protocolVersion+`","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`)
	if err != nil {
		return fmt.Errorf("initializing: %w", err)
	}
	if !bytes.Contains(answer, []byte(`"serverInfo"`)) {
		return fmt.Errorf("initialize was answered with %.200s", answer)
	}
	c.session = header.Get("Mcp-Session-Id")
	_, _, err = c.post(ctx, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return err
}

// echo makes one call and checks that the answer is its own.
func (c *caller) echo(ctx context.Context) error {
	c.calls++
	text := fmt.Sprintf("call %p %d", c, c.calls)
	answer, _, err := c.post(ctx, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"echo","arguments":{"text":"%s"}}}`, c.calls, text))
	if err != nil {
		return err
	}
	if !bytes.Contains(answer, []byte(text)) {
		return fmt.Errorf("echo of %q was answered with %.200s", text, answer)
	}
	return nil
}

func (c *caller) end(ctx context.Context) {
	if c.session == "" {
		return
	}
	r, err := c.request(ctx, http.MethodDelete, "")
	if err != nil {
		return
	}
	if resp, err := c.http.RoundTrip(r); err == nil {
		_ = resp.Body.Close()
	}
}

func (c *caller) request(ctx context.Context, method, body string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header["Content-Type"] = []string{"application/json"}
	r.Header["Accept"] = []string{"application/json, text/event-stream"}
	if c.session != "" {
		r.Header["Mcp-Session-Id"] = []string{c.session}
		r.Header["Mcp-Protocol-Version"] = []string{protocolVersion}
	}
	if c.token != "" {
		r.Header["Authorization"] = []string{"Bearer " + c.token}
	}
	return r, nil
}

func (c *caller) post(ctx context.Context, body string) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	r, err := c.request(ctx, http.MethodPost, body)
	if err != nil {
		return nil, nil, err
	}
	resp, err := c.http.RoundTrip(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return nil, nil, fmt.Errorf("the server answered %s: %s", resp.Status, text)
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		answer, err := io.ReadAll(resp.Body)
		return answer, resp.Header, err
	}
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok && len(bytes.TrimSpace(data)) > 0 {
			_, _ = io.Copy(io.Discard, lines) // so that the connection can be used again
			return data, resp.Header, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("the stream ended without an answer: %w", err)
		}
	}
}
