package cmd

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

// plainPrompt is the code where there is no count-down.
var plainPrompt = regexp.MustCompile(`enter the code [A-Z0-9]{6}`)

// cmdTTYSignIn is cmdSignIn on a terminal, with a person who enters the code
// once the count-down is seen to run: «ttysignin CODE PERSON ARG...». Everything
// that the terminal got is the script's stdout.
func cmdTTYSignIn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: ttysignin CODE PERSON ARG...")
	}
	p := newProcess(ts, append([]string{"mcpctl", "login"}, args[2:]...))
	screen, terminal, err := pty.Open()
	ts.Check(err)
	defer screen.Close()
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = terminal, terminal, terminal
	p.start(ts)
	_ = terminal.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&p.stdout, screen) // ends with an error when the program does
	}()
	counting := func(text string) bool {
		return strings.Count(text, " left") >= 2 || plainPrompt.MatchString(text)
	}
	if p.await(&p.stdout, counting) {
		enterCode(ts, args[1], signInPrompt.FindStringSubmatch(p.stdout.String())[1])
	}
	<-p.done
	<-read
	_, _ = fmt.Fprint(ts.Stdout(), strings.ReplaceAll(p.stdout.String(), "\r\n", "\n"))
	wantExit(ts, args[0], exitCode(ts, p.err))
}

// cmdTTY runs mcpctl on a terminal of so many columns, which is the script's
// stdout, and wants its lines to fit: «tty COLUMNS CODE ARG...».
func cmdTTY(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: tty COLUMNS CODE ARG...")
	}
	width, err := strconv.ParseUint(args[0], 10, 16)
	ts.Check(err)
	p := newProcess(ts, append([]string{"mcpctl"}, args[2:]...))
	screen, terminal, err := pty.Open()
	ts.Check(err)
	defer screen.Close()
	ts.Check(pty.Setsize(screen, &pty.Winsize{Rows: 40, Cols: uint16(width)}))
	p.cmd.Stdin, p.cmd.Stdout = terminal, terminal
	p.start(ts)
	_ = terminal.Close()
	_, _ = io.Copy(&p.stdout, screen) // ends with an error when the program does
	<-p.done
	text := strings.ReplaceAll(p.stdout.String(), "\r\n", "\n")
	_, _ = fmt.Fprint(ts.Stdout(), text)
	_, _ = fmt.Fprint(ts.Stderr(), p.stderr.String())
	wantExit(ts, args[1], exitCode(ts, p.err))
	for line := range strings.Lines(text) {
		if plain := escapeSequence.ReplaceAllString(strings.TrimRight(line, "\n"), ""); !fits(plain, int(width)) {
			ts.Fatalf("%d columns on a terminal of %d: %q", columns(plain), width, plain)
		}
	}
}

var escapeSequence = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)

// fits reports whether a line fits a terminal, but for one word that can't be
// broken: an address or a path.
func fits(line string, width int) bool {
	longest := 0
	for word := range strings.FieldsSeq(line) {
		longest = max(longest, columns(word))
	}
	room := columns(line)
	if longest > width/2 {
		room -= longest
	}
	return room <= width
}
