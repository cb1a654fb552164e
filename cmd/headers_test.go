package cmd

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func environment(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestHeaders(t *testing.T) {
	env := environment("KEY", "hunter2", "NL", "swordfish\r\n", "EVIL", "a\r\nX-Evil: 1", "EMPTY", "")
	tests := []struct {
		name   string
		flags  []string
		header string
		want   []string
		secret []string
		fault  string
	}{
		{"several values", []string{"X-List: a:b", "x-list: second"}, "X-List", []string{"a:b", "second"}, nil, ""},
		{"spaces around", []string{"x-trace:  text/x "}, "X-Trace", []string{"text/x"}, nil, ""},
		{"empty value", []string{"X-Empty:"}, "X-Empty", []string{""}, nil, ""},
		{"a credential", []string{"X-Api-Key: hunter2"}, "X-Api-Key", []string{"hunter2"}, []string{"hunter2"}, ""},
		{"a variable", []string{"X-Team: Team ${KEY}!"}, "X-Team", []string{"Team hunter2!"}, []string{"Team hunter2!"}, ""},
		{"a variable with a line end", []string{"X-Team: ${NL}"}, "X-Team", []string{"swordfish"}, []string{"swordfish"}, ""},
		{"the characters themselves", []string{"X-Text: $${KEY} $KEY $"}, "X-Text", []string{"${KEY} $KEY $"}, nil, ""},
		{"a missing variable", []string{"X-Team: hunter2 ${GONE}"}, "", nil, nil, "X-Team: the environment variable GONE is not set"},
		{"an empty variable", []string{"X-Team: ${EMPTY}"}, "", nil, nil, "EMPTY is not set"},
		{"no end", []string{"X-Team: hunter2${KEY"}, "", nil, nil, "has no }"},
		{"no name", []string{"X-Team: ${hunter2 x}"}, "", nil, nil, "not the name of a variable"},
		{"a line end in a variable", []string{"X-Team: ${EVIL}"}, "", nil, nil, "no header can hold"},
		{"no colon", []string{"hunter2"}, "", nil, nil, "wants 'Name: value'"},
		{"nothing", []string{""}, "", nil, nil, "wants 'Name: value'"},
		{"no header name", []string{": hunter2"}, "", nil, nil, "wants 'Name: value'"},
		{"a space in the name", []string{"X Key: hunter2"}, "", nil, nil, "wants 'Name: value'"},
		{"another alphabet", []string{"Ключ: hunter2"}, "", nil, nil, "wants 'Name: value'"},
		{"a second header", []string{"X-Key: hunter2\r\nX-Evil: 1"}, "", nil, nil, "no header can hold"},
		{"a NUL", []string{"X-Key: hunter2\x00"}, "", nil, nil, "no header can hold"},
		{"Host", []string{"host: hunter2"}, "", nil, nil, "can't set Host: it belongs to the connection"},
		{"Content-Length", []string{"Content-Length: 5"}, "", nil, nil, "can't set Content-Length"},
		{"Mcp-Session-Id", []string{"MCP-SESSION-ID: hunter2"}, "", nil, nil, "it belongs to the MCP session"},
		{"Mcp-Protocol-Version", []string{"MCP-Protocol-Version: 1"}, "", nil, nil, "it belongs to the MCP session"},
		{"Accept", []string{"Accept: text/html"}, "", nil, nil, "MCP says what it has to be"},
		{"Proxy-Authorization", []string{"Proxy-Authorization: Basic hunter2"}, "", nil, nil, "HTTPS_PROXY"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, err := headerFlags{values: test.flags}.read(env)
			switch {
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("got %v, want an error with %q", err, test.fault)
			case test.fault == "" && (err != nil || !slices.Equal(h.Values(test.header), test.want) || !slices.Equal(h.secrets, test.secret)):
				t.Errorf("got %q, secrets %q, %v", h.Values(test.header), h.secrets, err)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the error repeats the value: %v", err)
			}
		})
	}
}

func TestHeaderFile(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := put("headers", "\ufeff# for the test server\r\n\r\nAuthorization: Bearer ${KEY}\r\n  X-Team: blue\n", 0o600)
	h, err := headerFlags{values: []string{"X-Team: red"}, files: []string{path}}.read(environment("KEY", "hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	if h.Get("Authorization") != "Bearer hunter2" || !h.authorizes() || !slices.Equal(h.Values("X-Team"), []string{"red", "blue"}) {
		t.Errorf("got %v", h.Header)
	}
	if len(h.warnings) > 0 {
		t.Errorf("warns of a private file: %q", h.warnings)
	}
	if runtime.GOOS != "windows" {
		if h, err = (headerFlags{files: []string{put("open", "X-A: b\n", 0o644)}}).read(noEnvironment); err != nil || len(h.warnings) != 1 || !strings.Contains(h.warnings[0], "chmod 600") {
			t.Errorf("a file that all can read: %q, %v", h.warnings, err)
		}
	}
	for name, test := range map[string]struct{ path, want string }{
		"missing":   {filepath.Join(dir, "gone"), "gone"},
		"bad line":  {put("bad", "X-A: b\n\nhunter2\n", 0o600), "line 3, wants 'Name: value'"},
		"too large": {put("large", strings.Repeat("# hunter2\n", 10_000), 0o600), "larger than"},
	} {
		if _, err := (headerFlags{files: []string{test.path}}).read(noEnvironment); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q in it", name, err, test.want)
		}
	}
}

func noEnvironment(string) string { return "" }

func FuzzExpand(f *testing.F) {
	f.Add("Bearer ${KEY}$${x}${")
	f.Add("$$${KEY}")
	f.Fuzz(func(t *testing.T, text string) {
		got, used, err := expand(text, environment("KEY", "value"))
		if err == nil && !used && !strings.Contains(text, "${") && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
