package cmd

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"golang.org/x/term"

	"github.com/mcpctl/mcpctl/internal/mcpclient"
)

// callUI is what a person sees and is asked while a call runs, on standard
// error. Its methods may be called concurrently.
type callUI struct {
	deps        Deps
	screen      screen
	interactive bool // somebody is there to answer

	mu      sync.Mutex
	server  string    // its name
	shown   bool      // the progress line
	drawn   time.Time // when it was last drawn
	asking  sync.Mutex
	answers chan string // lines of the person; nil until the first question
}

func newCallUI(deps Deps) *callUI {
	u := &callUI{deps: deps, screen: newScreen(deps.Stderr, deps.Getenv)}
	in, ok := deps.Stdin.(*os.File)
	u.interactive = u.screen.terminal && ok && term.IsTerminal(int(in.Fd()))
	return u
}

// connected tells the name of the server.
func (u *callUI) connected(server string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.server = oneLine(server)
}

// asker names who asks.
func (u *callUI) asker() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.server == "" {
		return "The server"
	}
	return u.server
}

// redraw is how often the progress line changes at most.
const redraw = 100 * time.Millisecond

// progress shows how far the server is, on a terminal.
func (u *callUI) progress(p mcpclient.Progress) {
	if !u.screen.terminal {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.deps.Now()
	if u.shown && now.Sub(u.drawn) < redraw && p.Progress < p.Total {
		return
	}
	u.shown, u.drawn = true, now
	_, _ = fmt.Fprintf(u.screen.w, "\r\033[K%s", progressLine(p, u.screen.width-1))
}

const barWidth = 24

// progressLine is one line of at most room columns: a bar where the end is
// known, else the count.
func progressLine(p mcpclient.Progress, room int) string {
	message := oneLine(p.Message)
	if p.Total <= 0 {
		return cut(strings.TrimSpace(fmt.Sprintf("%g %s", p.Progress, message)), room)
	}
	part := min(max(p.Progress/p.Total, 0), 1)
	percent := fmt.Sprintf("%3.0f%%", 100*part)
	if room < barWidth+len(percent)+4 {
		return cut(percent+" "+message, room)
	}
	full := int(part * barWidth)
	bar := "[" + strings.Repeat("#", full) + strings.Repeat("-", barWidth-full) + "]"
	return cut(strings.TrimSpace(bar+" "+percent+" "+message), room)
}

// clear takes the progress line away.
func (u *callUI) clear() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clearLocked()
}

func (u *callUI) clearLocked() {
	if u.shown {
		_, _ = fmt.Fprint(u.screen.w, "\r\033[K")
		u.shown = false
	}
}

// log shows a log message of the server.
func (u *callUI) log(m mcpclient.LogMessage) {
	var text string
	if json.Unmarshal(m.Data, &text) != nil {
		text = string(m.Data)
	}
	from := oneLine(m.Level)
	if m.Logger != "" {
		from += " " + oneLine(m.Logger)
	}
	u.note(fmt.Sprintf("%s: %s", from, clean(text)))
}

// note shows a line above the progress line.
func (u *callUI) note(text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clearLocked()
	_, _ = fmt.Fprintln(u.screen.w, strings.TrimRight(text, "\n"))
}

// mcpLevel is the level of the server's log messages that goes with ours.
func mcpLevel(level slog.Level) mcp.LoggingLevel {
	switch {
	case level <= slog.LevelDebug:
		return mcp.LoggingLevelDebug
	case level <= slog.LevelInfo:
		return mcp.LoggingLevelInfo
	case level <= slog.LevelWarn:
		return mcp.LoggingLevelWarning
	}
	return mcp.LoggingLevelError
}
