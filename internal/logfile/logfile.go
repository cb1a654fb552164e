// Package logfile writes logs to files of bounded size, which any number of
// processes may share.
//
// A record is appended with one write, which the operating system keeps whole.
// A file that has reached its size becomes FILE.1, FILE.1 becomes FILE.2 and so
// on; who renames them holds the lock FILE.lock, and the other processes notice
// before their next record that the file they have open is no longer the one of
// that name. A record or two may end up in the older file; none is lost, save
// with the oldest file.
package logfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/gofrs/flock"
)

// Defaults of [Options].
const (
	DefaultMaxSize = 10 << 20
	DefaultKeep    = 3
)

// Options configure [Open].
type Options struct {
	// MaxSize is the size in bytes at which a file is put aside. A file is a
	// record larger at most. Default: DefaultMaxSize.
	MaxSize int64
	// Keep is how many files there are, the one in use included. Default:
	// DefaultKeep.
	Keep int
	// Header is written at the beginning of each file, with its line end.
	Header []byte
}

// A File is an open log. Safe for concurrent use.
type File struct {
	path string
	opts Options

	mu   sync.Mutex
	f    *os.File // nil once closed
	size int64    // of f when it was last looked at
	next int64    // the size at which rotating is tried again
}

var _ io.WriteCloser = (*File)(nil)

// Open opens the log at path, creates it and its folder where they are missing,
// for their owner only, and appends to it.
func Open(path string, o Options) (*File, error) {
	if o.MaxSize <= 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.Keep <= 0 {
		o.Keep = DefaultKeep
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("creating the log's folder: %w", err)
	}
	l := &File{path: path, opts: o}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return l, nil
}

// Path returns the absolute path of the log.
func (l *File) Path() string { return l.path }

// Write appends one record, with its line end.
func (l *File) Write(record []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return 0, fs.ErrClosed
	}
	l.follow()
	if l.size+int64(len(record)) > l.opts.MaxSize && l.size >= l.next {
		l.rotate()
	}
	n, err := l.f.Write(record)
	l.size += int64(n)
	return n, err
}

// Close closes the log.
func (l *File) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}

// open opens what is at the path now.
func (l *File) open() error {
	f, err := openAppend(l.path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	if l.f != nil {
		_ = l.f.Close()
	}
	l.f, l.size, l.next = f, info.Size(), 0
	if l.size == 0 && len(l.opts.Header) > 0 {
		// Two processes may both write it; readers take the first.
		n, err := f.Write(l.opts.Header)
		l.size = int64(n)
		return err
	}
	return nil
}

// follow goes over to the file at the path where another process, or somebody
// with a broom, has put another in place of the open one.
func (l *File) follow() {
	open, err := l.f.Stat()
	if err != nil {
		return
	}
	l.size = open.Size()
	now, err := os.Stat(l.path)
	if err == nil && os.SameFile(open, now) {
		return
	}
	_ = l.open() // else what is open will do
}

// rotate puts the full file aside. Where that can't be done, as with a file
// that somebody has open on Windows, the log grows, and it is tried again
// later: a log is never a reason to fail.
func (l *File) rotate() {
	l.next = l.size + l.opts.MaxSize/8
	lock := flock.New(l.path + ".lock")
	held, err := lock.TryLock()
	if err != nil || !held {
		return // somebody else is at it
	}
	defer func() { _ = lock.Unlock() }()
	open, err := l.f.Stat()
	if err != nil || !open.Mode().IsRegular() { // a pipe, or a terminal
		return
	}
	if now, err := os.Stat(l.path); err == nil && !os.SameFile(open, now) {
		_ = l.open() // somebody else has been faster
		return
	}
	for i := l.opts.Keep - 1; i > 0; i-- {
		from := numbered(l.path, i-1)
		if err := os.Rename(from, numbered(l.path, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
	if l.opts.Keep == 1 {
		if err := os.Remove(l.path); err != nil {
			return
		}
	}
	_ = l.open()
}

// numbered returns the name of the i-th file, 0 being the one in use.
func numbered(path string, i int) string {
	if i == 0 {
		return path
	}
	return path + "." + strconv.Itoa(i)
}

// Files returns the files of the log at path that exist, oldest first.
func Files(path string) []string {
	var found []string
	for i := range maxGenerations {
		name := numbered(path, maxGenerations-1-i)
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			found = append(found, name)
		}
	}
	return found
}

// maxGenerations bounds the search for files of a log.
const maxGenerations = 10

// Remove removes the log at path with its older files and its lock.
func Remove(path string) error {
	var faults []error
	for _, name := range append(Files(path), path+".lock") {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("removing the log: %w", err)
	}
	return nil
}
