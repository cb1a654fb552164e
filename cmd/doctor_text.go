package cmd

import (
	"fmt"
	"io"
	"strings"

	"github.com/mcpctl/mcpctl/internal/doctor"
)

// marks are how checks begin on a line.
type marks struct{ ok, warn, fail, skip, fix string }

var (
	unicodeMarks = marks{"✓", "!", "✗", "–", "→"}
	asciiMarks   = marks{"+", "!", "x", "-", "->"}
)

func marksFor(getenv func(string) string) marks {
	if showsUnicode(getenv) {
		return unicodeMarks
	}
	return asciiMarks
}

// printDoctor prints one line for each check. On a terminal what to do comes
// below the cause where there is no room beside it, and long lines are wrapped.
func printDoctor(w io.Writer, getenv func(string) string, r doctorReport) error {
	s, m := newScreen(w, getenv), marksFor(getenv)
	for _, server := range r.Servers {
		if err := printChecked(s, m, server.URL, server.Checks); err != nil {
			return err
		}
	}
	return printChecked(s, m, "This machine", r.Machine)
}

// doctorNames is the room for the names of checks; narrowDoctor is how wide a
// terminal has to be for names and texts side by side, both in columns.
const (
	doctorNames  = 18
	narrowDoctor = 60
)

func printChecked(s screen, m marks, title string, checks []doctor.Check) error {
	if err := s.line("%s", s.bold(oneLine(title))); err != nil {
		return err
	}
	for _, c := range checks {
		mark := m.skip
		switch c.Status {
		case doctor.OK:
			mark = s.style("32", m.ok)
		case doctor.Warn:
			mark = s.style("33", m.warn)
		case doctor.Fail:
			mark = s.style("31", m.fail)
		}
		lines, name, indent := doctorLines(s, m, c), fmt.Sprintf("%-*s ", doctorNames, c.Name), doctorNames+5
		if s.terminal && s.width < narrowDoctor {
			lines, name, indent = append([]string{""}, lines...), c.Name, 4
		}
		for i, line := range lines {
			var err error
			if i == 0 {
				err = s.line("  %s %s%s", mark, name, line)
			} else {
				err = s.line("%*s%s", indent, "", line)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// doctorLines is what a check says, in one line or in as many as a terminal
// needs. Addresses and commands stay whole words, to be copied.
func doctorLines(s screen, m marks, c doctor.Check) []string {
	room := s.width - doctorNames - 5
	if s.width < narrowDoctor {
		room = s.width - 4
	}
	text := c.Detail
	if c.Fix != "" {
		text += " " + m.fix + " " + c.Fix
	}
	if !s.terminal || columns(text) <= room {
		return []string{text}
	}
	lines := wrapWords(c.Detail, room)
	if c.Fix != "" {
		lines = append(lines, wrapWords(m.fix+" "+c.Fix, room)...)
	}
	return lines
}

// showsUnicode reports whether text beyond ASCII can be shown: what the locale
// says (POSIX, Internationalization Variables), or that the terminal is one of
// Windows, to which Go writes UTF-16.
func showsUnicode(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(getenv(name)); value != "" {
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return getenv("SystemRoot") != ""
}
