package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// screen is where text for people goes: a terminal, or what stands in for one.
type screen struct {
	w        io.Writer
	width    int // in columns
	terminal bool
	color    bool
}

// plainWidth is the width of what is no terminal.
const plainWidth = 80

func newScreen(w io.Writer, getenv func(string) string) screen {
	s := screen{w: w, width: plainWidth}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.terminal = getenv("TERM") != "dumb"
	s.color = s.terminal && getenv("NO_COLOR") == ""
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
		s.width = columns
	}
	return s
}

func (s screen) bold(text string) string { return s.style("1", text) }
func (s screen) dim(text string) string  { return s.style("2", text) }

func (s screen) style(code, text string) string {
	if !s.color || text == "" {
		return text
	}
	return "\033[" + code + "m" + text + "\033[0m"
}

func (s screen) line(format string, args ...any) error {
	_, err := fmt.Fprintf(s.w, format+"\n", args...)
	return err
}

// clean makes a server's text safe to show: no escape sequences that move the
// cursor or change the title, no characters that turn the direction of text.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r),
			'\u202a' <= r && r <= '\u202e', '\u2066' <= r && r <= '\u2069':
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
}

// oneLine is a server's text as part of a line.
func oneLine(text string) string { return strings.Join(strings.Fields(clean(text)), " ") }

// columns is how much room text takes on a terminal.
func columns(text string) (n int) {
	for _, r := range text {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// wrap breaks text into lines of at most room columns, at white space where
// that is possible. Line breaks of the text are kept.
func wrap(text string, room int) []string {
	room = max(room, 1)
	var out []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		line, used := "", 0
		for _, word := range strings.Fields(paragraph) {
			size := columns(word)
			if used > 0 && used+1+size > room {
				out = append(out, line)
				line, used = "", 0
			}
			for size > room { // longer than a line
				head, rest := split(word, room)
				if rest == "" {
					break // one character, wider than the line
				}
				out = append(out, head)
				word, size = rest, columns(rest)
			}
			if used > 0 {
				line += " "
				used++
			}
			line += word
			used += size
		}
		out = append(out, line)
	}
	return out
}

// split cuts word after room columns, or one character if that is wider.
func split(word string, room int) (head, rest string) {
	used := 0
	for i, r := range word {
		if used += runeColumns(r); used > room && i > 0 {
			return word[:i], word[i:]
		}
	}
	return word, ""
}

// cut shortens text to room columns.
func cut(text string, room int) string {
	if columns(text) <= room {
		return text
	}
	head, _ := split(text, max(room-1, 1))
	return head + "…"
}
