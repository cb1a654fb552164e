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
	var sawID, dataLines bool
	var tooLarge bool
	drop := func() {
		if ev.data != nil {
			ev.data.release()
			ev.data = nil
		}
	}
	var field [512]byte // start of a line that is not data
	for {
		line := field[:0]
		isData, started := false, false
		// One line, in the chunks in which it arrives.
		for {
			chunk, ended, err := e.chunk()
			if err != nil {
				drop()
				return event{}, err
			}
			if !started && (len(chunk) > 0 || ended) {
				// The field name may be split over chunks only if a chunk is
				// shorter than it; chunks are then gathered in line.
				need := min(len(chunk), len("data: ")-len(line))
				line = append(line, chunk[:need]...)
				chunk = chunk[need:]
				if len(line) == len("data: ") || ended {
					started = true
					if bytes.HasPrefix(line, []byte("data:")) {
						isData = true
						rest := line[len("data:"):]
						if len(rest) > 0 && rest[0] == ' ' {
							rest = rest[1:]
						}
						if dataLines {
							tooLarge = !e.add(&ev, []byte{'\n'})
						}
						dataLines = true
						tooLarge = !e.add(&ev, rest)
					}
				}
			}
			if isData {
				tooLarge = !e.add(&ev, chunk)
			} else if room := cap(line) - len(line); room > 0 {
				line = append(line, chunk[:min(room, len(chunk))]...)
			}
			if ended {
				break
			}
		}
		if isData {
			continue
		}
		if len(line) > 0 {
			e.field(&ev, line, &sawID)
			continue
		}
		// An empty line ends the event.
		switch {
		case tooLarge:
			drop()
			return ev, errEventTooLarge
		case dataLines || sawID || ev.retry > 0:
			if ev.data != nil && len(ev.data.b) == 0 {
				drop()
			}
			return ev, nil
		}
		ev = event{id: e.lastID}
	}
}

// add appends to the event's data; false means that the cap was reached and
// that the data is only skimmed from then on.
func (e *eventReader) add(ev *event, b []byte) bool {
	ev.size += int64(len(b))
	if ev.large == nil && ev.size > int64(e.max) {
		ev.large = &skim{}
		if ev.data != nil {
			ev.large.feed(ev.data.b)
			ev.data.release()
			ev.data = nil
		}
	}
	if ev.large != nil {
		ev.large.feed(b)
		return false
	}
	if len(b) == 0 {
		return true
	}
	if ev.data == nil {
		ev.data = newBuffer(len(b))
	}
	ev.data = ev.data.appendBytes(b)
	return true
}

func (e *eventReader) field(ev *event, line []byte, sawID *bool) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		ev.name = string(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			*sawID = true
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
