package builtin

import (
	"errors"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// mcp-go's own ways to notify drop what a reader is too slow for. A tool that
// used one by mistake gets an error each time, not only under load.
func TestLossyNotificationsAlwaysFail(t *testing.T) {
	s, err := New(Options{Names: []string{"whoami"}})
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(t.Context(), s)
	defer c.Close()
	c.session.Initialize()
	ctx := s.mcp.WithContext(t.Context(), c.session)

	if err := s.mcp.SendNotificationToClient(ctx, "notifications/progress", nil); !errors.Is(err, server.ErrNotificationChannelBlocked) {
		t.Errorf("notification: %v", err)
	}
	message := mcp.NewLoggingMessageNotification(mcp.LoggingLevelEmergency, "test", "x")
	if err := s.mcp.SendLogMessageToClient(ctx, message); !errors.Is(err, server.ErrNotificationChannelBlocked) {
		t.Errorf("log message: %v", err)
	}
	if err := s.mcp.SendNotificationToSpecificClient(c.session.SessionID(), "notifications/x", nil); !errors.Is(err, server.ErrSessionNotFound) {
		t.Errorf("by session: %v", err)
	}
}

func TestSessionsHaveIDsOfTheirOwn(t *testing.T) {
	seen := map[string]bool{"": true}
	for range 100 {
		id := newSession(nil).SessionID()
		if seen[id] {
			t.Fatalf("session id %q again", id)
		}
		seen[id] = true
	}
}

// A tool that panics costs its own call an answer that says so, and nothing
// else; what it panicked with stays in the log.
func TestPanic(t *testing.T) {
	s, err := New(Options{Names: []string{"market"}})
	if err != nil {
		t.Fatal(err)
	}
	s.market.now = nil
	c := newConn(t.Context(), s)
	defer c.Close()
	for _, request := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"explain_quote","arguments":{"symbol":"CTSO"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"market://quotes/CTSO"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_quote","arguments":{"symbol":"CTSO"}}}`,
	} {
		if err := c.Write(t.Context(), wire.MustParse(request)); err != nil {
			t.Fatal(err)
		}
		f, err := c.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := string(wire.Lookup(f.Raw, "error", "code")); got != "-32603" || string(f.ID) != "1" {
			t.Errorf("%s: %s", request, f.Raw)
		}
		if message := wire.LookupString(f.Raw, "error", "message"); message != "Internal error: the built-in tool failed; the server's log says where" {
			t.Errorf("message %q", message)
		}
	}
}
