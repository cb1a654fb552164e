package conformance_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// pipe is one running command that speaks stdio, and who waits for what it says.
type pipe struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	errs  *buffer
	end   sync.Once
	ended chan struct{} // closed when its output has ended

	writing sync.Mutex

	mu    sync.Mutex
	calls []*call
	push  chan message // what belongs to no call
}

// call is a request without an answer.
type call struct {
	id, progress string
	listens      bool
	news         chan message
}

type message struct {
	envelope
	line []byte
}

// backlog is how many messages may wait for a client to read them.
const backlog = 1000

func openPipe(t *testing.T, words []string) *pipe {
	t.Helper()
	p := &pipe{t: t, errs: &buffer{}, ended: make(chan struct{}), push: make(chan message, backlog)}
	p.cmd = command(t, p.errs, words[0], words[1:]...)
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for r := bufio.NewReader(stdout); ; {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			p.deliver(line)
		}
	}()
	return p
}

// close ends the command by ending its input, which it must take as a wish to end.
func (p *pipe) close() {
	p.end.Do(func() {
		_ = p.stdin.Close()
		late := time.AfterFunc(patience, func() {
			p.t.Errorf("%s does not end", filepath.Base(p.cmd.Path))
			_ = p.cmd.Process.Kill()
		})
		defer late.Stop()
		<-p.ended
		if err := p.cmd.Wait(); err != nil {
			p.t.Errorf("%s: %v", filepath.Base(p.cmd.Path), err)
		}
		p.errs.report(p.t, filepath.Base(p.cmd.Path))
	})
}

func (p *pipe) write(line []byte) {
	p.writing.Lock()
	defer p.writing.Unlock()
	if _, err := fmt.Fprintf(p.stdin, "%s\n", line); err != nil {
		p.t.Errorf("writing to %s: %v", filepath.Base(p.cmd.Path), err)
	}
}

// deliver hands a message to the call it belongs to.
func (p *pipe) deliver(line []byte) {
	m := message{line: line}
	if err := json.Unmarshal(line, &m.envelope); err != nil {
		p.t.Errorf("%s wrote what is no message: %s", filepath.Base(p.cmd.Path), line)
		return
	}
	to := p.push
	p.mu.Lock()
	if c := p.owner(m.envelope); c != nil {
		to = c.news
	}
	p.mu.Unlock()
	select {
	case to <- m:
	default:
		p.t.Errorf("more than %d messages wait", backlog)
	}
}

// owner finds the call that a message belongs to. Where stdio doesn't tell, and
// there is only one, it belongs to that.
func (p *pipe) owner(m envelope) *call {
	var only *call
	others := 0
	for _, c := range p.calls {
		switch {
		case m.Method == "" && c.id == string(m.ID),
			m.Method == "notifications/progress" && c.progress == string(m.Params.ProgressToken),
			m.Params.Meta.Subscription != nil && c.id == string(m.Params.Meta.Subscription):
			return c
		case !c.listens:
			only = c
			others++
		}
	}
	if m.Method == "" || others != 1 {
		return nil
	}
	return only
}

// exchange writes a request and answers with what comes of it.
func (p *pipe) exchange(w http.ResponseWriter, r *http.Request, m envelope, line []byte, stateless bool) {
	c := &call{
		id: string(m.ID), progress: string(m.Params.Meta.ProgressToken),
		listens: m.Method == "subscriptions/listen", news: make(chan message, backlog),
	}
	p.mu.Lock()
	p.calls = append(p.calls, c)
	p.mu.Unlock()
	defer p.forget(c)
	p.write(line)
	streaming := false
	for {
		select {
		case news := <-c.news:
			last := news.Method == ""
			if code := status(news.envelope); last && !streaming && stateless && code != http.StatusOK {
				answer(w, code, news.line)
				return
			}
			if !streaming {
				streaming = true
				w.Header().Set("Content-Type", "text/event-stream")
			}
			event(w, news.line)
			if last {
				return
			}
		case <-p.ended:
			if !streaming {
				http.Error(w, "the command has ended", http.StatusBadGateway)
			}
			return
		case <-r.Context().Done():
			if stateless { // closing the stream cancels
				p.write(fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s}}`, c.id))
			}
			return
		}
	}
}

func (p *pipe) forget(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.calls {
		if other == c {
			p.calls = append(p.calls[:i], p.calls[i+1:]...)
			return
		}
	}
}

// listen streams what belongs to no call.
func (p *pipe) listen(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case m := <-p.push:
			event(w, m.line)
		case <-p.ended:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func event(w http.ResponseWriter, line []byte) {
	_, _ = fmt.Fprintf(w, "data: %s\n", line) // the line's own end ends the event
	_ = http.NewResponseController(w).Flush()
}
