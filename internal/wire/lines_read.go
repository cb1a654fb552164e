package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// chunkSize is what one read or write of a stream carries at most, except for
// messages that are larger themselves. Pipes hold 64 KiB on Linux.
const chunkSize = 64 << 10

var byteOrderMark = []byte("\xef\xbb\xbf")

// lineReader cuts a byte stream into frames.
type lineReader struct {
	br      *bufio.Reader
	max     int
	started bool
	err     error // what ended the stream
}

func newLineReader(r io.Reader, max int) *lineReader {
	return &lineReader{br: bufio.NewReaderSize(r, chunkSize), max: max}
}

// next returns the next message, a *FrameError for a line that is none, or what
// ended the stream.
func (l *lineReader) next() (Frame, error) {
	for l.err == nil {
		chunk, err := l.chunk()
		if err == nil || errors.Is(err, io.EOF) {
			l.err = err
			line := bytes.TrimRight(chunk[skipSpace(chunk, 0):], " \t\r\n")
			if len(line) == 0 {
				continue
			}
			if len(line) > l.max {
				return Frame{}, l.oversized(line, false)
			}
			return parseBuffer(newBuffer(len(line)).appendBytes(line))
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			return l.long(chunk)
		}
		l.err = err
	}
	return Frame{}, l.err
}

// chunk returns bytes up to the line's end, or bufio.ErrBufferFull with as many
// as the reader holds.
func (l *lineReader) chunk() ([]byte, error) {
	chunk, err := l.br.ReadSlice('\n')
	if !l.started && len(chunk) > 0 {
		l.started = true
		chunk = bytes.TrimPrefix(chunk, byteOrderMark)
	}
	return chunk, err
}

// long collects a line of which head is the first chunk.
func (l *lineReader) long(head []byte) (Frame, error) {
	buf := newBuffer(2 * len(head)).appendBytes(head)
	for more := true; more; {
		if len(buf.b) > l.max+len("\r\n") {
			err := l.oversized(buf.b, true)
			buf.release()
			return Frame{}, err
		}
		chunk, err := l.chunk()
		buf = buf.appendBytes(chunk)
		switch {
		case err == nil:
			more = false
		case errors.Is(err, io.EOF):
			l.err, more = err, false
		case !errors.Is(err, bufio.ErrBufferFull):
			buf.release()
			l.err = err
			return Frame{}, err
		}
	}
	if size := len(bytes.TrimRight(buf.b, " \t\r\n")); size > l.max {
		err := l.oversized(buf.b, false)
		buf.release()
		return Frame{}, err
	}
	return parseBuffer(buf)
}

// oversized returns the error for a line above the limit that begins with head.
// With more set, the rest of the line is still to be read.
func (l *lineReader) oversized(head []byte, more bool) error {
	var s skim
	s.feed(head)
	for more {
		chunk, err := l.chunk()
		s.feed(chunk)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			l.err = err
		}
		more = errors.Is(err, bufio.ErrBufferFull)
	}
	return s.tooLarge(l.max)
}

// discard reads and forgets until the stream ends or stop is closed.
func (l *lineReader) discard(stop <-chan struct{}) error {
	for {
		if isClosed(stop) {
			return ErrClosed
		}
		if _, err := l.br.Peek(1); err != nil {
			return err
		}
		_, _ = l.br.Discard(l.br.Buffered())
	}
}
