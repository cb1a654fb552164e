package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// stdioSession speaks to a bridge process over its stdin and stdout.
type stdioSession struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.ReadCloser
	stderr *tail
	done   chan struct{} // closed once stdout ended and the process was waited for
	ids    atomic.Int64
	log    noteLog

	writing sync.Mutex
	mu      sync.Mutex
	pending map[int64]chan []byte
	err     error // why the session ended; set before done is closed
}

// spawn starts a bridge. The process ends when close is called, or ctx does.
func spawn(ctx context.Context, argv, env []string) (*stdioSession, error) {
	s := &stdioSession{stderr: &tail{limit: 4 << 10}, done: make(chan struct{}), pending: map[int64]chan []byte{}}
	s.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stderr = s.stderr
	s.cmd.WaitDelay = 5 * time.Second
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if s.stdout, err = s.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go s.read()
	return s, nil
}

func (s *stdioSession) read() {
	defer close(s.done)
	in := bufio.NewReaderSize(s.stdout, 256<<10)
	var err error
	for err == nil {
		var line []byte
		if line, err = in.ReadBytes('\n'); err == nil {
			err = s.deliver(line)
		}
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the bridge closed its stdout")
	}
	_, _ = io.Copy(io.Discard, s.stdout)
	_ = s.cmd.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = fmt.Errorf("%w; its stderr ended with %q", err, s.stderr.String())
}

func (s *stdioSession) deliver(line []byte) error {
	env, err := parse(line)
	if err != nil {
		return fmt.Errorf("reading %.100q: %w", line, err)
	}
	if env.Method != "" {
		s.log.add(env)
		return nil
	}
	id, err := strconv.ParseInt(string(env.ID), 10, 64)
	if err != nil {
		return fmt.Errorf("reading %.100q: %w", line, err)
	}
	s.mu.Lock()
	answer, ok := s.pending[id]
	delete(s.pending, id)
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("an answer to nothing: %.100q", line)
	}
	answer <- line
	return nil
}

func (s *stdioSession) call(ctx context.Context, method, params string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	id, answer := s.ids.Add(1), make(chan []byte, 1)
	s.mu.Lock()
	s.pending[id] = answer
	s.mu.Unlock()
	if err := s.write(request(id, method, params)); err != nil {
		return nil, err
	}
	select {
	case line := <-answer:
		return line, nil
	case <-s.done:
		s.mu.Lock()
		defer s.mu.Unlock()
		return nil, s.err
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer: %w; the bridge's stderr ended with %q", ctx.Err(), s.stderr.String())
	}
}

func (s *stdioSession) notify(_ context.Context, method string) error {
	return s.write(request(0, method, ""))
}

func (s *stdioSession) write(message []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err := s.stdin.Write(append(message, '\n'))
	return err
}

func (s *stdioSession) notes() *noteLog { return &s.log }

func (s *stdioSession) pid() int { return s.cmd.Process.Pid }

// close does what MCP's stdio clients do: close stdin, wait, then kill.
func (s *stdioSession) close() {
	s.stdin.Close()
	select {
	case <-s.done:
	case <-time.After(3 * time.Second):
		_ = s.cmd.Process.Kill()
		s.stdout.Close() // a child of the bridge's may still hold the other end
		<-s.done
	}
}

// A tail keeps the end of what is written to it. It is safe for concurrent use.
type tail struct {
	limit int
	mu    sync.Mutex
	buf   []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.limit; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
