package cmd

import (
	"bytes"
	"path/filepath"
	"testing"
)

// Sentences are wrapped on a terminal; a path in them stays in one piece.
func TestProse(t *testing.T) {
	path, err := filepath.Abs("Application Support/config.json")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (screen{w: &out, width: 20, terminal: true}).prose("Added %q to Claude Desktop, in %s.", "contoso", path); err != nil {
		t.Fatal(err)
	}
	if want := "Added \"contoso\" to\nClaude Desktop, in\n" + path + ".\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// A table that a terminal has no room for is shown one row after the other.
func TestTableFitsTheTerminal(t *testing.T) {
	head, rows := []string{"SERVER", "SINCE"}, [][]string{{"https://one.example/mcp", "2026-11-24"}, {"https://two.example", "2026-11-25"}}
	for _, tt := range []struct {
		name string
		s    screen
		want string
	}{
		{"wide", screen{width: 80, terminal: true}, "SERVER                   SINCE\nhttps://one.example/mcp  2026-11-24\nhttps://two.example      2026-11-25\n"},
		{"narrow", screen{width: 30, terminal: true}, "https://one.example/mcp\n  SINCE  2026-11-24\nhttps://two.example\n  SINCE  2026-11-25\n"},
		{"very narrow", screen{width: 12, terminal: true}, "https://one.example/mcp\n  SINCE\n    2026-11-24\nhttps://two.example\n  SINCE\n    2026-11-25\n"},
		{"no terminal", screen{width: 30}, "SERVER                   SINCE\nhttps://one.example/mcp  2026-11-24\nhttps://two.example      2026-11-25\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			tt.s.w = &out
			if err := tt.s.table(head, rows); err != nil || out.String() != tt.want {
				t.Errorf("%v: got\n%s\nwant\n%s", err, out.String(), tt.want)
			}
		})
	}
}
