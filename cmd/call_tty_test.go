//go:build unix

package cmd

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// terminal is a program that runs on a terminal in front of a test.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	screen *os.File
	text   watched
	read   chan struct{} // closed when the program has ended and all is read
}

// onTerminal starts mcpctl on a terminal of so many columns.
func onTerminal(t *testing.T, columns uint16, env []string, args ...string) *terminal {
	t.Helper()
	program, err := exec.LookPath("mcpctl")
	if err != nil {
		t.Fatal(err)
	}
	screen, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(screen, &pty.Winsize{Rows: 40, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	p := &terminal{t: t, screen: screen, read: make(chan struct{}), cmd: exec.Command(program, args...)}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = tty, tty, tty
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TERM=xterm", "GORACE=atexit_sleep_ms=0"}, env...)
	// Ctrl-C goes to what the terminal controls.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = tty.Close()
	go func() {
		defer close(p.read)
		_, _ = io.Copy(&p.text, screen) // ends with an error when the program does
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.read
		_ = screen.Close()
	})
	return p
}

// expect waits until the terminal shows the pattern.
func (p *terminal) expect(pattern string) {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.NewTimer(scriptPatience)
	defer timeout.Stop()
	for {
		text, changed := p.text.next()
		if re.MatchString(text) {
			return
		}
		select {
		case <-changed:
		case <-p.read:
			if !re.MatchString(p.text.String()) {
				p.t.Fatalf("it ended without showing %q:\n%s", pattern, p.text.String())
			}
			return
		case <-timeout.C:
			p.t.Fatalf("it does not show %q:\n%s", pattern, p.text.String())
		}
	}
}

func (p *terminal) write(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.screen, keys); err != nil {
		p.t.Fatal(err)
	}
}

// end waits for the program's end and returns its exit code and all it showed.
func (p *terminal) end() (int, string) {
	p.t.Helper()
	<-p.read
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode(), strings.ReplaceAll(p.text.String(), "\r\n", "\n")
}

func TestProgressOnATerminal(t *testing.T) {
	p := onTerminal(t, 80, nil, "call", "steps", "--", "mcpctl", testServer)
	code, text := p.end()
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"\r\033[K[######------------------]  25% step 1", "\r\033[Kwarning example: almost done\n", "done\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the terminal did not show %q in %q", want, text)
		}
	}
	if last := text[strings.LastIndex(text, "\r\033[K")+len("\r\033[K"):]; strings.Contains(last, "%") {
		t.Errorf("the progress was left standing: %q", text)
	}
}

func TestCtrlCOnATerminal(t *testing.T) {
	p := onTerminal(t, 80, nil, "call", "slow", "--", "mcpctl", testServer)
	p.expect("working")
	p.write("\x03")
	if code, text := p.end(); code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, text)
	}
}

func TestQuestionsOnATerminal(t *testing.T) {
	for _, tt := range []struct {
		name   string
		typed  []string
		result string
	}{
		{"answered", []string{"y\n", "red\n", "5\n", "hello\n"}, `{"action":"accept","content":{"color":"red","count":5,"note":"hello"}}`},
		{"presets and gaps", []string{"\n", "green\n", "\n", "\n"}, `{"action":"accept","content":{"color":"green","count":2}}`},
		{"a wrong answer is asked again", []string{"y\n", "red\n", "many\n", "7\n", "@note\n"}, `{"action":"accept","content":{"color":"red","count":7,"note":"@note"}}`},
		{"what does not fit is asked again", []string{"y\n", "pink\n", "1\n", "\n", "red\n", "1\n", "\n"}, `{"action":"accept","content":{"color":"red","count":1}}`},
		{"declined", []string{"n\n"}, `{"action":"decline"}`},
		{"the input ends", []string{"y\n", "\x04"}, `{"action":"cancel"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := onTerminal(t, 80, []string{"NO_COLOR=1"}, "call", "ask", "--", "mcpctl", testServer)
			p.expect(`example asks: Which one\?`)
			for _, line := range tt.typed { // a terminal keeps what is typed ahead
				p.write(line)
			}
			code, text := p.end()
			if code != 0 || !strings.Contains(text, tt.result+"\n") {
				t.Errorf("exit code %d, and not %s in:\n%s", code, tt.result, text)
			}
			if strings.Contains(text, "\a") || strings.Contains(text, "\033[1m") {
				t.Errorf("control characters: %q", text)
			}
		})
	}
}

func TestTablesFitTheTerminal(t *testing.T) {
	for _, width := range []uint16{20, 40, 60, 80, 200} {
		p := onTerminal(t, width, []string{"NO_COLOR=1"}, "inspect", "--", "mcpctl", testServer)
		code, text := p.end()
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, text)
		}
		for line := range strings.Lines(text) {
			if n := columns(strings.TrimSuffix(line, "\n")); n > int(width) {
				t.Errorf("%d columns on a terminal of %d: %q", n, width, line)
			}
		}
		for _, want := range []string{"echo", "loud", "TOOLS (8)", "greet"} {
			if !strings.Contains(text, want) {
				t.Errorf("with %d columns there is no %q:\n%s", width, want, text)
			}
		}
	}
}

func TestColors(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		bold bool
	}{{nil, true}, {[]string{"NO_COLOR=1"}, false}, {[]string{"TERM=dumb"}, false}} {
		_, text := onTerminal(t, 80, tt.env, "inspect", "--", "mcpctl", testServer).end()
		if got := strings.Contains(text, "\033[1mTOOLS\033[0m"); got != tt.bold {
			t.Errorf("with %v, bold is %v", tt.env, got)
		}
	}
	// What the server says never reaches the terminal as it is.
	_, text := onTerminal(t, 80, nil, "call", "--resource", "example://a.txt", "--", "mcpctl", testServer).end()
	if !strings.Contains(text, "hello[31m there") {
		t.Errorf("the terminal got %q", text)
	}
}
