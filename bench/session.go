package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"
)

const (
	protocolVersion = "2025-06-18"
	answerTimeout   = 30 * time.Second
)

// A session is one client's connection to the remote, through a bridge or without one. call and notify may be used by
// several goroutines at once.
type session interface {
	// call sends a request and returns the message that answers it.
	call(ctx context.Context, method, params string) ([]byte, error)
	// notify sends a notification.
	notify(ctx context.Context, method string) error
	// notes are the numbered notifications that arrived.
	notes() *noteLog
	// pid is the process that does the work, 0 if it is this one.
	pid() int
	// close ends the session and what it started. It blocks for a few seconds at most.
	close()
}

// initialize opens the session as every client does. What must follow is initialized.
func initialize(ctx context.Context, s session) error {
	answer, err := s.call(ctx, "initialize", `{"protocolVersion":"`+protocolVersion+`","capabilities":{},`+
		`"clientInfo":{"name":"bench","version":"1"}}`)
	if err != nil {
		return fmt.Errorf("initializing: %w", err)
	}
	if !bytes.Contains(answer, []byte(`"serverInfo"`)) {
		return fmt.Errorf("initializing: answered %.200s", answer)
	}
	return nil
}

// initialized says that the answer to initialize was understood, and asks for the tools.
func initialized(ctx context.Context, s session) error {
	if err := s.notify(ctx, "notifications/initialized"); err != nil {
		return fmt.Errorf("initializing: %w", err)
	}
	answer, err := s.call(ctx, "tools/list", "{}")
	if err == nil && !bytes.Contains(answer, []byte(`"echo_stream"`)) {
		err = fmt.Errorf("answered %.200s", answer)
	}
	if err != nil {
		return fmt.Errorf("listing tools: %w", err)
	}
	return nil
}

// callTool calls a tool and checks that the answer holds want.
func callTool(ctx context.Context, s session, tool, args, want string) error {
	answer, err := s.call(ctx, "tools/call", `{"name":"`+tool+`","arguments":`+args+`}`)
	if err != nil {
		return fmt.Errorf("calling %s: %w", tool, err)
	}
	if !bytes.Contains(answer, []byte(want)) {
		return fmt.Errorf("calling %s: %q isn't in the answer %.200s", tool, want, answer)
	}
	return nil
}

// echo calls an echo tool with a text of its own, so that another call's answer would be noticed.
func echo(ctx context.Context, s session, tool string, n int64) error {
	text := `"text-` + strconv.FormatInt(n, 10) + `."`
	return callTool(ctx, s, tool, `{"text":`+text+`}`, text)
}

// request renders a request or, with id 0, a notification.
func request(id int64, method, params string) []byte {
	out := []byte(`{"jsonrpc":"2.0",`)
	if id != 0 {
		out = append(strconv.AppendInt(append(out, `"id":`...), id, 10), ',')
	}
	out = append(append(out, `"method":"`...), method...)
	if params == "" {
		return append(out, `"}`...)
	}
	out = append(append(out, `","params":`...), params...)
	return append(out, '}')
}

// An envelope is what the harness reads of an incoming message.
type envelope struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Data struct {
			Seq *int `json:"seq"`
		} `json:"data"`
	} `json:"params"`
}

// parse reads the envelope of a message. Of a long one it looks at both ends only, wherever the sender put the id: parsing
// 10 MB would cost more than relaying them.
func parse(raw []byte) (envelope, error) {
	const long, end = 16 << 10, 256
	var env envelope
	if len(raw) <= long {
		err := json.Unmarshal(raw, &env)
		return env, err
	}
	for _, part := range [][]byte{raw[:end], raw[len(raw)-end:]} {
		if _, rest, ok := bytes.Cut(part, []byte(`"id":`)); ok {
			digits := bytes.TrimLeft(rest, " ")
			digits = digits[:len(digits)-len(bytes.TrimLeft(digits, "0123456789"))]
			env.ID = json.RawMessage(digits)
			return env, nil
		}
	}
	return env, fmt.Errorf("no id at either end of a message of %d bytes", len(raw))
}

// A noteLog collects the numbers of the notifications that arrived, in order. It is safe for concurrent use.
type noteLog struct {
	mu   sync.Mutex
	seqs []int
}

func (l *noteLog) add(env envelope) {
	if env.Params.Data.Seq == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seqs = append(l.seqs, *env.Params.Data.Seq)
}

// count returns how many arrived since the last take, and whether they are 0, 1, 2 and so on.
func (l *noteLog) count() (n int, ordered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ordered = true
	for i, seq := range l.seqs {
		ordered = ordered && i == seq
	}
	return len(l.seqs), ordered
}

func (l *noteLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seqs = nil
}
