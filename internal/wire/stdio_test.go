package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	lines := make(chan string, 100)
	c := startRole(t, "stdio", ChildOptions{Stderr: func(line string) {
		select {
		case lines <- line:
		default:
		}
	}})
	send(t, c, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	receive(t, c).Release()
	_ = c.stdout.Close()
	for i := range 3 {
		err := c.Write(t.Context(), MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, i)))
		if _, gone := errors.AsType[*ExitError](err); err != nil && !gone {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c.exitErr.Code != 0 {
		t.Errorf("the child ended with %v, want its own exit", c.exitErr)
	}
}
