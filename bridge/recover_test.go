package bridge

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// A restart of the server between two calls goes unnoticed, over real HTTP and
// with a cookie that keeps the session at its server.
func TestServerRestart(t *testing.T) {
	var incarnation atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id := fmt.Sprint("s", incarnation.Load())
		f, err := wire.Parse(body)
		switch {
		case r.Method == http.MethodGet:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case f.Method == "initialize":
			w.Header().Set("Mcp-Session-Id", id)
			http.SetCookie(w, &http.Cookie{Name: "lb", Value: id, Path: "/"})
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(wire.NewResult(f.ID, map[string]any{"protocolVersion": "2025-11-25"}).Raw)
		case r.Header.Get("Mcp-Session-Id") != id:
			w.WriteHeader(http.StatusNotFound)
		case err != nil || f.Kind != wire.Request:
			w.WriteHeader(http.StatusAccepted)
		default:
			cookie, err := r.Cookie("lb")
			if err != nil || cookie.Value != id {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(wire.NewResult(f.ID, map[string]any{"at": id}).Raw)
		}
	}))
	defer s.Close()
	c, stop := session(t, Options{URL: s.URL})
	ask(t, c, initialize)
	send(t, c, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	for n := range int64(3) {
		incarnation.Store(n)
		if got := ask(t, c, callTool); !strings.Contains(got, fmt.Sprintf(`"at":"s%d"`, n)) {
			t.Errorf("after %d restarts: %s", n, got)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
