package wire

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// playStdio answers every request on its own standard streams until they end,
// and tells on standard error how that was.
func playStdio() {
	s := Stdio(os.Stdin, os.Stdout, StreamOptions{})
	ctx := context.Background()
	for {
		f, err := s.Read(ctx)
		if err != nil {
			fmt.Fprintln(os.Stderr, "read:", err)
			break
		}
		if err := s.Write(ctx, NewResult(f.ID, "stdio")); err != nil {
			fmt.Fprintln(os.Stderr, "write:", err)
		}
		f.Release()
	}
	fmt.Fprintln(os.Stderr, "close:", s.Close())
}

func TestStdio(t *testing.T) {
	lines := make(chan string, 10)
	c := startRole(t, "stdio", ChildOptions{Stderr: func(line string) { lines <- line }})
	send(t, c, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	f := receive(t, c)
	if string(f.Raw) != `{"jsonrpc":"2.0","id":1,"result":"stdio"}` {
		t.Errorf("got %s", f.Raw)
	}
	f.Release()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"read: EOF", "close: <nil>"} {
		if got := <-lines; got != want {
			t.Errorf("the child said %q, want %q", got, want)
		}
	}
}

// Losing the reader of standard output must leave time to end a session: it is
// an error, not a deadly signal.
func TestStdioSurvivesABrokenPipe(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = []string{roleVariable + "=stdio", "GORACE=atexit_sleep_ms=0"}
	var said strings.Builder
	cmd.Stderr = &said
	nobody, stdout := osPipe(t)
	cmd.Stdout = stdout
	_ = nobody.Close()
	cmd.Stdin = strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}` + "\n")
	err = cmd.Run()
	_ = stdout.Close()
	if err != nil {
		t.Errorf("the child ended with %v, want its own exit", err)
	}
	if got := said.String(); !strings.Contains(got, "read: EOF") || !strings.Contains(got, "close: writing to the peer") {
		t.Errorf("the child said %q, want the end of its input and a failed write", got)
	}
}
