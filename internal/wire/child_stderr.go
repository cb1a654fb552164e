package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxStderrLine = 8 << 10 // bytes; the rest of a longer line is dropped
	stderrBacklog = 256     // lines that may wait for the handler
	tailLines     = 5       // lines that an ExitError repeats
	tailWidth     = 300     // bytes of each
)

// stderrDrain reads a child's standard error as fast as it comes and hands it
// on line by line as fast as the handler goes.
type stderrDrain struct {
	out      *childOutput
	lines    chan string
	lost     atomic.Int64
	readDone chan struct{}
	done     chan struct{}

	mu   sync.Mutex
	last []string
}

func drainStderr(out *childOutput, o ChildOptions) *stderrDrain {
	d := &stderrDrain{
		out:      out,
		lines:    make(chan string, stderrBacklog),
		readDone: make(chan struct{}),
		done:     make(chan struct{}),
	}
	handle := o.Stderr
	if handle == nil {
		log := o.Logger.With("command", o.Command[0])
		handle = func(line string) { log.Info("upstream wrote", "stderr", line) }
	}
	go d.read()
	go d.handOn(handle)
	return d
}

func (d *stderrDrain) read() {
	defer close(d.readDone)
	defer close(d.lines)
	br := bufio.NewReaderSize(d.out, maxStderrLine)
	for {
		chunk, err := br.ReadSlice('\n')
		line := strings.ToValidUTF8(string(bytes.TrimRight(chunk, "\r\n")), "\ufffd")
		if errors.Is(err, bufio.ErrBufferFull) {
			line += "…"
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = br.ReadSlice('\n')
			}
		}
		if line != "" {
			d.keep(line)
			select {
			case d.lines <- line:
			default:
				d.lost.Add(1)
			}
		}
		if err != nil {
			return
		}
	}
}

func (d *stderrDrain) handOn(handle func(line string)) {
	defer close(d.done)
	for line := range d.lines {
		if n := d.lost.Swap(0); n > 0 {
			handle(fmt.Sprintf("… %d lines were lost: they came faster than they could be logged", n))
		}
		handle(line)
	}
}

func (d *stderrDrain) keep(line string) {
	if len(line) > tailWidth {
		line = strings.ToValidUTF8(line[:tailWidth], "") + "…"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.last) == tailLines {
		d.last = append(d.last[:0], d.last[1:]...)
	}
	d.last = append(d.last, line)
}

// tail returns the last lines, oldest first.
func (d *stderrDrain) tail() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.last...)
}

// close waits, within bounds, until all was read and handled.
func (d *stderrDrain) close() {
	interruptRead(d.out)
	waitFor(d.readDone, time.Second)
	_ = d.out.Close()
	waitFor(d.done, time.Second)
}
