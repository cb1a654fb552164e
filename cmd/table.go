package cmd

import (
	"fmt"
	"path/filepath"
	"strings"
)

// prose is a line that a terminal gets in as many lines as it needs. Words stay
// whole, and so do paths among args: they are there to be copied.
func (s screen) prose(format string, args ...any) error {
	if !s.terminal {
		return s.line(format, args...)
	}
	const blank = "\x00" // within a path
	for i, arg := range args {
		if path, ok := arg.(string); ok && filepath.IsAbs(path) {
			args[i] = strings.ReplaceAll(path, " ", blank)
		}
	}
	for _, line := range wrapWords(fmt.Sprintf(format, args...), s.width) {
		if err := s.line("%s", strings.ReplaceAll(line, blank, " ")); err != nil {
			return err
		}
	}
	return nil
}

// table prints rows under a head; on a terminal that has no room for them, one
// row after the other.
func (s screen) table(head []string, rows [][]string) error {
	widths, total := make([]int, len(head)), 2*(len(head)-1)
	for i := range head {
		for _, row := range append([][]string{head}, rows...) {
			widths[i] = max(widths[i], columns(row[i]))
		}
		total += widths[i]
	}
	if s.terminal && total > s.width {
		return s.stacked(head, rows)
	}
	for _, row := range append([][]string{head}, rows...) {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-columns(cell)+2)
		}
		if err := s.line("%s", strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

func (s screen) stacked(head []string, rows [][]string) error {
	label := 0
	for _, name := range head[1:] {
		label = max(label, columns(name))
	}
	for _, row := range rows {
		if err := s.line("%s", s.bold(row[0])); err != nil {
			return err
		}
		for i, cell := range row[1:] {
			format := "  %[1]s%[2]*[3]s  %[4]s"
			if 2+label+2+columns(cell) > s.width {
				format = "  %[1]s\n    %[4]s"
			}
			if err := s.line(format, head[i+1], label-columns(head[i+1]), "", cell); err != nil {
				return err
			}
		}
	}
	return nil
}

// wrapWords breaks text into lines of at most room columns, but for words that
// are longer: those get a line of their own.
func wrapWords(text string, room int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case columns(line)+1+columns(word) > room:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
