package era

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

const someOrigin = "https://mcp.example.com/mcp?key=secret"

// Another process finds what one has found.
func TestVerdictFilesAreShared(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "eras")
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	a, b := NewVerdictFiles(dir, clock, nil), NewVerdictFiles(dir, clock, nil)
	if _, ok := a.Get(someOrigin); ok {
		t.Error("there is a verdict from nowhere")
	}
	for _, e := range []Era{Legacy, Modern, Dual} {
		a.Put(someOrigin, Verdict{Era: e, At: now})
		if v, ok := NewVerdictFiles(dir, clock, nil).Get(someOrigin); !ok || v.Era != e || !v.At.Equal(now) {
			t.Errorf("%s came back as %v", e, v)
		}
	}
	if v, ok := b.Get(someOrigin); !ok || v.Era != Dual {
		t.Errorf("a process that found nothing before got %v", v)
	}
	if _, ok := b.Get("https://mcp.example.com/mcp"); ok {
		t.Error("the verdict counts for another address")
	}
	for _, f := range files(t, dir) {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(f+string(text), "secret") || strings.Contains(f+string(text), "example") {
			t.Errorf("%s tells of the address: %s", f, text)
		}
		if info, err := os.Stat(f); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
			t.Errorf("%s: %v %v", f, info.Mode(), err)
		}
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Whatever stands in a file counts as nothing, and is replaced.
func TestVerdictFilesTolerate(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	for name, text := range map[string]string{
		"nothing":         ``,
		"half":            `{"era":"mod`,
		"another form":    `["modern"]`,
		"a number":        `{"era":2,"at":"` + at(0) + `"}`,
		"an unknown era":  `{"era":"postmodern","at":"` + at(0) + `"}`,
		"no era":          `{"at":"` + at(0) + `"}`,
		"no date":         `{"era":"modern"}`,
		"a wrong date":    `{"era":"modern","at":"yesterday"}`,
		"too old":         `{"era":"modern","at":"` + at(-31*24*time.Hour) + `"}`,
		"from the future": `{"era":"modern","at":"` + at(48*time.Hour) + `"}`,
		"too large":       `{"era":"modern","at":"` + at(0) + `"}` + strings.Repeat(" ", 2000),
		"zeros":           strings.Repeat("\x00", 60),
	} {
		t.Run(name, func(t *testing.T) {
			s := NewVerdictFiles(t.TempDir(), func() time.Time { return now }, nil)
			if err := os.WriteFile(s.path(someOrigin), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if v, ok := s.Get(someOrigin); ok {
				t.Errorf("taken for %v", v)
			}
			s.Put(someOrigin, Verdict{Era: Modern, At: now})
			if v, ok := NewVerdictFiles(s.dir, s.now, nil).Get(someOrigin); !ok || v.Era != Modern {
				t.Errorf("after a new finding: %v", v)
			}
		})
	}
}

// Without a folder to write to it works for this run.
func TestVerdictFilesWithoutAPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewVerdictFiles(filepath.Join(file, "eras"), nil, nil)
	s.Put(someOrigin, Verdict{Era: Modern, At: time.Now()})
	if v, ok := s.Get(someOrigin); !ok || v.Era != Modern {
		t.Errorf("got %v", v)
	}
}

// Many processes may write at once; a reader sees the one or the other.
func TestVerdictFilesAtOnce(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for process := range 8 {
		all.Go(func() {
			for i := range 50 {
				s := NewVerdictFiles(dir, nil, nil)
				origin := fmt.Sprint(someOrigin, i%5)
				if v, ok := s.Get(origin); ok && v.Era != Legacy && v.Era != Modern {
					t.Errorf("read %v", v)
				}
				s.Put(origin, Verdict{Era: []Era{Legacy, Modern}[process%2], At: time.Now()})
				if _, ok := NewVerdictFiles(dir, nil, nil).Get(origin); !ok {
					t.Error("a verdict is gone")
				}
			}
		})
	}
	all.Wait()
	if n := len(files(t, dir)); n != 5 {
		t.Errorf("%d files for 5 origins", n)
	}
}

// The folder does not grow: the oldest go, and what killed processes left.
func TestVerdictFilesAreBounded(t *testing.T) {
	s := NewVerdictFiles(t.TempDir(), nil, nil)
	left := filepath.Join(s.dir, "1234.tmp")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(left, long, long); err != nil {
		t.Fatal(err)
	}
	for i := range maxVerdictFiles + 50 {
		origin := fmt.Sprint(i)
		s.Put(origin, Verdict{Era: Modern, At: time.Now()})
		at := long.Add(time.Duration(i) * time.Second)
		if err := os.Chtimes(s.path(origin), at, at); err != nil {
			t.Fatal(err)
		}
	}
	names := files(t, s.dir)
	if len(names) != maxVerdictFiles || slices.Contains(names, left) || slices.Contains(names, s.path("0")) || !slices.Contains(names, s.path(fmt.Sprint(maxVerdictFiles+49))) {
		t.Errorf("%d files are left", len(names))
	}
}

// Refused credentials, overload and failures leave nothing in the folder.
func TestVerdictFilesKeepNoRefusals(t *testing.T) {
	for _, status := range []int{401, 403, 407, 408, 429, 500, 502, 503, 504} {
		for _, first := range []string{hello, `{"jsonrpc":"2.0","id":0,"method":"server/discover","params":` + modernParams("{}", "", "") + `}`} {
			s := NewVerdictFiles(t.TempDir(), nil, nil)
			tr, err := New(Options{Verdicts: s, Origin: someOrigin, Deliver: func(context.Context, wire.Frame) error { return nil }}, func(wire.Deliver) (wire.Remote, error) {
				return &fakeRemote{handle: func(*fakeRemote, context.Context, wire.Frame) error { return &wire.StatusError{Status: status} }}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := tr.Exchange(t.Context(), wire.MustParse(first)); err == nil {
				t.Errorf("%d was no error", status)
			}
			if list := files(t, s.dir); len(list) != 0 {
				t.Errorf("%d was taken for an era: %v", status, list)
			}
		}
	}
}

func FuzzVerdict(f *testing.F) {
	f.Add([]byte(`{"era":"modern","at":"2026-11-01T00:00:00Z"}`))
	f.Add([]byte(`{"era":"legacy","at":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if v, err := decodeVerdict(data); err == nil && v.Era != Legacy && v.Era != Modern && v.Era != Dual {
			t.Errorf("%q was taken for %v", data, v)
		}
	})
}
