package cmd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// eraServer speaks one era of MCP and refuses the other as servers do.
type eraServer struct {
	*httptest.Server
	mu     sync.Mutex
	modern bool
	seen   []string // methods
}

func newEraServer(t *testing.T, modern bool) *eraServer {
	t.Helper()
	s := &eraServer{modern: modern}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *eraServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f, err := wire.Parse(body)
	if r.Method != http.MethodPost || err != nil {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if f.Kind != wire.Request {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	s.mu.Lock()
	s.seen = append(s.seen, f.Method)
	modern := s.modern
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	asked := wire.LookupString(f.Raw, "params", "_meta", wire.MetaProtocol) != ""
	switch {
	case modern != asked:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(wire.NewError(f.ID, map[bool]int{true: -32020, false: -32000}[modern], "no", nil).Raw)
	case f.Method == "server/discover":
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}}`, f.ID)
	default:
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"},"tools":[]}}`, f.ID)
	}
}

// takes returns the methods that came since it was last asked.
func (s *eraServer) takes() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := strings.Join(s.seen, " ")
	s.seen = nil
	return seen
}

func (s *eraServer) turn(modern bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.modern = modern
}

// relayed runs mcpctl bridge with a client that sends the lines, each after the
// answer to the one before, and returns the answers.
func relayed(t *testing.T, now time.Time, url string, lines ...string) []string {
	t.Helper()
	in, toBridge := io.Pipe()
	fromBridge, out := io.Pipe()
	ended := make(chan int, 1)
	var faults strings.Builder
	go func() {
		code := Main(t.Context(), []string{"bridge", url, "--no-auth"}, Deps{
			Stdin: in, Stdout: out, Stderr: &faults, Getenv: func(string) string { return "" }, Now: func() time.Time { return now },
		})
		_ = out.Close()
		ended <- code
	}()
	var answers []string
	read := bufio.NewScanner(fromBridge)
	for _, line := range lines {
		if _, err := io.WriteString(toBridge, line+"\n"); err != nil {
			t.Fatal(err)
		}
		if wire.MustParse(line).Kind == wire.Request && read.Scan() {
			answers = append(answers, read.Text())
		}
	}
	_ = toBridge.Close()
	_, _ = io.Copy(io.Discard, fromBridge)
	if code := <-ended; code != 0 {
		t.Errorf("the bridge ended with %d: %s", code, &faults)
	}
	return answers
}

const (
	legacyHello = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`
	legacyReady = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	legacyList  = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	modernHello = `{"jsonrpc":"2.0","id":0,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`
)

// TestEraIsRememberedBetweenRuns: the second start needs one request less to find
// out what the server speaks; what is kept is looked at again when it is old,
// and when the server contradicts it.
func TestEraIsRememberedBetweenRuns(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(profile.DirVariable, dir)
	now := time.Now()
	legacyClient, modernClient := []string{legacyHello, legacyReady, legacyList}, []string{modernHello, legacyHello, legacyReady, legacyList}
	var server *eraServer
	for _, run := range []struct {
		name   string
		server *eraServer // a new one; nil is the one before
		modern bool
		at     time.Time
		client []string
		sent   string
	}{
		{"first, a modern server", newEraServer(t, true), true, now, legacyClient, "initialize server/discover tools/list"},
		{"second", nil, true, now, legacyClient, "server/discover tools/list"},
		{"after six weeks", nil, true, now.Add(6 * 7 * 24 * time.Hour), legacyClient, "initialize server/discover tools/list"},
		{"an older server in its place", nil, false, now, legacyClient, "server/discover initialize tools/list"},
		{"which is known then", nil, false, now, legacyClient, "initialize tools/list"},
		{"first, a legacy server and a client of both eras", newEraServer(t, false), false, now, modernClient, "server/discover initialize tools/list"},
		{"second", nil, false, now, modernClient, "initialize tools/list"},
		{"a newer server in its place", nil, true, now, legacyClient, "initialize server/discover tools/list"},
		{"which is known then", nil, true, now, legacyClient, "server/discover tools/list"},
	} {
		if run.server != nil {
			server = run.server
		}
		server.turn(run.modern)
		answers := relayed(t, run.at, server.URL, run.client...)
		if got := server.takes(); got != run.sent {
			t.Errorf("%s: the server got %q, want %q", run.name, got, run.sent)
		}
		if !strings.Contains(answers[len(answers)-1], `"tools":[]`) {
			t.Errorf("%s: the client got %q", run.name, answers)
		}
	}
	kept := filepath.Join(dir, "eras")
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
	if err := removeVerdicts(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(kept); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after logout --all: %v", err)
	}
}
