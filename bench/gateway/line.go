package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"
)

// line is an HTTP/1.1 connection that does as little as can be for one exchange after the other: it runs on the processors
// that the subjects need, and net/http's client would take more of them than what is measured.
type line struct {
	host, path string
	fields     string // of every request, each with its line end
	conn       net.Conn
	in         *bufio.Reader
	out        []byte
	until      time.Time // the connection's deadline

	// Of the last answer.
	body    []byte
	session string // its Mcp-Session-Id
}

func dial(ctx context.Context, target *url.URL) (*line, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", target.Host)
	if err != nil {
		return nil, err
	}
	return &line{host: target.Host, path: target.Path, conn: conn, in: bufio.NewReader(conn)}, nil
}

func (l *line) post(body []byte) error { return l.exchange(http.MethodPost, body) }

// exchange sends a request and reads its answer; one with a status of 300 or more is an error.
func (l *line) exchange(method string, body []byte) error {
	if now := time.Now(); l.until.Sub(now) < answerTimeout/2 {
		l.until = now.Add(answerTimeout)
		if err := l.conn.SetDeadline(l.until); err != nil {
			return err
		}
	}
	b := append(append(l.out[:0], method...), ' ')
	b = append(append(b, l.path...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, l.host...), "\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"...)
	b = append(append(b, l.fields...), "Content-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n\r\n"...)
	l.out = append(b, body...)
	if _, err := l.conn.Write(l.out); err != nil {
		return err
	}
	status, err := l.answer()
	switch {
	case err != nil:
		return fmt.Errorf("reading an answer: %w", err)
	case status >= 300:
		return fmt.Errorf("the server answered HTTP %d: %.500s", status, l.body)
	}
	return nil
}

var errAnswer = errors.New("this is no HTTP answer")

// answer reads an answer of either framing; an event stream ends with the JSON-RPC response.
func (l *line) answer() (status int, err error) {
	first, err := l.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(first) < len("HTTP/1.1 200") || !bytes.HasPrefix(first, []byte("HTTP/1.")) {
		return 0, errAnswer
	}
	if status, err = strconv.Atoi(string(first[9:12])); err != nil {
		return 0, errAnswer
	}
	l.body, l.session = l.body[:0], ""
	length, chunked := 0, false
	for {
		field, err := l.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if field = bytes.TrimRight(field, "\r\n"); len(field) == 0 {
			break
		}
		name, value, _ := bytes.Cut(field, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, errAnswer
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("Mcp-Session-Id")):
			l.session = string(value)
		}
	}
	if chunked {
		if l.body, err = io.ReadAll(httputil.NewChunkedReader(l.in)); err != nil {
			return 0, err
		}
		_, err = l.in.ReadSlice('\n') // the end of the trailer, which is empty
		return status, err
	}
	if cap(l.body) < length {
		l.body = make([]byte, length)
	}
	l.body = l.body[:length]
	_, err = io.ReadFull(l.in, l.body)
	return status, err
}
