package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync/atomic"
)

// directSession speaks Streamable HTTP itself: what a bridge adds is measured against it.
type directSession struct {
	url    string
	client *http.Client
	id     atomic.Pointer[string] // the server's session
	ids    atomic.Int64
	log    noteLog
}

func dial(url string) *directSession {
	return &directSession{url: url, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: outstanding}}}
}

func (s *directSession) call(ctx context.Context, method, params string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	resp, err := s.post(ctx, request(s.ids.Add(1), method, params))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if id := resp.Header.Get("Mcp-Session-Id"); id != "" {
		s.id.Store(&id)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	if kind == "text/event-stream" {
		return s.readEvents(resp.Body)
	}
	body := bytes.NewBuffer(make([]byte, 0, max(resp.ContentLength, 512)+bytes.MinRead))
	_, err = body.ReadFrom(resp.Body)
	return body.Bytes(), err
}

// readEvents reads up to the event that isn't a notification. The remote sends one data line an event.
func (s *directSession) readEvents(stream io.Reader) ([]byte, error) {
	in := bufio.NewReader(stream)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil, errors.Join(errors.New("the stream ended without an answer"), err)
		}
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			continue
		}
		env, err := parse(data)
		if err != nil {
			return nil, err
		}
		if env.Method == "" {
			_, err = io.Copy(io.Discard, in) // so that the connection can be used again
			return data, err
		}
		s.log.add(env)
	}
}

func (s *directSession) notify(ctx context.Context, method string) error {
	resp, err := s.post(ctx, request(0, method, ""))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (s *directSession) post(ctx context.Context, message []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if id := s.id.Load(); id != nil {
		req.Header.Set("Mcp-Session-Id", *id)
		req.Header.Set("Mcp-Protocol-Version", protocolVersion)
	}
	return s.client.Do(req)
}

func (s *directSession) notes() *noteLog { return &s.log }

func (s *directSession) pid() int { return 0 }

func (s *directSession) close() { s.client.CloseIdleConnections() }
