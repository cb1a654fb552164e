package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mcpctl/mcpctl/internal/logfile"
)

// logRecord is one line of a bridge's log.
type logRecord struct {
	raw   string
	at    time.Time
	level string
	msg   string
	run   string
	attrs []logAttr // the rest, in order
}

type logAttr struct {
	key   string
	value json.RawMessage
}

// parseRecord reads a line as slog.JSONHandler writes it. Others, as the first
// line of a file, are none.
func parseRecord(line []byte) (logRecord, bool) {
	r := logRecord{raw: string(line)}
	dec := json.NewDecoder(bytes.NewReader(line))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return r, false
	}
	for dec.More() {
		t, err := dec.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return r, false
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return r, false
		}
		switch key {
		case "time":
			_ = json.Unmarshal(value, &r.at) // zero if it isn't one
		case "level":
			r.level = plainText(value)
		case "msg":
			r.msg = plainText(value)
		case runKey:
			r.run = plainText(value)
		default:
			r.attrs = append(r.attrs, logAttr{key, value})
		}
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('}') {
		return r, false
	}
	return r, r.level != "" && r.msg != ""
}

// text returns the record for people, on one line.
func (r logRecord) text(withRun bool) string {
	var b strings.Builder
	b.WriteString(r.at.Local().Format("2006-01-02 15:04:05.000"))
	if withRun {
		b.WriteString(" " + printable(r.run))
	}
	b.WriteString(" " + (printable(r.level) + "     ")[:max(5, len(printable(r.level)))] + " " + printable(r.msg))
	for _, a := range r.attrs {
		if a.key == "pid" && r.msg != msgStarted {
			continue // the same for all records of a run
		}
		value := plainText(a.value)
		if value == "" || strings.ContainsAny(value, " =\"") {
			value = strconv.Quote(value)
		}
		b.WriteString(" " + printable(a.key) + "=" + printable(value))
	}
	return b.String()
}

// plainText returns a JSON string's content, and any other value as it is.
func plainText(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s
	}
	return string(value)
}

// printable keeps what a server said from steering the terminal.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		s = strconv.Quote(s)
	}
	return s
}

// readRun returns the records of the run that began last, or of all of them,
// and how many other runs there are in the log.
func readRun(path string, all bool) (records []logRecord, others int, err error) {
	runs := map[string][]logRecord{}
	last := ""
	err = logfile.Read(path, func(line []byte) error {
		r, ok := parseRecord(line)
		if !ok {
			return nil
		}
		// Where the beginning of a run is no longer in the log, its first
		// record counts as it.
		if _, known := runs[r.run]; !known || r.msg == msgStarted {
			last = r.run
		}
		runs[r.run] = append(runs[r.run], r)
		if all {
			records = append(records, r)
		}
		return nil
	})
	if all {
		return records, 0, err
	}
	return runs[last], max(0, len(runs)-1), err
}

var errFound = errors.New("found")

// serverOf returns the server that a log is about, or "" where its files don't
// say.
func serverOf(path string) (string, error) {
	var head logHead
	err := logfile.Read(path, func(line []byte) error {
		if json.Unmarshal(line, &head) == nil && head.Server != "" {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return head.Server, err
}
