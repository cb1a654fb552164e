//go:build unix

package cmd

import (
	"strings"
	"testing"
)

func TestExplainOnATerminal(t *testing.T) {
	tests := []struct {
		name  string
		env   []string
		color bool
	}{
		{"in colour", nil, true},
		{"NO_COLOR", []string{"NO_COLOR=1"}, false},
		{"a dumb terminal", []string{"TERM=dumb"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, text := onTerminal(t, 40, tt.env, "explain", "50011").end()
			if code != 0 || !strings.Contains(text, "Redirect address") {
				t.Fatalf("exit code %d:\n%s", code, text)
			}
			if got := strings.Contains(text, "\x1b["); got != tt.color {
				t.Errorf("in colour: %v\n%q", got, text)
			}
			for line := range strings.Lines(text) {
				plain := strings.NewReplacer("\x1b[1m", "", "\x1b[2m", "", "\x1b[0m", "").Replace(strings.TrimRight(line, "\n"))
				if columns(plain) > 40 && !strings.Contains(plain, "https://") {
					t.Errorf("%d columns: %q", columns(plain), plain)
				}
			}
		})
	}
}
