package wire

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// ExitError tells how a child ended. It is io.EOF to errors.Is.
//
// Error repeats what the child said last on its standard error: good for logs
// and for whoever started it. To a remote party, show Status only.
type ExitError struct {
	Command string
	Code    int      // exit code, -1 when a signal ended the child
	Status  string   // "exit status 1", "signal: killed"
	Stderr  []string // the last lines, oldest first
}

func (e *ExitError) Error() string {
	text := fmt.Sprintf("command %q has ended (%s)", e.Command, e.Status)
	if len(e.Stderr) > 0 {
		text += "; its last words: " + strings.Join(e.Stderr, " | ")
	}
	return text
}

// Unwrap makes the error an io.EOF, which is what the end of a Conn is.
func (e *ExitError) Unwrap() error { return io.EOF }

// drainGrace is how long a read may wait for output after the child has exited:
// a grandchild may hold the pipe open for ever.
const drainGrace = 500 * time.Millisecond

// childOutput is the reading end of a pipe that a child writes to. What stands
// in the pipe is read to the end, however late; only waiting is limited once
// the child has exited. Pipes without deadlines (Windows) are read until the
// last process that holds them was ended.
type childOutput struct {
	*os.File
	exited <-chan struct{}
}

func (o *childOutput) Read(p []byte) (int, error) {
	select {
	case <-o.exited:
		o.limit()
	default:
	}
	n, err := o.File.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF
	}
	return n, err
}

func (o *childOutput) limit() { _ = o.SetReadDeadline(time.Now().Add(drainGrace)) }

// pipes are the child's standard streams. They are plain files: with exec's own
// pipes, Wait would close them before the last output was read.
type pipes struct {
	stdin          *os.File // ours, to write
	stdout, stderr *os.File // ours, to read
	child          []*os.File
}

func openPipes(cmd *exec.Cmd) (*pipes, error) {
	p := &pipes{}
	open := func() (r, w *os.File, err error) {
		if r, w, err = os.Pipe(); err != nil {
			p.close()
		}
		return r, w, err
	}
	in, stdin, err := open()
	if err != nil {
		return nil, err
	}
	p.stdin, p.child = stdin, append(p.child, in)
	stdout, out, err := open()
	if err != nil {
		return nil, err
	}
	p.stdout, p.child = stdout, append(p.child, out)
	stderr, errs, err := open()
	if err != nil {
		return nil, err
	}
	p.stderr, p.child = stderr, append(p.child, errs)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errs
	return p, nil
}

func (p *pipes) closeChildEnds() {
	for _, f := range p.child {
		_ = f.Close()
	}
}

func (p *pipes) close() {
	p.closeChildEnds()
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if f != nil {
			_ = f.Close()
		}
	}
}
