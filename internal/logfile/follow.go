package logfile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// MaxLine bounds a line that is read, in bytes. The rest of a longer one is
// left out.
const MaxLine = 1 << 20

// Read calls line for each line of the log at path, oldest first, without its
// line end, until line returns an error. A line that is still being written is
// left out. The line is only valid during the call.
func Read(path string, line func([]byte) error) error {
	for _, name := range Files(path) {
		if err := readFile(name, line); err != nil {
			return err
		}
	}
	return nil
}

func readFile(name string, line func([]byte) error) error {
	f, err := openShared(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil // rotated meanwhile
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return (&lineReader{r: bufio.NewReader(f)}).each(line)
}

// A lineReader cuts what it reads into lines, also if one arrives in parts.
type lineReader struct {
	r       *bufio.Reader
	partial bytes.Buffer
}

// each calls line for each complete line until the end of what there is.
func (l *lineReader) each(line func([]byte) error) error {
	for {
		part, err := l.r.ReadSlice('\n')
		if room := MaxLine - l.partial.Len(); room > 0 {
			l.partial.Write(part[:min(room, len(part))])
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		whole := bytes.TrimRight(l.partial.Bytes(), "\r\n")
		l.partial.Reset()
		if err := line(whole); err != nil {
			return err
		}
	}
}

// Follow calls line for each line that is appended to the log at path from now
// on, across rotations, until ctx ends (its error) or line returns an error. It
// looks for news each poll. The log need not exist yet.
func Follow(ctx context.Context, path string, poll time.Duration, line func([]byte) error) error {
	var f *os.File
	var lines *lineReader
	defer func() {
		if f != nil {
			_ = f.Close()
		}
	}()
	attach := func(atEnd bool) error {
		fresh, err := openShared(path)
		if err != nil {
			return err
		}
		if atEnd {
			if _, err := fresh.Seek(0, io.SeekEnd); err != nil {
				_ = fresh.Close()
				return err
			}
		}
		if f != nil {
			_ = f.Close()
		}
		f, lines = fresh, &lineReader{r: bufio.NewReader(fresh)}
		return nil
	}
	_ = attach(true) // tried again below
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if f != nil {
			if err := lines.each(line); err != nil {
				return err
			}
		}
		if f == nil || replaced(f, path) {
			if f != nil { // what came between reading and replacing
				if err := lines.each(line); err != nil {
					return err
				}
			}
			if attach(false) == nil {
				continue
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// replaced reports whether path is another file than f.
func replaced(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return true
	}
	now, err := os.Stat(path)
	return err == nil && !os.SameFile(open, now)
}
