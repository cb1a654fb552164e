package era

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Bounds of what [VerdictFiles] keeps.
const (
	maxVerdictFiles = 500
	maxVerdictSize  = 1 << 10
	verdictLife     = 30 * 24 * time.Hour
	verdictExt      = ".json"
)

// VerdictFiles is a [VerdictStore] in a folder, for any number of processes at a
// time: one small file for each origin, replaced whole. What can't be read, is
// too old or is from the future counts as unknown, which costs a probe. The
// files' names and contents say nothing of the origins.
//
// A process reads an origin's file until it has found something, and goes by
// that and its own findings from then on.
type VerdictFiles struct {
	dir string
	now func() time.Time
	log *slog.Logger

	mu    sync.Mutex
	known map[string]Verdict // by origin
}

// NewVerdictFiles returns the store in dir, which is made when there is something
// to keep. now is the clock, by default [time.Now]. A nil logger discards.
func NewVerdictFiles(dir string, now func() time.Time, logger *slog.Logger) *VerdictFiles {
	if now == nil {
		now = time.Now
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &VerdictFiles{dir: dir, now: now, log: logger, known: map[string]Verdict{}}
}

// Get implements [VerdictStore].
func (s *VerdictFiles) Get(origin string) (Verdict, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.known[origin]; ok {
		return v, true
	}
	v, err := s.read(s.path(origin))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Debug("what is known of the server's protocol era can't be used", "reason", err)
		}
		return Verdict{}, false
	}
	s.known[origin] = v
	return v, true
}

// Put implements [VerdictStore].
func (s *VerdictFiles) Put(origin string, v Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[origin] = v
	if err := s.write(s.path(origin), v); err != nil {
		s.log.Debug("what is known of the server's protocol era can't be kept", "reason", err)
	}
}

// path derives a name that every file system accepts and that tells nothing: an
// address may hold a key.
func (s *VerdictFiles) path(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:16])+verdictExt)
}

func (s *VerdictFiles) read(path string) (Verdict, error) {
	f, err := os.Open(path)
	if err != nil {
		return Verdict{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxVerdictSize+1))
	if err != nil {
		return Verdict{}, err
	}
	v, err := decodeVerdict(data)
	if err != nil {
		return Verdict{}, err
	}
	if age := s.now().Sub(v.At); age > verdictLife || age < -time.Hour {
		return Verdict{}, fmt.Errorf("it is from %s", v.At.Format(time.RFC3339))
	}
	return v, nil
}

func decodeVerdict(data []byte) (Verdict, error) {
	var v Verdict
	if len(data) > maxVerdictSize {
		return v, errors.New("its file is too large")
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return Verdict{}, err
	}
	if v.Era == Unknown {
		return Verdict{}, errors.New("its file says nothing")
	}
	return v, nil
}

// write replaces path in one step, so that a reader sees the old content or the
// new. A loss by a crash would cost a probe, so nothing is synced.
func (s *VerdictFiles) write(path string, v Verdict) (err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, "*.tmp") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return s.prune()
}

// prune removes the oldest files above the bound, and what killed processes left
// of their writes. Several processes may do so at once.
func (s *VerdictFiles) prune() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	type file struct {
		path string
		at   time.Time
	}
	var kept []file
	for _, entry := range entries {
		path := filepath.Join(s.dir, entry.Name())
		info, err := entry.Info()
		switch {
		case err != nil || !info.Mode().IsRegular():
		case filepath.Ext(path) == verdictExt:
			kept = append(kept, file{path, info.ModTime()})
		case filepath.Ext(path) == ".tmp" && time.Since(info.ModTime()) > time.Hour:
			_ = os.Remove(path)
		}
	}
	if len(kept) <= maxVerdictFiles {
		return nil
	}
	slices.SortFunc(kept, func(a, b file) int { return a.at.Compare(b.at) })
	for _, f := range kept[:len(kept)-maxVerdictFiles] {
		_ = os.Remove(f.path)
	}
	return nil
}
