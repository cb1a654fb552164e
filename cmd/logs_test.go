package cmd

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// bridgeRun is what one bridge to url logs.
func bridgeRun(t *testing.T, url string, log func(*slog.Logger)) {
	t.Helper()
	h, done, err := openRunLog(url, slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	l := slog.New(redact.NewHandler(h))
	l.Info(msgStarted, "url", url)
	log(l)
}

func TestLogsShowTheLastRun(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(profile.DirVariable, dir)
	const one, two = "https://one.example/mcp", "https://two.example/mcp?key=hunter2"
	bridgeRun(t, two, func(l *slog.Logger) { l.Error("two fails", "reason", "Authorization: Bearer hunter2hunter2") })
	bridgeRun(t, one, func(l *slog.Logger) { l.Info("first run") })
	bridgeRun(t, one, func(l *slog.Logger) {
		l.Debug("not shown")
		l.Warn("second run", "reason", "\x1b[31mred", "n", 5, "text", "two words")
	})
	for _, test := range []struct {
		name   string
		args   []string
		code   int
		has    []string
		hasNot []string
	}{
		{"the last run", []string{"logs", one}, 0, []string{"INFO  bridge started", "pid=", `WARN  second run reason="\x1b[31mred" n=5 text="two words"`}, []string{"first run", "not shown", "\x1b"}},
		{"without a URL: the log written last", []string{"logs"}, 0, []string{"second run"}, []string{"two fails"}},
		{"the last records", []string{"logs", one, "-n", "1"}, 0, []string{"second run"}, []string{"bridge started"}},
		{"all runs", []string{"logs", one, "--all"}, 0, []string{"first run", "second run"}, nil},
		{"another server", []string{"logs", two}, 0, []string{"two fails"}, []string{"hunter2"}},
		{"JSON", []string{"logs", one, "-o", "json"}, 0, []string{`"msg":"second run"`}, []string{"first run"}},
		{"list", []string{"logs", "--list"}, 0, []string{one, "https://two.example/mcp?…", "SERVER"}, []string{"hunter2"}},
		{"list in JSON", []string{"logs", "--list", "-o", "json"}, 0, []string{`"server": "` + one + `"`, `"updated"`}, nil},
		{"unknown server", []string{"logs", "https://three.example/mcp"}, 1, nil, nil},
		{"no address", []string{"logs", "three"}, 2, nil, nil},
		{"contradiction", []string{"logs", one, "--list"}, 2, nil, nil},
		{"bad number", []string{"logs", "-n", "-1"}, 2, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := run(t, test.args...)
			if code != test.code {
				t.Errorf("exit code %d, %s", code, stderr)
			}
			for _, want := range test.has {
				if !strings.Contains(stdout, want) {
					t.Errorf("no %q in:\n%s", want, stdout)
				}
			}
			for _, secret := range append(test.hasNot, "hunter2hunter2") {
				if strings.Contains(stdout, secret) {
					t.Errorf("%q is in:\n%s", secret, stdout)
				}
			}
		})
	}
	_, stdout, stderr := run(t, "logs", one)
	if stdout == "" || !strings.Contains(stderr, "1 earlier or other runs: --all") {
		t.Errorf("standard error does not tell of the other run: %q", stderr)
	}
	_, stdout, _ = run(t, "logs", one, "-o", "json")
	for line := range strings.Lines(stdout) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}

	if code, _, stderr := run(t, "logout", "--all"); code != 0 {
		t.Fatal(stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "logs")); !os.IsNotExist(err) {
		t.Errorf("logout --all leaves the logs: %v", err)
	}
	if code, _, stderr := run(t, "logs"); code != 1 || !strings.Contains(stderr, "no bridge has kept a log yet") {
		t.Errorf("%d, %q", code, stderr)
	}
	if code, stdout, stderr := run(t, "logs", "--list"); code != 0 || stdout != "" || !strings.Contains(stderr, "No bridge") {
		t.Errorf("%d, %q, %q", code, stdout, stderr)
	}
}

// A log whose beginning was put aside and removed still shows its last run.
func TestLogsWithoutTheirBeginning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	text := `{"server":"https://a.example/mcp"}
{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"going on","run":"a"}
not JSON
{"time":"2026-01-02T03:04:06Z","level":"INFO","msg":"more","run":"a"}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	records, others, err := readRun(path, false)
	if err != nil || len(records) != 2 || others != 0 {
		t.Errorf("got %d records, %d others, %v", len(records), others, err)
	}
	if server, err := serverOf(path); err != nil || server != "https://a.example/mcp" {
		t.Errorf("got %q, %v", server, err)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(`{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"x","run":"a","pid":1,"g":{"a":[1]}}`)
	f.Add(`{"level":"INFO","msg":"\u001b[31m"}`)
	f.Add(`{"level"`)
	f.Fuzz(func(t *testing.T, line string) {
		r, ok := parseRecord([]byte(line))
		if !ok {
			return
		}
		for _, c := range r.text(true) {
			if c < ' ' || c == 0x7f {
				t.Errorf("%q is shown as %q", line, r.text(true))
			}
		}
	})
}
