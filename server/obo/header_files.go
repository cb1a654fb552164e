package obo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxHeaderFile bounds the value of a header field.
const maxHeaderFile = 16 << 10

// HeaderFiles is a [Source] of header fields whose values stand in files. A
// file that has changed is read again; one that can't be read any more leaves
// the value before in use, and the log says so.
type HeaderFiles struct {
	log *slog.Logger

	mu     sync.Mutex
	fields []headerFile // by name
}

type headerFile struct {
	name, path string
	field      field
	read       bool
	modified   time.Time
	size       int64
	broken     bool // said so
}

// NewHeaderFiles reads the files, given by the names of the fields. White space
// around a value is dropped.
func NewHeaderFiles(files map[string]string, logger *slog.Logger) (*HeaderFiles, error) {
	s := &HeaderFiles{log: logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := headerFile{name: name, path: files[name]}
		if err := f.refresh(); err != nil {
			faults = append(faults, fmt.Errorf("reading the header field %s: %w", name, err))
		}
		s.fields = append(s.fields, f)
	}
	return s, errors.Join(faults...)
}

// refresh reads the file if it has changed.
func (f *headerFile) refresh() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if f.read && info.ModTime().Equal(f.modified) && info.Size() == f.size {
		return nil
	}
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxHeaderFile+1))
	if err != nil {
		return err
	}
	value := strings.TrimSpace(string(data))
	switch {
	case len(data) > maxHeaderFile:
		return fmt.Errorf("%s is larger than %d bytes", f.path, maxHeaderFile)
	case value == "":
		return fmt.Errorf("%s is empty", f.path)
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return fmt.Errorf("%s has more than one line, or control characters", f.path)
	}
	f.field, f.read, f.modified, f.size = newField(f.name, value), true, info.ModTime(), info.Size()
	return nil
}

// Credential implements [Source]. It fails never.
func (s *HeaderFiles) Credential(context.Context) (Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := Credential{make([]field, len(s.fields))}
	for i := range s.fields {
		f := &s.fields[i]
		err := f.refresh()
		if err != nil && !f.broken {
			s.log.Warn("the value of a header field can't be read; the one before is used on", "name", f.name, "error", err)
		}
		f.broken = err != nil
		c.fields[i] = f.field
	}
	return c, nil
}

// Renew implements [Source]: the files may have changed within the resolution
// of their times.
func (s *HeaderFiles) Renew(ctx context.Context, _ Credential, _ string) (Credential, error) {
	s.mu.Lock()
	for i := range s.fields {
		s.fields[i].read = false
	}
	s.mu.Unlock()
	return s.Credential(ctx)
}
