package profile

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	day1 = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	day2 = day1.Add(24 * time.Hour)
)

func sample(url string) Profile {
	return Profile{
		URL:        url,
		TenantID:   "6f1c7f0e-3a52-4b8e-9d0b-5a2f4c1e7d90",
		Authority:  "https://login.microsoftonline.com/6f1c7f0e-3a52-4b8e-9d0b-5a2f4c1e7d90",
		ClientID:   "1b2e3d4c-8a6f-4d2b-8c9e-4f5a6b7c8d9e",
		Scopes:     []string{"api://x/Mcp.Access", "api://x/Other"},
		Account:    Account{HomeAccountID: "a.b", Username: "ada@contoso.example"},
		TokenStore: "keyring",
		Transport:  "auto",
	}
}

func TestCanonical(t *testing.T) {
	tests := []struct{ raw, want, origin string }{
		{"https://mcp.contoso.com/mcp", "https://mcp.contoso.com/mcp", "https://mcp.contoso.com"},
		{"HTTPS://MCP.Contoso.com:443/Mcp", "https://mcp.contoso.com/Mcp", "https://mcp.contoso.com"},
		{"https://mcp.contoso.com:8443/mcp/", "https://mcp.contoso.com:8443/mcp/", "https://mcp.contoso.com:8443"},
		{"http://127.0.0.1:80/mcp#frag", "http://127.0.0.1/mcp", "http://127.0.0.1"},
		{"http://127.0.0.1:443/", "http://127.0.0.1:443/", "http://127.0.0.1:443"},
		{"https://[::1]:443/mcp", "https://[::1]/mcp", "https://[::1]"},
		{"https://mcp.contoso.com:/mcp", "https://mcp.contoso.com/mcp", "https://mcp.contoso.com"},
		{"https://mcp.contoso.com/a%2Fb/../c?x=1&Y=%20", "https://mcp.contoso.com/a%2Fb/../c?x=1&Y=%20", "https://mcp.contoso.com"},
		{"https://mcp.contoso.com", "https://mcp.contoso.com", "https://mcp.contoso.com"},
	}
	for _, tt := range tests {
		got, err := Canonical(tt.raw)
		if err != nil || got != tt.want {
			t.Errorf("Canonical(%q) = %q, %v; want %q", tt.raw, got, err, tt.want)
		}
		if origin, err := Origin(tt.raw); err != nil || origin != tt.origin {
			t.Errorf("Origin(%q) = %q, %v; want %q", tt.raw, origin, err, tt.origin)
		}
		if again, err := Canonical(got); err != nil || again != got {
			t.Errorf("Canonical(%q) = %q, %v; it should not change again", got, again, err)
		}
	}
	for _, bad := range []string{"", "mcp", "mcp.contoso.com/mcp", "ftp://x/y", "https:///mcp", "https://:443/", "https://u:p@x/", "https:opaque", "https://x y/", "https://x\x00/"} {
		if got, err := Canonical(bad); err == nil {
			t.Errorf("Canonical(%q) = %q", bad, got)
		}
	}
}

func TestSaveThenLoad(t *testing.T) {
	now := day1
	s := Open(t.TempDir(), func() time.Time { return now })
	saved, err := s.Save(sample("HTTPS://MCP.contoso.com:443/mcp"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Load("https://mcp.contoso.com/mcp#x")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, saved) {
		t.Errorf("loaded %+v, saved %+v", got, saved)
	}
	if got.Version != Version || got.URL != "https://mcp.contoso.com/mcp" || got.Origin != "https://mcp.contoso.com" || !got.Created.Equal(day1) {
		t.Errorf("loaded %+v", got)
	}

	now = day2
	got.Transport = "sse"
	if _, err := s.Save(got); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Load(got.URL); err != nil || got.Transport != "sse" || !got.Created.Equal(day1) || !got.Updated.Equal(day2) {
		t.Errorf("after the second save: %+v, %v", got, err)
	}
}

func TestFilesArePrivateAndNamedForAnyFileSystem(t *testing.T) {
	dir := t.TempDir()
	s := Open(filepath.Join(dir, "new"), nil)
	url := `https://mcp.contoso.com/CON/a:b*c?d="e"|f`
	if _, err := s.Save(sample(url)); err != nil {
		t.Fatal(err)
	}
	path, err := s.Path(url)
	if err != nil {
		t.Fatal(err)
	}
	if name := filepath.Base(path); len(name) != 37 || strings.Trim(name, "0123456789abcdef") != ".json" {
		t.Errorf("the file is called %q", name)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("%d files are left, want 1", len(entries))
	}
	if runtime.GOOS == "windows" {
		return // access follows the profile directory's list there
	}
	for p, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", p, info.Mode(), err, want)
		}
	}
}

func TestUnknownURLSaysWhatToType(t *testing.T) {
	s := Open(t.TempDir(), nil)
	_, err := s.Load("https://mcp.contoso.com/mcp")
	if !errors.Is(err, ErrNotFound) || !strings.HasSuffix(err.Error(), "run: mcpctl login https://mcp.contoso.com/mcp") {
		t.Errorf("in an empty store: %v", err)
	}
	if err := s.Delete("https://mcp.contoso.com/mcp"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleting: %v", err)
	}
	want := "login 'https://mcp.contoso.com/mcp$(x)'\\''?…'"
	if _, err = s.Load("https://mcp.contoso.com/mcp$(x)'?a=1&key=SECRET"); runtime.GOOS != "windows" && !strings.HasSuffix(err.Error(), want) {
		t.Errorf("an address that a shell would take apart: %v", err)
	}

	if _, err := s.Save(sample("https://mcp.contoso.com/mcp")); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ url, suggestion string }{
		{"https://mcp.contoso.com/mcp/", "https://mcp.contoso.com/mcp"},
		{"https://mcp.contoso.com/MCP", "https://mcp.contoso.com/mcp"},
		{"http://mcp.contoso.com/mcp", "https://mcp.contoso.com/mcp"},
		{"https://mcp.contoso.com/sse", "https://mcp.contoso.com/mcp"},
		{"https://mcp.fabrikam.com/mcp", ""},
	}
	for _, tt := range tests {
		_, err := s.Load(tt.url)
		var nf *NotFoundError
		if !errors.As(err, &nf) || nf.Suggestion != tt.suggestion {
			t.Errorf("%s: %v, want the suggestion %q", tt.url, err, tt.suggestion)
		}
	}
}

func TestDamagedFilesAreNamed(t *testing.T) {
	const url = "https://mcp.contoso.com/mcp"
	good, err := encode(Profile{Version: 1, URL: url, Origin: "https://mcp.contoso.com"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, content string
		is            error
	}{
		{"empty", "", ErrCorrupt},
		{"cut off", string(good[:len(good)/2]), ErrCorrupt},
		{"not an object", "[]", ErrCorrupt},
		{"no version", `{"url":"` + url + `"}`, ErrCorrupt},
		{"about another server", strings.ReplaceAll(string(good), "mcp.contoso.com", "evil.example"), ErrCorrupt},
		{"another origin than its URL's", strings.Replace(string(good), `"origin": "https://mcp.contoso.com"`, `"origin": "https://evil.example"`, 1), ErrCorrupt},
		{"too large", string(good) + strings.Repeat(" ", maxSize), ErrCorrupt},
		{"control characters", strings.Replace(string(good), `"account": {}`, `"account": {"username":"a\u001b[31m"}`, 1), ErrCorrupt},
		{"of a newer mcpctl", strings.Replace(string(good), `"version": 1`, `"version": 7`, 1), ErrNewerVersion},
		{"of a newer mcpctl with other types", `{"version":7,"scopes":{}}`, ErrNewerVersion},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Open(t.TempDir(), nil)
			path, _ := s.Path(url)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := s.Load(url)
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), path) {
				t.Errorf("error is %v, want %v and the path", err, tt.is)
			}
			if after, _ := os.ReadFile(path); string(after) != tt.content {
				t.Error("the file was touched")
			}
		})
	}
}

func TestListShowsTheGoodDespiteTheBad(t *testing.T) {
	dir := t.TempDir()
	s := Open(dir, nil)
	if got, err := s.List(); err != nil || len(got) != 0 {
		t.Errorf("an empty store lists %v, %v", got, err)
	}
	for _, url := range []string{"https://b.example/mcp", "https://a.example/mcp"} {
		if _, err := s.Save(sample(url)); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{"bad.json": "{", "123.tmp": "{", "note.txt": "x"} {
		if err := os.WriteFile(filepath.Join(dir, "profiles", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.List()
	if len(got) != 2 || got[0].URL != "https://a.example/mcp" || got[1].URL != "https://b.example/mcp" {
		t.Errorf("listed %+v", got)
	}
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "bad.json") || strings.Contains(err.Error(), "123.tmp") {
		t.Errorf("faults: %v", err)
	}
	if err := s.Delete("https://a.example/mcp"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load("https://a.example/mcp"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after deleting: %v", err)
	}
}

func TestReadersNeverSeeHalfAFile(t *testing.T) {
	s := Open(t.TempDir(), nil)
	const url = "https://mcp.contoso.com/mcp"
	if _, err := s.Save(sample(url)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, err := s.Save(sample(url)); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 200 {
				if _, err := s.Load(url); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestSaveThatCannot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, nil).Save(sample("https://a.example/mcp")); err == nil {
		t.Error("saved below a file")
	}
	bad := sample("https://a.example/mcp")
	bad.Account.Username = "a\nb"
	if _, err := Open(t.TempDir(), nil).Save(bad); err == nil {
		t.Error("saved control characters")
	}
}

func TestDir(t *testing.T) {
	want := t.TempDir()
	t.Setenv(DirVariable, want)
	if got, err := Dir(); err != nil || got != want {
		t.Errorf("Dir() = %q, %v; want %q", got, err, want)
	}
	t.Setenv(DirVariable, "")
	base := t.TempDir()
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "AppData"} {
		t.Setenv(name, base)
	}
	if got, err := Dir(); err != nil || filepath.Base(got) != "mcpctl" || !strings.HasPrefix(got, base) {
		t.Errorf("Dir() = %q, %v", got, err)
	}
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "AppData"} {
		t.Setenv(name, "")
	}
	if _, err := Dir(); err == nil || !strings.Contains(err.Error(), DirVariable) {
		t.Errorf("without a home: %v", err)
	}
}

func TestDiff(t *testing.T) {
	old := sample("https://mcp.contoso.com/mcp")
	byDomain := old
	byDomain.Authority = "https://login.microsoftonline.com/contoso.com"
	tests := []struct {
		name string
		old  Profile
		now  Pin
		want []Change
	}{
		{"nothing said", old, Pin{}, nil},
		{"the same in another order and case", old, Pin{TenantID: strings.ToUpper(old.TenantID), Authority: old.Authority, ClientID: old.ClientID,
			Scopes: []string{"api://x/Other", "api://x/Mcp.Access", "api://x/Other"}}, nil},
		{"the tenant by its domain", byDomain, Pin{TenantID: "contoso.com"}, nil},
		{"another tenant", old, Pin{TenantID: "evil"}, []Change{{"tenant", old.TenantID, "evil"}}},
		{"another client", old, Pin{ClientID: "c2"}, []Change{{"client", old.ClientID, "c2"}}},
		{"another authority", old, Pin{Authority: "https://login.microsoftonline.us/x"}, []Change{{"authority", old.Authority, "https://login.microsoftonline.us/x"}}},
		{"one scope more", old, Pin{Scopes: []string{"api://x/Mcp.Access", "api://x/Other", "api://x/Admin"}},
			[]Change{{"scopes", "api://x/Mcp.Access api://x/Other", "api://x/Mcp.Access api://x/Other api://x/Admin"}}},
		{"one scope less", old, Pin{Scopes: []string{"api://x/Other"}}, []Change{{"scopes", "api://x/Mcp.Access api://x/Other", "api://x/Other"}}},
	}
	for _, tt := range tests {
		if got := Diff(tt.old, tt.now); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good, err := encode(Profile{Version: 1, URL: "https://a.example/mcp", Origin: "https://a.example", Scopes: []string{"s"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"url":"https://[::1]:443/%zz","scopes":[null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decode(data)
		if err != nil {
			return
		}
		if origin, err := Origin(p.URL); err != nil || origin != p.Origin {
			t.Fatalf("accepted an origin %q for %q", p.Origin, p.URL)
		}
		again, err := encode(p)
		if err != nil {
			return // grown beyond the limit by indentation
		}
		q, err := decode(again)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		a, _ := json.Marshal(p)
		b, _ := json.Marshal(q)
		if string(a) != string(b) {
			t.Fatalf("%s became %s", a, b)
		}
	})
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"https://a.example:443/mcp", "HTTP://[::1]:80/#x", "https://a/%2f?x#y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		once, err := Canonical(raw)
		if err != nil {
			return
		}
		twice, err := Canonical(once)
		if err != nil || once != twice {
			t.Fatalf("%q became %q and then %q, %v", raw, once, twice, err)
		}
	})
}

func TestClearRemovesWhatCannotBeReadToo(t *testing.T) {
	dir := t.TempDir()
	s := Open(dir, nil)
	if err := s.Clear(); err != nil {
		t.Errorf("with nothing there: %v", err)
	}
	if _, err := s.Save(sample("https://mcp.contoso.com/mcp")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"damaged.json": "{", "newer.json": `{"version":99}`, "killed.tmp": "{", "note.txt": "mine"} {
		if err := os.WriteFile(filepath.Join(dir, "profiles", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Clear(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "profiles"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "note.txt" {
		t.Errorf("left: %v, %v; want only what is not ours", entries, err)
	}
}
