package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// readAll returns what a stream over the text yields until it ends: raw
// messages, and for faults their reason.
func readAll(t *testing.T, text string, o StreamOptions) []string {
	t.Helper()
	s := NewStream(strings.NewReader(text), io.Discard, o)
	defer s.Close()
	var got []string
	for {
		f, err := s.Read(context.Background())
		if bad, ok := errors.AsType[*FrameError](err); ok {
			got = append(got, fmt.Sprintf("%d id=%s request=%t", bad.Code, bad.ID, bad.Request))
			continue
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatalf("Read: %v", err)
			}
			return got
		}
		got = append(got, string(f.Raw))
		f.Release()
	}
}

func TestStreamRead(t *testing.T) {
	const a, b = `{"jsonrpc":"2.0","id":1,"method":"ping"}`, `{"jsonrpc":"2.0","method":"x"}`
	long := `{"jsonrpc":"2.0","method":"x","params":"` + strings.Repeat("y", 300) + `","id":"last"}`
	tests := []struct {
		name, text string
		max        int
		want       []string
	}{
		{"two lines", a + "\n" + b + "\n", 0, []string{a, b}},
		{"CRLF", a + "\r\n" + b + "\r\n", 0, []string{a, b}},
		{"blank lines", "\n\r\n  \n" + a + "\n\t\n\n" + b + "\n\n", 0, []string{a, b}},
		{"space around", " \t" + a + " \n", 0, []string{a}},
		{"last line without LF", a + "\n" + b, 0, []string{a, b}},
		{"byte order mark", "\ufeff" + a + "\n", 0, []string{a}},
		{"byte order mark alone", "\ufeff", 0, nil},
		{"byte order mark later", a + "\n\ufeff" + b + "\n", 0, []string{a, "-32700 id= request=true"}},
		{"nothing", "", 0, nil},
		{"garbage goes on", "hello\n" + a + "\n", 0, []string{"-32700 id= request=true", a}},
		{"cut off at the end", a[:20], 0, []string{"-32700 id= request=true"}},
		{"exactly at the limit", a + "\r\n", len(a), []string{a}},
		{"over the limit by one", a + "\n" + b + "\n", len(a) - 1, []string{"-32600 id=1 request=true", b}},
		{"over the limit, id last", long + "\n" + a + "\n", 100, []string{`-32600 id="last" request=true`, a}},
		{"over the limit, no LF", long, 100, []string{`-32600 id="last" request=true`}},
		{"over the limit, space only", strings.Repeat(" ", 200) + "\n" + a + "\n", 100, []string{a}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := readAll(t, tt.text, StreamOptions{MaxMessage: tt.max})
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestStreamRelaysBothWays(t *testing.T) {
	clientRead, serverWrite := io.Pipe()
	serverRead, clientWrite := io.Pipe()
	client := NewStream(clientRead, clientWrite, StreamOptions{})
	server := NewStream(serverRead, serverWrite, StreamOptions{})
	ctx := t.Context()
	const n = 1000
	go func() {
		for range n {
			f, err := server.Read(ctx)
			if err != nil {
				return
			}
			_ = server.Write(ctx, NewResult(f.ID, "ok"))
			f.Release()
		}
	}()
	go func() {
		for i := range n {
			_ = client.Write(ctx, MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, i)))
		}
	}()
	for i := range n {
		f, err := client.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":"ok"}`, i); string(f.Raw) != want {
			t.Fatalf("got %s, want %s", f.Raw, want)
		}
		f.Release()
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if _, err := server.Read(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("after the peer closed: %v, want EOF", err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
}
