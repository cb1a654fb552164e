package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
)

// message is one line that a bridge wrote.
type message struct {
	raw     []byte
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// peer speaks raw JSON-RPC to a program on stdio.
type peer struct {
	t     *testing.T
	w     io.WriteCloser
	lines chan message
	last  int
}

// bridge starts mcpctl bridge at the desk, as an MCP client does.
func (d desk) bridge(t *testing.T, url string, flags ...string) (*peer, *process) {
	t.Helper()
	p := d.start(t, append([]string{"bridge", url, "--log-level", "debug"}, flags...)...)
	return newPeer(p), p
}

func newPeer(process *process) *peer {
	t := process.t
	p := &peer{t: t, w: process.stdin, lines: make(chan message, 64)}
	process.read.Go(func() {
		defer close(p.lines)
		for br := bufio.NewReaderSize(process.stdout, 1<<20); ; {
			line, err := br.ReadBytes('\n')
			if err != nil {
				if len(line) > 0 {
					t.Errorf("output ends with half a line: %.200q", line)
				}
				return
			}
			m := message{raw: line[:len(line)-1]}
			if err := json.Unmarshal(line, &m); err != nil || m.JSONRPC != "2.0" {
				t.Errorf("not JSON-RPC on standard output: %.200q", line)
			}
			select {
			case p.lines <- m:
			case <-process.ending:
			}
		}
	})
	return p
}

func (p *peer) send(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.w, line+"\n"); err != nil {
		p.t.Fatalf("writing %.100q: %v", line, err)
	}
}

// next returns the next message, and false at the end of the output.
func (p *peer) next(ctx context.Context) (message, bool) {
	p.t.Helper()
	select {
	case m, ok := <-p.lines:
		return m, ok
	case <-ctx.Done():
		p.t.Fatal("no message came")
		return message{}, false
	}
}

// response returns the next response and drops other messages before it.
func (p *peer) response(ctx context.Context) message {
	p.t.Helper()
	for {
		m, ok := p.next(ctx)
		if !ok {
			p.t.Fatal("the output ended without an answer")
		}
		if m.Method == "" {
			return m
		}
	}
}

// call sends a request and returns its answer.
func (p *peer) call(ctx context.Context, method, params string) message {
	p.t.Helper()
	p.last++
	p.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, p.last, method, params))
	m := p.response(ctx)
	if string(m.ID) != fmt.Sprint(p.last) {
		p.t.Fatalf("the answer to %s %d has the id %s", method, p.last, m.ID)
	}
	return m
}

const initialize = `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"e2e","version":"1"}}`

// open opens the session.
func (p *peer) open(ctx context.Context) {
	p.t.Helper()
	if m := p.call(ctx, "initialize", initialize); m.Error != nil {
		p.t.Fatalf("initialize: %s", m.raw)
	}
	p.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

// works makes sure that a call is answered.
func (p *peer) works(ctx context.Context) {
	p.t.Helper()
	if m := p.call(ctx, "tools/list", `{}`); m.Error != nil {
		p.t.Fatalf("tools/list: %s", m.raw)
	}
}

// refused makes sure that m is an error whose message holds every part.
func (p *peer) refused(m message, parts ...string) {
	p.t.Helper()
	if m.Error == nil {
		p.t.Fatalf("got %.300s instead of an error", m.raw)
	}
	for _, part := range parts {
		if !strings.Contains(m.Error.Message, part) {
			p.t.Errorf("the error does not say %q: %s", part, m.Error.Message)
		}
	}
	checkNoSecret(p.t, "an error", m.Error.Message)
}
