package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"
)

// errEventTooLarge: an event's data exceeds the size cap. The rest of the event
// was skipped; the stream goes on.
var errEventTooLarge = errors.New("event above the size limit")

// event is one server-sent event (WHATWG HTML §9.2).
type event struct {
	name  string
	id    string // the last event id seen on the stream, "" for none yet
	retry time.Duration
	data  *buffer // nil for an event without data; the caller releases it
	size  int64   // bytes of data, also when there were too many of them
	large *skim   // what could be read of data above the cap
}

// eventReader reads a text/event-stream. Lines may end in LF, CRLF or CR.
// Comments are skipped; an event without data is returned when it carried an
// id or a retry time, because both mean something to resumption.
type eventReader struct {
	r      *bufio.Reader
	max    int
	lastID string
	skipLF bool // the previous line ended in CR: a LF now belongs to it
	first  bool

	// Of the event that is being read.
	sawID     bool
	dataLines int
}

var lineReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 32<<10) }}

func newEventReader(r io.Reader, maxData int, lastID string) *eventReader {
	br, _ := lineReaders.Get().(*bufio.Reader)
	br.Reset(r)
	return &eventReader{r: br, max: maxData, lastID: lastID, first: true}
}

// free returns the reader's line buffer. The eventReader must not be used after.
func (e *eventReader) free() {
	if e.r != nil {
		e.r.Reset(nil)
		lineReaders.Put(e.r)
		e.r = nil
	}
}

// next returns the next event. At the end of the stream an unfinished event is
// dropped, as the standard says: its message may be incomplete.
func (e *eventReader) next() (event, error) {
	ev := event{id: e.lastID}
	e.sawID, e.dataLines = false, 0
	var scratch [512]byte // start of a line that is not data
	for {
		line, isData, err := e.line(&ev, scratch[:0])
		switch {
		case err != nil:
			ev.drop()
			return event{}, err
		case isData:
			continue
		case len(line) > 0:
			e.field(&ev, line)
			continue
		}
		// An empty line ends the event.
		switch {
		case ev.large != nil:
			return ev, errEventTooLarge
		case e.dataLines > 0 || e.sawID || ev.retry > 0:
			if ev.data != nil && len(ev.data.b) == 0 {
				ev.drop()
			}
			return ev, nil
		}
		ev = event{id: e.lastID}
	}
}

func (ev *event) drop() {
	if ev.data != nil {
		ev.data.release()
		ev.data = nil
	}
}

// dataField begins a line of data. One space after it does not count.
const dataField = "data:"

// line reads one line, in the chunks in which it arrives. What is data goes to
// the event; of another line its start is appended to line and returned.
func (e *eventReader) line(ev *event, line []byte) (_ []byte, isData bool, err error) {
	for known := false; ; {
		chunk, ended, err := e.chunk()
		if err != nil {
			return nil, false, err
		}
		if !known {
			// A chunk may be shorter than the field's name: then the start is
			// gathered until it is long enough to tell.
			need := min(len(chunk), len(dataField)+1-len(line))
			line, chunk = append(line, chunk[:need]...), chunk[need:]
			if known = ended || len(line) > len(dataField); known && bytes.HasPrefix(line, []byte(dataField)) {
				isData = true
				if e.dataLines++; e.dataLines > 1 {
					ev.add([]byte{'\n'}, e.max)
				}
				ev.add(bytes.TrimPrefix(line[len(dataField):], []byte{' '}), e.max)
			}
		}
		if isData {
			ev.add(chunk, e.max)
		} else {
			room := cap(line) - len(line)
			line = append(line, chunk[:min(room, len(chunk))]...)
		}
		if ended {
			return line, isData, nil
		}
	}
}

// add appends to the event's data. From the cap of max bytes on, the data is
// skimmed instead.
func (ev *event) add(b []byte, max int) {
	ev.size += int64(len(b))
	if ev.large == nil && ev.size > int64(max) {
		ev.large = &skim{}
		if ev.data != nil {
			ev.large.feed(ev.data.b)
			ev.drop()
		}
	}
	switch {
	case ev.large != nil:
		ev.large.feed(b)
	case len(b) > 0:
		if ev.data == nil {
			ev.data = newBuffer(len(b))
		}
		ev.data = ev.data.appendBytes(b)
	}
}

func (e *eventReader) field(ev *event, line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		ev.name = string(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			e.sawID = true
			ev.id, e.lastID = string(value), string(value)
		}
	case "retry":
		if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
			ev.retry = time.Duration(ms) * time.Millisecond
		}
	}
}

// chunk returns the next part of the current line, and whether the line ends
// with it. The bytes are valid until the next call.
func (e *eventReader) chunk() (b []byte, ended bool, err error) {
	if e.first {
		e.first = false
		if bom, err := e.r.Peek(3); err == nil && string(bom) == "\ufeff" {
			_, _ = e.r.Discard(3)
		}
	}
	for {
		if e.r.Buffered() == 0 {
			if _, err := e.r.Peek(1); err != nil {
				return nil, false, err
			}
		}
		b, _ = e.r.Peek(e.r.Buffered())
		if e.skipLF {
			e.skipLF = false
			if b[0] == '\n' {
				_, _ = e.r.Discard(1)
				continue
			}
		}
		break
	}
	end := bytes.IndexByte(b, '\n')
	if end >= 0 {
		b = b[:end]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
		e.skipLF = true
		_, _ = e.r.Discard(cr + 1)
		return b[:cr], true, nil
	}
	if end >= 0 {
		_, _ = e.r.Discard(end + 1)
		return b, true, nil
	}
	_, _ = e.r.Discard(len(b))
	return b, false, nil
}
