package builtin

import (
	"crypto/rand"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// session is what mcp-go knows of a conn. It is never registered with the
// server, so that mcp-go has no way to send to it behind the conn's back.
type session struct {
	*feed
	id          string
	initialized atomic.Bool
	level       atomic.Pointer[mcp.LoggingLevel]
}

var (
	_ server.SessionWithLogging                  = (*session)(nil)
	_ server.SessionWithResourceSubscriptionsErr = (*session)(nil)
)

func newSession(f *feed) *session {
	s := &session{feed: f, id: rand.Text()}
	// Until a client asks for more it hears of what needs its attention.
	s.SetLogLevel(mcp.LoggingLevelWarning)
	return s
}

// SessionID is unique: mcp-go keys what runs by it.
func (s *session) SessionID() string { return s.id }

// Initialize is called when the client has introduced itself.
func (s *session) Initialize() { s.initialized.Store(true) }

// Initialized reports whether the client has introduced itself.
func (s *session) Initialized() bool { return s.initialized.Load() }

// SetLogLevel sets the least level that the client wants to hear of.
func (s *session) SetLogLevel(level mcp.LoggingLevel) { s.level.Store(&level) }

// GetLogLevel returns the least level that the client wants to hear of.
func (s *session) GetLogLevel() mcp.LoggingLevel { return *s.level.Load() }

// NotificationChannel is nil on purpose. mcp-go puts notifications into this
// channel only if it has room at that moment and drops them otherwise; with nil
// its Send methods always fail with an error that no test can miss. Tools use
// sendProgress and sendLog, which wait.
func (s *session) NotificationChannel() chan<- mcp.JSONRPCNotification { return nil }
