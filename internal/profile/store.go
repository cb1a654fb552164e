package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/redact"
	"github.com/mcpctl/mcpctl/internal/sharedfile"
)

// DirVariable names the environment variable that replaces the directory of
// mcpctl's files, for tests and for portable installations.
const DirVariable = "MCPCTL_CONFIG_DIR"

// Dir returns the directory of mcpctl's files: $MCPCTL_CONFIG_DIR, else
// "mcpctl" in the user's configuration directory. Nothing is created.
//
// Programs that start a bridge pass on few variables. Where the directory
// depends on one that they leave out, such as XDG_CONFIG_HOME, the bridge must
// be given DirVariable.
func Dir() (string, error) {
	if dir := os.Getenv(DirVariable); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("finding the directory in %s: %w", DirVariable, err)
		}
		return abs, nil
	}
	base, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("finding the user's configuration directory: %w; set %s to a directory of yours", err, DirVariable)
	}
	return filepath.Join(base, "mcpctl"), nil
}

// A Store is the directory of profiles. Safe for concurrent use, also by
// several processes: files are replaced whole, and the last writer wins.
type Store struct {
	dir string
	now func() time.Time
}

// Open returns the store below dir, mcpctl's own directory as [Dir] gives it.
// now is the clock for a profile's dates; nil is [time.Now].
func Open(dir string, now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	return &Store{dir: filepath.Join(dir, "profiles"), now: now}
}

// Path returns the file of the profile for url, whether it exists or not.
func (s *Store) Path(url string) (string, error) {
	canonical, err := Canonical(url)
	if err != nil {
		return "", err
	}
	return s.path(canonical), nil
}

// LogPath returns the file that bridges to url keep their log in, below dir,
// mcpctl's own directory as [Dir] gives it. Its name begins with the server's,
// for people who look into the folder.
func LogPath(dir, url string) (string, error) {
	canonical, err := Canonical(url)
	if err != nil {
		return "", err
	}
	host := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, hostOf(canonical))
	return filepath.Join(LogDir(dir), host[:min(len(host), 60)]+"-"+fingerprint(canonical)+".log"), nil
}

// LogDir returns the folder of the logs below dir.
func LogDir(dir string) string { return filepath.Join(dir, "logs") }

func hostOf(canonical string) string {
	_, rest, _ := strings.Cut(canonical, "://")
	host, _, _ := strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, "?")
	return host
}

// path derives a name that every file system accepts and that two addresses
// share on none, not even where case does not count.
func (s *Store) path(canonical string) string {
	return filepath.Join(s.dir, fingerprint(canonical)+".json")
}

func fingerprint(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return hex.EncodeToString(sum[:16])
}

// Load returns the profile for url. The error is a [*NotFoundError], a
// [*CorruptError], [ErrNewerVersion] or one of the file system.
func (s *Store) Load(url string) (Profile, error) {
	canonical, err := Canonical(url)
	if err != nil {
		return Profile{}, err
	}
	path := s.path(canonical)
	p, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Profile{}, &NotFoundError{URL: canonical, Dir: s.dir, Suggestion: s.near(canonical)}
	}
	if err == nil && p.URL != canonical {
		return Profile{}, &CorruptError{Path: path, Err: fmt.Errorf("it is about %s instead of %s", redact.URL(p.URL), redact.URL(canonical))}
	}
	return p, err
}

// Save writes p, replacing what was there. It sets the version, the canonical
// URL, the origin and the dates, and returns the profile as written.
func (s *Store) Save(p Profile) (Profile, error) {
	canonical, err := Canonical(p.URL)
	if err != nil {
		return Profile{}, fmt.Errorf("saving profile: %w", err)
	}
	p.URL, p.Version = canonical, Version
	if p.Origin, err = Origin(canonical); err != nil {
		return Profile{}, fmt.Errorf("saving profile: %w", err)
	}
	p.Updated = s.now().UTC().Truncate(time.Second)
	if p.Created.IsZero() {
		p.Created = p.Updated
	}
	if err := p.check(); err != nil {
		return Profile{}, fmt.Errorf("saving profile for %s: %w", canonical, err)
	}
	data, err := encode(p)
	if err != nil {
		return Profile{}, fmt.Errorf("saving profile for %s: %w", canonical, err)
	}
	if err := s.write(s.path(canonical), data); err != nil {
		return Profile{}, fmt.Errorf("saving profile for %s: %w", canonical, err)
	}
	return p, nil
}

// List returns all profiles, ordered by URL. Files that cannot be used are
// reported together, and do not hide the others.
func (s *Store) List() ([]Profile, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing profiles: %w", err)
	}
	var profiles []Profile
	var faults []error
	for _, entry := range entries {
		if entry.IsDir() || filepath.Ext(entry.Name()) != ".json" {
			continue
		}
		p, err := read(filepath.Join(s.dir, entry.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted meanwhile
		case err != nil:
			faults = append(faults, err)
		default:
			profiles = append(profiles, p)
		}
	}
	slices.SortFunc(profiles, func(a, b Profile) int { return strings.Compare(a.URL, b.URL) })
	return profiles, errors.Join(faults...)
}

// Delete removes the profile for url; its tokens are not touched. The error is
// a [*NotFoundError] if there is none.
func (s *Store) Delete(url string) error {
	canonical, err := Canonical(url)
	if err != nil {
		return err
	}
	err = sharedfile.Retry(func() error { return os.Remove(s.path(canonical)) })
	if errors.Is(err, fs.ErrNotExist) {
		return &NotFoundError{URL: canonical, Dir: s.dir, Suggestion: s.near(canonical)}
	}
	if err != nil {
		return fmt.Errorf("deleting profile for %s: %w", canonical, err)
	}
	return nil
}

// Clear removes all profiles, also those that can't be read and what killed
// processes left of their writes. It goes on when something fails and returns
// all failures joined.
func (s *Store) Clear() error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing profiles: %w", err)
	}
	var faults []error
	for _, entry := range entries {
		if ext := filepath.Ext(entry.Name()); entry.IsDir() || ext != ".json" && ext != ".tmp" {
			continue
		}
		err := sharedfile.Retry(func() error { return os.Remove(filepath.Join(s.dir, entry.Name())) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, fmt.Errorf("deleting profile: %w", err))
		}
	}
	return errors.Join(faults...)
}

// near returns the URL of a profile that differs from url only in a trailing
// slash, in the path's case or in scheme; else the only one on its origin.
func (s *Store) near(url string) string {
	profiles, _ := s.List() // a damaged neighbour does not matter here
	loose := func(u string) string {
		_, rest, _ := strings.Cut(strings.ToLower(u), "://")
		return strings.TrimRight(rest, "/")
	}
	origin, _ := Origin(url)
	var siblings []string
	for _, p := range profiles {
		if loose(p.URL) == loose(url) {
			return p.URL
		}
		if p.Origin == origin {
			siblings = append(siblings, p.URL)
		}
	}
	if len(siblings) == 1 {
		return siblings[0]
	}
	return ""
}

func read(path string) (Profile, error) {
	var data []byte
	err := sharedfile.Retry(func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		data, err = io.ReadAll(io.LimitReader(f, maxSize+1))
		return err
	})
	if err != nil {
		return Profile{}, fmt.Errorf("reading profile: %w", err)
	}
	p, err := decode(data)
	if errors.Is(err, ErrNewerVersion) {
		return Profile{}, fmt.Errorf("%s: %w", path, err)
	}
	if err != nil {
		return Profile{}, &CorruptError{Path: path, Err: err}
	}
	return p, nil
}

// write replaces path in one step, so that a reader sees the old content or
// the new, and a crash leaves one of them.
func (s *Store) write(path string, data []byte) (err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, "*.tmp") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return sharedfile.Retry(func() error { return os.Rename(f.Name(), path) })
}
