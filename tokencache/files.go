package tokencache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	tokensName = "tokens.bin"
	recordName = "store.json"
	lockName   = "tokens.lock"
	badSuffix  = ".bad"
	tempGlob   = ".tokens-*"

	// transientFor bounds how long an operation is repeated that fails only
	// because another process has the file open at this moment (Windows).
	transientFor  = 2 * time.Second
	transientStep = 5 * time.Millisecond
)

// files does what a store needs of its directory. Tests replace the functions
// to fail like a full disk, or like Windows.
type files struct {
	dir       string
	open      func(name string) (*os.File, error)
	rename    func(from, to string) error
	sync      func(*os.File) error
	transient func(error) bool // worth repeating
}

func newFiles(dir string) files {
	return files{dir: dir, open: os.Open, rename: os.Rename, sync: (*os.File).Sync, transient: transient}
}

func (f files) path(name string) string { return filepath.Join(f.dir, name) }

// create makes the directory, private to the person.
func (f files) create() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("creating token store: %w", err)
	}
	return f.tighten()
}

// read returns the whole of a file of at most limit bytes, or an error that is
// fs.ErrNotExist.
func (f files) read(name string, limit int64) ([]byte, error) {
	var data []byte
	err := f.repeat(func() (err error) {
		data, err = f.readOnce(f.path(name), limit)
		return err
	})
	return data, err
}

func (f files) readOnce(path string, limit int64) ([]byte, error) {
	// Opening a pipe that someone put there would wait for its writer.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading %s: not a regular file", path)
	}
	file, err := f.open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// One byte more than allowed: the parser then says that it is too large.
	return io.ReadAll(io.LimitReader(file, limit+1))
}

// replace puts data in place of the named file so that every reader, and every
// crash, sees the old content or the new one.
func (f files) replace(name string, data []byte) (err error) {
	temp, err := os.CreateTemp(f.dir, tempGlob) // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = temp.Close()
			_ = os.Remove(temp.Name())
		}
	}()
	if _, err := temp.Write(data); err != nil {
		return err
	}
	if err := f.sync(temp); err != nil {
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	if err := f.repeat(func() error { return f.rename(temp.Name(), f.path(name)) }); err != nil {
		return err
	}
	return syncDir(f.dir)
}

// setAside renames a file that can't be read. An older one of that name goes.
func (f files) setAside(name string) error {
	err := f.repeat(func() error { return f.rename(f.path(name), f.path(name+badSuffix)) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// remove deletes a file if it exists.
func (f files) remove(name string) error {
	err := f.repeat(func() error { return os.Remove(f.path(name)) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sweep deletes what killed processes left of their writes. Its caller holds
// the lock, under which nobody else writes.
func (f files) sweep() error {
	return f.removeAll(tempGlob)
}

// removeAll deletes the files whose names match. It does not use
// filepath.Glob, for which the directory's own name would be a pattern too.
func (f files) removeAll(pattern string) error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if matches, err := filepath.Match(pattern, entry.Name()); err != nil {
			return err
		} else if matches {
			errs = append(errs, f.remove(entry.Name()))
		}
	}
	return errors.Join(errs...)
}

// repeat calls op until it fails for a lasting reason, at most 2 s.
func (f files) repeat(op func() error) error {
	step := transientStep
	for deadline := time.Now().Add(transientFor); ; {
		err := op()
		if err == nil || !f.transient(err) || !time.Now().Before(deadline) {
			return err
		}
		time.Sleep(step)
		step = min(2*step, 100*time.Millisecond)
	}
}
