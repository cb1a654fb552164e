package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
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
				return Frame{}, l.oversized(nil, line, err)
			}
			return l.parse(newBuffer(len(line)).appendBytes(line))
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
	buf := newBuffer(2 * len(head))
	chunk, err := head, bufio.ErrBufferFull
	for {
		if len(buf.b)+len(chunk) > l.max+len("\r\n") {
			return Frame{}, l.oversized(buf, chunk, err)
		}
		buf = buf.appendBytes(chunk)
		if !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
		chunk, err = l.chunk()
	}
	l.err = err
	if err != nil && !errors.Is(err, io.EOF) {
		buf.release()
		return Frame{}, err
	}
	if len(bytes.TrimRight(buf.b, " \t\r\n")) > l.max {
		return Frame{}, l.oversized(buf, nil, err)
	}
	return l.parse(buf)
}

// parse reads a line. One that the end of the stream cut off is told apart from
// one that its sender got wrong.
func (l *lineReader) parse(buf *buffer) (Frame, error) {
	size := len(buf.b)
	f, err := parseBuffer(buf)
	var bad *FrameError
	if l.err != nil && errors.As(err, &bad) && bad.Code == CodeParse {
		bad.Reason, bad.Cut = fmt.Sprintf("Parse error: the stream ended in the midst of a message, after %d bytes of it", size), true
	}
	return f, err
}

// oversized returns the error for a line above the limit. The line begins with
// buf, which it releases, and chunk; err is what came with chunk and tells
// whether there is more to skim.
func (l *lineReader) oversized(buf *buffer, chunk []byte, err error) error {
	var s skim
	if buf != nil {
		s.feed(buf.b)
		buf.release()
	}
	s.feed(chunk)
	for errors.Is(err, bufio.ErrBufferFull) {
		chunk, err = l.chunk()
		s.feed(chunk)
	}
	l.err = err
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
