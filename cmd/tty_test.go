package cmd

import (
	"fmt"
	"io"
	"regexp"
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
