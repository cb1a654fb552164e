package desktop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/mcpctl/mcpctl/internal/sharedfile"
)

// ErrChanged reports that another program wrote the file meanwhile.
var ErrChanged = errors.New("the file has changed meanwhile")

// A file is a configuration file as it was read.
type file struct {
	path   string      // where links lead
	data   []byte      // nil if there is none
	info   fs.FileInfo // nil if there is none
	folder []string    // the folders that have to be made for it, the outermost first
}

func readFile(path string) (file, error) {
	f := file{path: path}
	var err error
	if f.path, err = followLinks(path); err != nil {
		return f, err
	}
	f.info, err = os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.info = nil
		for dir := filepath.Dir(f.path); !exists(dir); dir = filepath.Dir(dir) {
			f.folder = append([]string{dir}, f.folder...)
		}
		return f, nil
	case err != nil:
		return f, err
	case !f.info.Mode().IsRegular():
		return f, fmt.Errorf("%s is not a regular file", path)
	}
	if f.data, err = readAll(f.path); f.data == nil {
		f.data = []byte{}
	}
	return f, err
}

func readAll(path string) ([]byte, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(io.LimitReader(in, MaxSize+1)) // the parser says that it is too large
}

// followLinks is the file that a path leads to, which need not be there: people
// keep their configuration elsewhere and link to it, and the link has to stay.
func followLinks(path string) (string, error) {
	for range 40 {
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path, nil
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink == 0:
			return path, nil
		}
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", fmt.Errorf("%s is a link that leads to itself", path)
}

// replace puts data in place of the file, or removes it where data is nil, in
// one step: every reader and every crash sees the old or the new. The error is
// [ErrChanged] if the file is not what was read.
func (f file) replace(data []byte, private bool) error {
	if err := f.writable(); err != nil {
		return err
	}
	if data == nil {
		if err := f.unchanged(); err != nil {
			return err
		}
		return sharedfile.Retry(func() error { return os.Remove(f.path) })
	}
	dirMode, mode := fs.FileMode(0o755), fs.FileMode(0o644)
	if private {
		dirMode, mode = 0o700, 0o600
	}
	if err := os.MkdirAll(filepath.Dir(f.path), dirMode); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+".mcpctl-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // in vain once it has its name
	_, err = temp.Write(data)
	if f.info != nil {
		mode = f.info.Mode().Perm()
		err = errors.Join(err, sameOwner(temp, f.info))
	}
	if runtime.GOOS != "windows" { // where it would only set the read-only bit
		err = errors.Join(err, temp.Chmod(mode))
	}
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := f.unchanged(); err != nil {
		return err
	}
	return sharedfile.Retry(func() error { return os.Rename(temp.Name(), f.path) })
}

// writable refuses a file that is kept from being written, though a rename
// could replace it: often another program makes it.
func (f file) writable() error {
	if f.info == nil {
		return nil
	}
	if f.info.Mode().Perm()&0o200 == 0 {
		return fmt.Errorf("%s is read-only: change it where it comes from", f.path)
	}
	w, err := os.OpenFile(f.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return w.Close()
}

// unchanged looks again.
func (f file) unchanged() error {
	data, err := readAll(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.info == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), err == nil && (f.info == nil || !bytes.Equal(data, f.data)):
		return ErrChanged
	}
	return err
}

// removeFolders removes folders that hold nothing, the innermost first.
func removeFolders(dirs []string) {
	for _, dir := range slices.Backward(dirs) {
		_ = os.Remove(dir) // it fails if somebody uses it
	}
}
