package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/bridge"
	"github.com/mcpctl/mcpctl/internal/mcpclient"
)

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		text string
		room int
		want string // lines joined with "|"
	}{
		{"", 10, ""},
		{"one two three", 8, "one two|three"},
		{"one\ntwo", 8, "one|two"},
		{"  spaces   between ", 20, "spaces between"},
		{"abcdefghij", 4, "abcd|efgh|ij"},
		{"x abcdefgh", 4, "x|abcd|efgh"},
		{"日本語", 4, "日本|語"},
		{"日本", 1, "日|本"},
		{"e\u0301e\u0301", 2, "e\u0301e\u0301"}, // combining accents take no room
		{"abc", 0, "a|b|c"},
	} {
		if got := strings.Join(wrap(tt.text, tt.room), "|"); got != tt.want {
			t.Errorf("wrap(%q, %d) = %q, want %q", tt.text, tt.room, got, tt.want)
		}
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("one two 日本語 \xff\x1b[31m", 5)
	f.Fuzz(func(t *testing.T, text string, room int) {
		text = clean(text)
		if strings.ContainsAny(text, "\x1b\r\a\b") {
			t.Fatalf("clean left a control character in %q", text)
		}
		for _, line := range wrap(text, room) {
			if n := columns(line); n > max(room, 2) {
				t.Fatalf("%d columns in %q, at most %d wanted", n, line, room)
			}
		}
	})
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"plain\ttext\n":              "plain\ttext\n",
		"\x1b[2J\x1b]0;title\x07end": "[2J]0;titleend",
		"over\rwritten\b":            "overwritten",
		"\u009b31m":                  "31m", // a C1 introducer
		"a\u202egpj.exe":             "agpj.exe",
		"not \xff text":              "not \ufffd text",
	} {
		if got := clean(text); got != want {
			t.Errorf("clean(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestProgressLine(t *testing.T) {
	for _, tt := range []struct {
		p    mcpclient.Progress
		room int
		want string
	}{
		{mcpclient.Progress{Progress: 1, Total: 4, Message: "step\n1"}, 79, "[######------------------]  25% step 1"},
		{mcpclient.Progress{Progress: 9, Total: 4}, 79, "[########################] 100%"},
		{mcpclient.Progress{Progress: -1, Total: 4}, 79, "[------------------------]   0%"},
		{mcpclient.Progress{Progress: 3}, 79, "3"},
		{mcpclient.Progress{Progress: 1.5, Message: "MB"}, 79, "1.5 MB"},
		{mcpclient.Progress{Progress: 1, Total: 2, Message: "a long message"}, 12, " 50% a long…"},
	} {
		if got := progressLine(tt.p, tt.room); got != tt.want {
			t.Errorf("progressLine(%+v, %d) = %q, want %q", tt.p, tt.room, got, tt.want)
		}
	}
}

func TestFileName(t *testing.T) {
	for uri, want := range map[string]string{
		"file:///srv/a.txt":                  "a.txt",
		"https://a.example/x/y.png?q=1#f":    "y.png",
		"example://data/..%2f..%2fevil.sh":   "evil.sh",
		"file:///..":                         "resource",
		"":                                   "resource",
		"image":                              "image",
		"urn:isbn:1":                         "isbn_1",
		"x:/con.txt":                         "resource",
		"x:/LPT1":                            "resource",
		`x:/a\b:c*d`:                         "a_b_c_d",
		"x:/.bashrc":                         "bashrc",
		"x:/" + strings.Repeat("a", 300):     strings.Repeat("a", maxFileName),
		"x:/日本.txt":                          "txt",
		"%zz/../../etc/passwd":               "zz_.._.._etc_passwd",
		"x:/" + strings.Repeat(".", 5) + "a": "a",
	} {
		if got := fileName(uri); got != want {
			t.Errorf("fileName(%q) = %q, want %q", uri, got, want)
		}
	}
}

func FuzzFileName(f *testing.F) {
	f.Add("file:///../../x")
	f.Fuzz(func(t *testing.T, uri string) {
		name := fileName(uri)
		if name == "" || name != filepath.Base(name) || strings.ContainsAny(name, `/\:`) || strings.HasPrefix(name, ".") || len(name) > maxFileName {
			t.Fatalf("fileName(%q) = %q", uri, name)
		}
	})
}

func TestSavedDataOverwritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	var out bytes.Buffer
	p := &printer{screen: newScreen(&out, func(string) string { return "" }), folder: dir}
	for range 3 {
		p.data("a.png", "image/png", "aGVsbG8=")
	}
	p.data("image", "image/unheard-of", "aGVsbG8=")
	p.data("image", "image/png", "!")
	if p.err != nil {
		t.Fatal(p.err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "a-1.png a-2.png a.png image.bin" {
		t.Errorf("saved %s", got)
	}
	if !strings.Contains(out.String(), "[image/png that is not base64") {
		t.Errorf("printed %s", out.String())
	}
}

func TestResultsThatRepeatThemselves(t *testing.T) {
	for _, tt := range []struct {
		block, structured string
		want              bool
	}{
		{`{"type":"text","text":"{\"b\": 1, \"a\": [2]}"}`, `{"a":[2],"b":1}`, true},
		{`{"type":"text","text":"{\"b\": 1}"}`, `{"b":2}`, false},
		{`{"type":"text","text":"It is 1."}`, `{"b":1}`, false},
		{`{"type":"text","text":"{}"}`, ``, false},
		{`{"type":"image","text":"{}"}`, `{}`, false},
	} {
		if got := repeats(json.RawMessage(tt.block), json.RawMessage(tt.structured)); got != tt.want {
			t.Errorf("repeats(%s, %s) = %v", tt.block, tt.structured, got)
		}
	}
}

func TestErrorsOfServersAreSafeToShow(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
		want string
	}{
		{&mcpclient.Error{Method: "tools/call", Code: -32602, Message: "no\x1b[31m"}, exitFailed, "mcpctl: the server answered tools/call with an error: no[31m (code -32602)\n"},
		{&mcpclient.Error{Code: bridge.CodeUnreachable, Message: "It is away.\a"}, exitFailed, "mcpctl: It is away.\n"},
		{&mcpclient.Error{Code: bridge.CodeSignInNeeded, Message: "Sign in."}, exitSignIn, "mcpctl: Sign in.\n"},
		{&mcpclient.Error{Code: -32042, Message: "Not yet.", Data: json.RawMessage(`{"elicitations":[{"message":"Pay\u001b at","url":"https://pay.example/1"}]}`)}, exitFailed,
			"mcpctl: Not yet.\n  Pay at https://pay.example/1\nVisit what you trust, then call again.\n"},
		{errors.New("stderr: \x1b]0;title"), exitFailed, "mcpctl: stderr: ]0;title\n"},
	} {
		var stderr bytes.Buffer
		if code := report(t.Context(), &stderr, explainCall(t.Context(), tt.err)); code != tt.code || stderr.String() != tt.want {
			t.Errorf("%v: exit code %d, %q; want %d, %q", tt.err, code, stderr.String(), tt.code, tt.want)
		}
	}
}
