package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// window is how many bytes a direction holds before a writer waits: those of a
// small socket.
const window = 64 << 10

// link is one connection: its two ends and the two directions between them.
type link struct {
	network        *Network
	client, server *conn
	up, down       *direction
}

func newLink(n *Network, address Addr) *link {
	k := &link{network: n, up: newDirection(), down: newDirection()}
	k.client = &conn{link: k, in: k.down, out: k.up, local: "client", remote: address, reading: newDeadline(), writing: newDeadline()}
	k.server = &conn{link: k, in: k.up, out: k.down, local: address, remote: "client", reading: newDeadline(), writing: newDeadline()}
	return k
}

func (k *link) cut() {
	k.up.fail(ErrReset)
	k.down.fail(ErrReset)
	k.network.forget(k)
}

func (k *link) freeze() { k.up.set(true); k.down.set(true) }
func (k *link) thaw()   { k.up.set(false); k.down.set(false) }

// direction carries bytes one way.
type direction struct {
	mu     sync.Mutex
	b      []byte
	ended  bool  // the writer has closed
	gone   bool  // the reader has closed
	err    error // the connection was cut
	frozen bool
	news   chan struct{} // closed and replaced at every change
}

func newDirection() *direction { return &direction{news: make(chan struct{})} }

// changed wakes everybody who waits. The caller holds the lock.
func (d *direction) changed() {
	close(d.news)
	d.news = make(chan struct{})
}

func (d *direction) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err, d.b = err, nil
		d.changed()
	}
}

func (d *direction) set(frozen bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = frozen
	d.changed()
}

// close ends the writer's or the reader's part.
func (d *direction) close(writer bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if writer {
		d.ended = true
	} else {
		d.gone = true
	}
	d.changed()
}

// read takes what there is; a nil channel means that the call is over, else it
// has to wait for it.
func (d *direction) read(p []byte) (int, <-chan struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.gone:
		return 0, nil, net.ErrClosed
	case d.err != nil:
		return 0, nil, d.err
	case d.frozen:
	case len(d.b) > 0:
		n := copy(p, d.b)
		d.b = d.b[n:]
		d.changed()
		return n, nil, nil
	case d.ended:
		return 0, nil, io.EOF
	}
	return 0, d.news, nil
}

func (d *direction) write(p []byte) (int, <-chan struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ended:
		return 0, nil, net.ErrClosed
	case d.err != nil:
		return 0, nil, d.err
	case d.gone && !d.frozen:
		return 0, nil, io.ErrClosedPipe
	}
	n := min(len(p), window-len(d.b))
	if n == 0 && len(p) > 0 {
		return 0, d.news, nil
	}
	d.b = append(d.b, p[:n]...)
	d.changed()
	if n < len(p) {
		return n, d.news, nil
	}
	return n, nil, nil
}

// conn is one end.
type conn struct {
	link             *link
	in, out          *direction
	local, remote    Addr
	reading, writing *deadline
	once             sync.Once
}

func (c *conn) Read(p []byte) (int, error) {
	for {
		if c.reading.passed() {
			return 0, c.failed("read", os.ErrDeadlineExceeded)
		}
		n, wait, err := c.in.read(p)
		if wait == nil {
			if err != nil && err != io.EOF { //nolint:errorlint // as it is
				err = c.failed("read", err)
			}
			return n, err
		}
		select {
		case <-wait:
		case <-c.reading.wait():
		}
	}
}

func (c *conn) Write(p []byte) (int, error) {
	done := 0
	for {
		if c.writing.passed() {
			return done, c.failed("write", os.ErrDeadlineExceeded)
		}
		n, wait, err := c.out.write(p[done:])
		done += n
		if err != nil {
			return done, c.failed("write", err)
		}
		if wait == nil {
			return done, nil
		}
		select {
		case <-wait:
		case <-c.writing.wait():
		}
	}
}

func (c *conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "memory", Source: c.local, Addr: c.remote, Err: err}
}

func (c *conn) Close() error {
	c.once.Do(func() {
		c.out.close(true)
		c.in.close(false)
		c.reading.set(time.Time{})
		c.writing.set(time.Time{})
		if c == c.link.client {
			c.link.network.forget(c.link)
		}
	})
	return nil
}

func (c *conn) LocalAddr() net.Addr                { return c.local }
func (c *conn) RemoteAddr() net.Addr               { return c.remote }
func (c *conn) SetReadDeadline(t time.Time) error  { c.reading.set(t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.writing.set(t); return nil }

func (c *conn) SetDeadline(t time.Time) error {
	c.reading.set(t)
	c.writing.set(t)
	return nil
}

// deadline is a time after which calls fail.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
	news  chan struct{} // closed and replaced when it passes or changes
}

func newDeadline() *deadline { return &deadline{news: make(chan struct{})} }

func (d *deadline) set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = at
	if left := time.Until(at); !at.IsZero() && left > 0 {
		d.timer = time.AfterFunc(left, d.wake)
	}
	close(d.news)
	d.news = make(chan struct{})
}

func (d *deadline) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.news)
	d.news = make(chan struct{})
}

func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.at.IsZero() && !time.Now().Before(d.at)
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.news
}
