package cmd

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/mcpctl/mcpctl/internal/desktop"
)

// changeDiff is a change as a unified diff, "" for none. A file that is not
// there goes by the name that patch knows.
func changeDiff(c desktop.Change) string {
	from, to := c.Config.Path, c.Config.Path
	if c.Before == nil {
		from = "/dev/null"
	}
	if c.After == nil {
		to = "/dev/null"
	}
	text := string(diff.Diff(from, c.Before, to, c.After))
	_, text, _ = strings.Cut(text, "\n") // the line that repeats the names
	return text
}

// printChange shows a change, in colour where there is some.
func printChange(deps Deps, c desktop.Change) error {
	s := newScreen(deps.Stdout, deps.Getenv)
	for line := range strings.Lines(changeDiff(c)) {
		line = clean(strings.TrimRight(line, "\r\n"))
		switch {
		case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "):
			line = s.bold(line)
		case strings.HasPrefix(line, "@@"):
			line = s.style("36", line) // cyan
		case strings.HasPrefix(line, "+"):
			line = s.style("32", line) // green
		case strings.HasPrefix(line, "-"):
			line = s.style("31", line) // red
		}
		if err := s.line("%s", line); err != nil {
			return err
		}
	}
	return nil
}
