package wire

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
)

// errTooLarge: a body exceeds the size cap.
var errTooLarge = errors.New("message above the size limit")

// readBody reads all of r, at most limit bytes, into a pooled buffer. size is
// the announced length, -1 where unknown.
func readBody(r io.Reader, size int64, limit int) (*buffer, error) {
	if size > int64(limit) {
		return nil, errTooLarge
	}
	start := minBuffer
	if size >= 0 {
		start = int(size) + 1 // room to see the end without growing
	}
	buf := newBuffer(start)
	for {
		if len(buf.b) == cap(buf.b) {
			buf = buf.grow(cap(buf.b))
		}
		n, err := r.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		if len(buf.b) > limit {
			buf.release()
			return nil, errTooLarge
		}
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			buf.release()
			return nil, err
		}
	}
}

// parseBuffer makes a frame that owns buf. On error buf is released.
func parseBuffer(buf *buffer) (Frame, error) {
	f, err := Parse(buf.b)
	if err != nil {
		buf.release()
		return Frame{}, err
	}
	f.buf = buf
	return f, nil
}

// frameBody is a request body that keeps its frame until net/http closes it.
// net/http may close a body while another goroutine still reads it (on
// cancellation): the lock keeps such a read off bytes that were released.
type frameBody struct {
	mu sync.Mutex
	r  *bytes.Reader
	f  Frame
}

func newFrameBody(f Frame) *frameBody {
	return &frameBody{r: bytes.NewReader(f.Raw), f: f.Retain()}
}

// Read deliberately has no WriterTo beside it: io.Copy must go through the lock.
func (b *frameBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.r.Read(p)
}

func (b *frameBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r != nil {
		b.r = nil
		b.f.Release()
	}
	return nil
}

// setFrameBody makes f the body of req.
func setFrameBody(req *http.Request, f Frame) {
	req.ContentLength = int64(len(f.Raw))
	req.Body = newFrameBody(f)
	req.GetBody = func() (io.ReadCloser, error) { return newFrameBody(f), nil }
	if Repeatable(f.Method) {
		// An empty value is not sent: it tells net/http that the request may go
		// out again if a kept-alive connection turns out to be dead.
		req.Header["Idempotency-Key"] = nil
	}
}

// Repeatable reports methods that change nothing on the server, so that sending
// them twice is the same as once.
func Repeatable(method string) bool {
	switch method {
	case "initialize", "ping", "server/discover", "tools/list", "resources/list", "resources/templates/list",
		"resources/read", "prompts/list", "prompts/get", "completion/complete":
		return true
	}
	return false
}
