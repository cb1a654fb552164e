//go:build unix

package e2e_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A client that is killed may leave standard input open in another process: the
// bridge ends all the same, and ends its session.
func TestBridgeEndsWhenItsParentDies(t *testing.T) {
	d := newDesk(t)
	ctx := testContext(t)
	ended := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			ended <- struct{}{}
		}
		answerMCP(w, r)
	}))
	t.Cleanup(server.Close)
	in, keep, err := os.Pipe() // we hold both ends of the bridge's standard input
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	defer in.Close()
	answers, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer answers.Close()
	// The shell is the client.
	client := exec.CommandContext(ctx, "sh", "-c", `"$0" bridge "$1" --no-auth <&3 3<&- & wait`, mcpctl, server.URL+"/mcp")
	client.Env, client.Stdout, client.ExtraFiles = d.env(), out, []*os.File{in}
	err = client.Start()
	_ = out.Close()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(keep, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":`+initialize+"}\n")
	r := bufio.NewReader(answers)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "corporate") {
		t.Fatalf("got %q, %v", line, err)
	}
	_ = client.Process.Kill()
	_ = client.Wait()
	select {
	case <-ended:
	case <-ctx.Done():
		t.Fatal("the session was not ended")
	}
	// Nothing but the bridge holds the other end of its output.
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v instead of the end of the output", rest, err)
	}
	if text, _ := d.run(t, "logs", server.URL+"/mcp"); !strings.Contains(text, "the program that started the bridge has ended") {
		t.Errorf("the log does not say why:\n%s", text)
	}
}
