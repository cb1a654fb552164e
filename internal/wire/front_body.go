package wire

import (
	"io"
	"net/http"
	"time"
)

// largestHint bounds the memory that a Content-Length alone can claim.
const largestHint = 1 << 20

// body reads the message of a POST into a pooled buffer.
func (f *front) body(w http.ResponseWriter, r *http.Request) (Frame, error) {
	if r.ContentLength > int64(f.opts.MaxMessage) {
		return Frame{}, errTooLarge
	}
	in := f.patient(w, r.Body)
	buf, err := readBody(in, min(r.ContentLength, largestHint), f.opts.MaxMessage)
	if err != nil {
		return Frame{}, err
	}
	in.done()
	return parseBuffer(buf)
}

// expect begins the wait for the body of a request. Those that are refused before
// it was read have the deadline too: net/http reads on to the body's end before
// it sends the answer. A request that is no POST has its body read here, as
// nobody looks at it and its answer may be a stream that takes long.
func (f *front) expect(w http.ResponseWriter, r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	in := f.patient(w, r.Body)
	in.extend()
	if r.Method == http.MethodPost {
		return nil
	}
	n, err := io.Copy(io.Discard, io.LimitReader(in, int64(f.opts.MaxMessage)+1))
	switch {
	case err != nil:
		return err
	case n > int64(f.opts.MaxMessage):
		return errTooLarge
	}
	in.done()
	return nil
}

func (f *front) patient(w http.ResponseWriter, r io.Reader) *patientReader {
	return &patientReader{r: r, control: http.NewResponseController(w), timeout: f.opts.ReadTimeout}
}

// patientReader lets a body take its time as long as it makes progress.
type patientReader struct {
	r       io.Reader
	control *http.ResponseController
	timeout time.Duration
	until   time.Time
}

func (p *patientReader) Read(b []byte) (int, error) {
	p.extend()
	return p.r.Read(b)
}

func (p *patientReader) extend() {
	if now := time.Now(); p.until.Sub(now) < p.timeout*3/4 {
		p.until = now.Add(p.timeout)
		_ = p.control.SetReadDeadline(p.until) // not every writer has deadlines
	}
}

// done lifts the deadline once all has been read: from now on the connection is
// read only to notice that the client has gone. After an error the deadline
// stays, for net/http reads what is left of the body before it answers.
func (p *patientReader) done() { _ = p.control.SetReadDeadline(time.Time{}) }
