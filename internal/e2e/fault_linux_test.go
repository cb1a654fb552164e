package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// room is how much memory a bridge may come to need in bytes, whatever it is
// given; the race detector takes its share of it.
const room = 160 << 20

// peak is the most memory that the process has had, in bytes (proc(5)).
func (p *process) peak() int {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kib, err := strconv.Atoi(fields[1])
			if err != nil {
				p.t.Fatal(err)
			}
			return kib << 10
		}
	}
	p.t.Fatal("the system does not tell")
	return 0
}

// A line of 200 MB is refused with its id as it passes, and is never held.
func TestFaultEndlessLine(t *testing.T) {
	t.Parallel()
	url := serveHandler(t, http.HandlerFunc(answerMCP))
	ctx := testContext(t)
	p, process := newDesk(t).bridge(t, url, "--no-auth", "--max-message", "1")
	p.open(ctx)
	w := bufio.NewWriterSize(p.w, 1<<20)
	fmt.Fprint(w, `{"jsonrpc":"2.0","id":"long","method":"tools/call","params":{"name":"t","arguments":{"text":"`)
	for chunk, n := bytes.Repeat([]byte("x"), 1<<20), 0; n < 200; n++ {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprintln(w, `"}}}`)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if m := p.response(ctx); string(m.ID) != `"long"` || m.Error == nil {
		t.Errorf("the line was answered with %.300s", m.raw)
	}
	p.works(ctx)
	if got := process.peak(); got > room {
		t.Errorf("the bridge came to %d MB", got>>20)
	}
}

// A client that stops reading while a server floods it costs no memory: the
// server is held up. Afterwards everything comes, in order.
func TestFaultClientStopsReading(t *testing.T) {
	t.Parallel()
	const count, size = 10_000, 20_000 // 200 MB in all
	filler := strings.Repeat("x", size)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if !bytes.Contains(body, []byte("flood")) {
			answerMCP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range count {
			fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"n\":%d,\"data\":\"%s\"}}\n\n", i, filler)
		}
		fmt.Fprint(w, "data: {\"jsonrpc\":\"2.0\",\"id\":\"f\",\"result\":{}}\n\n")
	}))
	defer s.Close()
	process := newDesk(t).start(t, "bridge", s.URL+"/mcp", "--no-auth")
	lines := bufio.NewReaderSize(process.stdout, 1<<16)
	say := func(raw string) {
		if _, err := io.WriteString(process.stdin, raw+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":` + initialize + `}`)
	if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, `"id":0`) {
		t.Fatalf("initialize: %q, %v", line, err)
	}
	say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	say(`{"jsonrpc":"2.0","id":"f","method":"tools/call","params":{"name":"flood"}}`)
	time.Sleep(3 * time.Second) // in which it would take all of it, if it could
	if got := process.peak(); got > room {
		t.Errorf("the bridge came to %d MB", got>>20)
	}
	for i := range count {
		line, err := lines.ReadString('\n')
		if err != nil || !strings.Contains(line[:100], fmt.Sprintf(`"n":%d,`, i)) {
			t.Fatalf("instead of message %d: %.100q, %v", i, line, err)
		}
	}
	if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, `"id":"f"`) {
		t.Errorf("the answer is %q, %v", line, err)
	}
	if got := process.peak(); got > room {
		t.Errorf("the bridge came to %d MB", got>>20)
	}
}
