package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// process is a program that a script deals with while it runs.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr watched
	output         watched // both
	cancel         context.CancelFunc
	done           chan struct{} // closed when it has ended
	err            error         // of Wait, once done is closed
}

// newProcess prepares a program with the script's environment and a bounded
// life.
func newProcess(ts *testscript.TestScript, args []string) *process {
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	p := &process{cancel: cancel, cmd: exec.CommandContext(ctx, args[0], args[1:]...), done: make(chan struct{})}
	p.cmd.Dir = ts.MkAbs(".")
	for _, name := range stateOf(ts).vars {
		p.cmd.Env = append(p.cmd.Env, name+"="+ts.Getenv(name))
	}
	p.cmd.Stdout, p.cmd.Stderr = io.MultiWriter(&p.stdout, &p.output), io.MultiWriter(&p.stderr, &p.output)
	p.cmd.WaitDelay = 5 * time.Second
	return p
}

// start starts the program. It is ended with the script at the latest.
func (p *process) start(ts *testscript.TestScript) {
	if err := p.cmd.Start(); err != nil {
		p.cancel()
		ts.Fatalf("starting %s: %v", p.cmd.Path, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		p.cancel()
		close(p.done)
	}()
	ts.Defer(func() {
		p.cancel()
		<-p.done
	})
}

// finish waits for the end, gives the output to the script and returns the exit
// code, -1 for a program that had to be killed.
func (p *process) finish(ts *testscript.TestScript) int {
	<-p.done
	_, _ = fmt.Fprint(ts.Stdout(), p.stdout.String())
	_, _ = fmt.Fprint(ts.Stderr(), p.stderr.String())
	return exitCode(ts, p.err)
}

// await waits until enough says so of the output w, or the program has ended.
func (p *process) await(w *watched, enough func(text string) bool) bool {
	for {
		text, changed := w.next()
		if enough(text) {
			return true
		}
		select {
		case <-changed:
		case <-p.done:
			return enough(w.String())
		}
	}
}

func exitCode(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("running the program: %v", err)
	}
	if exit != nil {
		return exit.ExitCode()
	}
	return 0
}

// watched is output that can be waited for.
type watched struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{} // closed at the next write; nil if nobody waits
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
	return w.buf.Write(b)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// next returns what was written so far and a channel that closes at more.
func (w *watched) next() (string, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.buf.String(), w.changed
}
