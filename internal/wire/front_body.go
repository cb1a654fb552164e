package wire

import (
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
	control := http.NewResponseController(w)
	in := &patientReader{r: r.Body, control: control, timeout: f.opts.ReadTimeout}
	buf, err := readBody(in, min(r.ContentLength, largestHint), f.opts.MaxMessage)
	in.done()
	if err != nil {
		return Frame{}, err
	}
	return parseBuffer(buf)
}

// patientReader lets a body take its time as long as it makes progress.
type patientReader struct {
	r       interface{ Read([]byte) (int, error) }
	control *http.ResponseController
	timeout time.Duration
	until   time.Time
}

func (p *patientReader) Read(b []byte) (int, error) {
	if now := time.Now(); p.until.Sub(now) < p.timeout*3/4 {
		p.until = now.Add(p.timeout)
		_ = p.control.SetReadDeadline(p.until) // not every writer has deadlines
	}
	return p.r.Read(b)
}

// done lifts the deadline: from now on the connection is read only to notice
// that the client has gone.
func (p *patientReader) done() { _ = p.control.SetReadDeadline(time.Time{}) }
