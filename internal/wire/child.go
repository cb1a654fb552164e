package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// ChildOptions says which process to start and how to end it.
type ChildOptions struct {
	// Command is the program and its arguments. A program without a path is
	// searched on this process's PATH.
	Command []string
	// Dir is the working directory; empty means this process's.
	Dir string
	// Env is the child's whole environment. Nothing is added to it, save for
	// SYSTEMROOT on Windows.
	Env []string
	// MaxMessage, Queue and WriteTimeout are those of StreamOptions.
	MaxMessage   int
	Queue        int
	WriteTimeout time.Duration
	// StopGrace is how long the child may run on after its standard input was
	// closed, before it is told to terminate; 0 means 2 s.
	StopGrace time.Duration
	// KillGrace is how long it may run on after that, before it is killed; 0
	// means 3 s.
	KillGrace time.Duration
	// Logger is told how the child ends and, unless Stderr is set, each line
	// of its standard error; nil discards.
	Logger *slog.Logger
	// Stderr is called with each line of the child's standard error, at most
	// 8 KiB of it, by one goroutine. A child that writes more than Stderr takes
	// loses lines; it is never held up. Close waits 1 s for a call that hangs.
	Stderr func(line string)
}

// Child is a [Conn] to the standard input and output of a child process.
//
// The child and what it starts form one group (a process group on Unix, a job
// on Windows) that ends together: standard input is closed, then the group is
// asked to terminate, then it is killed. Close does so, and it also happens
// when the child exits or closes its input or output by itself. On Linux and
// Windows the child dies with this process, however that ends.
type Child struct {
	opts   ChildOptions
	cmd    *exec.Cmd
	group  *processGroup
	stream *Stream
	stdout *childOutput
	stderr *stderrDrain

	exited  chan struct{} // the child was waited for
	known   chan struct{} // exitErr is set
	gone    chan struct{} // the group is gone or was given up
	stop    chan struct{} // Close was called
	done    chan struct{} // nothing of it is left
	exitErr *ExitError
	once    sync.Once
}

// StartChild starts the process. Errors name the command and what to check.
func StartChild(o ChildOptions) (*Child, error) {
	if o.StopGrace <= 0 {
		o.StopGrace = 2 * time.Second
	}
	if o.KillGrace <= 0 {
		o.KillGrace = 3 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	cmd, err := childCommand(o)
	if err != nil {
		return nil, err
	}
	pipes, err := openPipes(cmd)
	if err != nil {
		return nil, fmt.Errorf("starting command %q: %w", o.Command[0], err)
	}
	c := &Child{
		opts:   o,
		cmd:    cmd,
		exited: make(chan struct{}),
		known:  make(chan struct{}),
		gone:   make(chan struct{}),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	if err := c.start(); err != nil {
		pipes.close()
		return nil, fmt.Errorf("starting command %q: %w", o.Command[0], err)
	}
	pipes.closeChildEnds()
	c.stderr = drainStderr(&childOutput{pipes.stderr, c.exited}, o)
	c.stdout = &childOutput{pipes.stdout, c.exited}
	c.stream = NewStream(c.stdout, pipes.stdin, StreamOptions{
		MaxMessage:   o.MaxMessage,
		Queue:        o.Queue,
		WriteTimeout: o.WriteTimeout,
		Logger:       o.Logger,
	})
	go c.awaitExit()
	go c.supervise()
	return c, nil
}

func childCommand(o ChildOptions) (*exec.Cmd, error) {
	if len(o.Command) == 0 || o.Command[0] == "" {
		return nil, errors.New("starting a command: none is given")
	}
	name := o.Command[0]
	// LookPath also finds npx.cmd for npx on Windows (PATHEXT).
	path, err := exec.LookPath(name)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("starting command %q: %w; install it or give its full path", name, exec.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("starting command %q: %w", name, err)
	}
	cmd := exec.Command(path, o.Command[1:]...) //nolint:noctx // a context would kill it outright; Close goes step by step
	cmd.Dir = o.Dir
	cmd.Env = append([]string{}, o.Env...) // not nil: that would be this process's own
	return cmd, nil
}

// start starts and awaits the child on one thread: Linux sends the parent-death
// signal when the thread that forked ends, not the process (prctl(2)).
func (c *Child) start() error {
	group, err := newProcessGroup(c.cmd)
	if err != nil {
		return err
	}
	c.group = group
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		if err == nil {
			if err = group.adopt(c.cmd.Process); err != nil {
				_ = c.cmd.Process.Kill()
				_ = c.cmd.Wait()
			}
		}
		started <- err
		if err == nil {
			_ = c.cmd.Wait() // ProcessState tells more
			close(c.exited)
		}
	}()
	if err := <-started; err != nil {
		group.close()
		return err
	}
	return nil
}

// PID returns the child's process id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Read returns the child's next message. When the child is gone and all it
// wrote was read, the error is an *[ExitError], which is io.EOF to errors.Is.
func (c *Child) Read(ctx context.Context) (Frame, error) {
	f, err := c.stream.Read(ctx)
	if err == nil {
		return f, nil
	}
	if _, ok := errors.AsType[*FrameError](err); ok {
		return Frame{}, err
	}
	return Frame{}, c.reason(ctx, err)
}

// Write queues one message for the child; see [Conn]. To a child that is gone
// the error is an *[ExitError].
func (c *Child) Write(ctx context.Context, f Frame) error {
	err := c.stream.Write(ctx, f)
	if err == nil || errors.Is(err, errEmptyFrame) {
		return err
	}
	return c.reason(ctx, err)
}

// reason turns the error of a stream that has ended into what ended it. The
// wait is bounded: a child without input or output is ended by supervise.
func (c *Child) reason(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	select {
	case <-c.stop:
	case <-c.gone:
	case <-c.known:
	case <-ctx.Done():
		return ctx.Err()
	}
	if isClosed(c.stop) {
		return ErrClosed
	}
	if isClosed(c.known) {
		return c.exitErr
	}
	return err // it could not even be killed
}

// Close ends the child and what it has started. It returns when they are gone,
// and little after StopGrace and KillGrace at the latest.
func (c *Child) Close() error {
	c.once.Do(func() {
		close(c.stop)
		c.stream.beginClose()
	})
	<-c.done
	return nil
}

// awaitExit sets exitErr when the child has exited.
func (c *Child) awaitExit() {
	<-c.exited
	// Reads that wait already don't know yet that there's no more to wait for.
	c.stdout.limit()
	c.stderr.out.limit()
	waitFor(c.stderr.readDone, 2*drainGrace)
	c.exitErr = &ExitError{
		Command: c.opts.Command[0],
		Code:    c.cmd.ProcessState.ExitCode(),
		Status:  c.cmd.ProcessState.String(),
		Stderr:  c.stderr.tail(),
	}
	close(c.known)
}

// supervise ends the group when the child should end or has.
func (c *Child) supervise() {
	defer close(c.done)
	select {
	case <-c.exited:
	case <-c.stream.readDone:
	case <-c.stream.writeDone:
	case <-c.stop:
	}
	c.end()
	if isClosed(c.exited) {
		<-c.known // bounded: see awaitExit
		c.opts.Logger.Debug("upstream ended", "command", c.opts.Command[0], "pid", c.PID(), "status", c.exitErr.Status)
	} else {
		c.opts.Logger.Error("upstream could not be killed", "command", c.opts.Command[0], "pid", c.PID())
	}
	close(c.gone)
	<-c.stop // what the child wrote can be read until then
	_ = c.stream.Close()
	c.stderr.close()
	c.group.close()
}

// end closes the child's input once what is queued has gone there, asks the
// group to terminate, and kills it: each step only if the one before it did
// not help in time.
func (c *Child) end() {
	deadline := time.Now().Add(c.opts.StopGrace)
	_ = c.stream.closeWrite(c.opts.StopGrace) // nothing to do about what a child won't take
	if c.goneWithin(time.Until(deadline)) {
		return
	}
	c.opts.Logger.Debug("upstream outlives its input; asking it to terminate", "command", c.opts.Command[0], "pid", c.PID())
	c.group.terminate()
	if c.goneWithin(c.opts.KillGrace) {
		return
	}
	c.opts.Logger.Warn("upstream does not terminate; killing it", "command", c.opts.Command[0], "pid", c.PID())
	c.group.kill()
	// No look at the group: what was killed is gone, even where an init that
	// doesn't reap leaves it a zombie.
	waitFor(c.exited, 2*time.Second)
}

// goneWithin reports whether the child and its whole group end in time.
func (c *Child) goneWithin(d time.Duration) bool {
	timeout := time.NewTimer(max(d, 0))
	defer timeout.Stop()
	select {
	case <-c.exited:
	case <-timeout.C:
		return false
	}
	// Nobody tells when the last grandchild is gone.
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for c.group.alive() {
		select {
		case <-look.C:
		case <-timeout.C:
			return false
		}
	}
	return true
}
