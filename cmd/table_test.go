package cmd

import (
	"bytes"
	"testing"
)

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
