package cmd

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// loginUI is what a person sees of a sign-in. It writes to standard error, so
// that -o json leaves nothing but JSON on standard output. On a terminal it
// counts down in place; elsewhere it prints plain lines.
type loginUI struct {
	deps     Deps
	out      outputFlag
	w        io.Writer
	terminal bool

	waiting  sync.WaitGroup
	stopOnce sync.Once
	stop     chan struct{}
}

func newLoginUI(o loginOptions) *loginUI {
	f, ok := o.deps.Stderr.(*os.File)
	return &loginUI{
		deps: o.deps, out: o.out, w: o.deps.Stderr, stop: make(chan struct{}),
		terminal: ok && term.IsTerminal(int(f.Fd())) && o.deps.Getenv("TERM") != "dumb",
	}
}

func (u *loginUI) say(text string) { _, _ = fmt.Fprintln(u.w, text) }

// changes shows how the server departs from what was pinned before.
func (u *loginUI) changes(changes []profile.Change) {
	if len(changes) == 0 {
		return
	}
	u.say("This server asks for something else than at your last sign-in:")
	for _, c := range changes {
		u.say("  " + c.String())
	}
	u.say("If you did not expect that, stop here (Ctrl-C) and ask its operator.")
}

// canOpenBrowser reports whether a browser would appear where the person is.
func (u *loginUI) canOpenBrowser() bool {
	switch {
	case u.deps.Getenv("BROWSER") != "":
		return true
	case u.deps.Getenv("SSH_CONNECTION") != "" || u.deps.Getenv("SSH_TTY") != "" || u.deps.Getenv("CODESPACES") != "":
		return false
	case runtime.GOOS == "windows" || runtime.GOOS == "darwin":
		return true
	}
	return u.deps.Getenv("DISPLAY") != "" || u.deps.Getenv("WAYLAND_DISPLAY") != ""
}

// hasBrowser reports whether the browser flow is the one to choose unasked:
// only with a person at a terminal.
func (u *loginUI) hasBrowser() bool { return u.terminal && u.canOpenBrowser() }

// openBrowser opens the sign-in page. It prints the address first, for a person
// whose browser does not appear.
func (u *loginUI) openBrowser(address string) error {
	if !u.canOpenBrowser() {
		u.say("Open this address in a browser on this machine to sign in:")
		u.say("  " + address)
		return nil
	}
	u.say("Opening your browser to sign in. If no window appears, open this address on this machine:")
	u.say("  " + address)
	if err := openPage(address, u.deps.Getenv("BROWSER")); err != nil {
		u.say("No browser could be started: " + err.Error())
	}
	return nil
}

// showCode shows a device code. On a terminal it also copies the code and opens
// the page, as far as the machine has a clipboard and a browser, and counts down.
func (u *loginUI) showCode(code entra.DeviceCode) error {
	left := time.Until(code.ExpiresOn).Round(time.Second)
	if !u.terminal {
		u.say(fmt.Sprintf("To sign in, open %s and enter the code %s within %s.", code.VerificationURL, code.UserCode, spell(left)))
		return nil
	}
	copied := ""
	if copyText(code.UserCode) {
		copied = "   (copied)"
	}
	u.say("")
	u.say("  Code:  " + u.bold(code.UserCode) + copied)
	u.say("  Page:  " + code.VerificationURL)
	u.say("")
	if u.canOpenBrowser() && openPage(code.VerificationURL, u.deps.Getenv("BROWSER")) == nil {
		u.say("Enter the code in the page that has opened in your browser.")
	} else {
		u.say("Open the page on any device and enter the code.")
	}
	u.waiting.Go(func() { u.countDown(code.ExpiresOn) })
	return nil
}

func (u *loginUI) countDown(until time.Time) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		left := max(time.Until(until), 0).Round(time.Second)
		_, _ = fmt.Fprintf(u.w, "\r\033[KWaiting for the sign-in … %d:%02d left", int(left.Minutes()), int(left.Seconds())%60)
		select {
		case <-tick.C:
		case <-u.stop:
			_, _ = fmt.Fprint(u.w, "\r\033[K")
			return
		}
	}
}

// stopWaiting ends the count-down. It may be called without one.
func (u *loginUI) stopWaiting() {
	u.stopOnce.Do(func() { close(u.stop) })
	u.waiting.Wait()
}

func (u *loginUI) bold(s string) string {
	if u.deps.Getenv("NO_COLOR") != "" {
		return s
	}
	return "\033[1m" + s + "\033[0m"
}

// done says who signed in and what to do next.
func (u *loginUI) done(p profile.Profile, s entra.SignIn) error {
	if u.out.json() {
		return writeJSON(u.deps.Stdout, statusOf(p))
	}
	who := s.Account.Username
	if s.Account.Name != "" {
		who = fmt.Sprintf("%s (%s)", s.Account.Name, s.Account.Username)
	}
	lines := []string{
		"Signed in as " + who + ".",
		"  Server:  " + redact.URL(p.URL),
		"  Tenant:  " + p.TenantID,
		"  Scopes:  " + strings.Join(s.Scopes, " "),
		"  Tokens:  sealed; the key is in the " + storeName(p.TokenStore),
		"Next: make this the command in your MCP client: mcpctl bridge " + redact.URL(p.URL),
	}
	_, err := fmt.Fprintln(u.deps.Stdout, strings.Join(lines, "\n"))
	return err
}

func spell(d time.Duration) string {
	if d >= 2*time.Minute {
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	}
	return fmt.Sprintf("%d seconds", int(d.Seconds()))
}
