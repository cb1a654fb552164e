package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
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
	many := `{"jsonrpc":"2.0","method":"x","params":"` + strings.Repeat("y", 5*chunkSize) + `","id":"last"}`
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
		{"a long line", many + "\n" + a + "\n", 0, []string{many, a}},
		{"a long line at the limit", many + "\r\n" + a + "\n", len(many), []string{many, a}},
		{"a long line above the limit by one", many + "\n" + a + "\n", len(many) - 1, []string{`-32600 id="last" request=true`, a}},
		{"a long line above the limit", many + "\n" + a + "\n", chunkSize, []string{`-32600 id="last" request=true`, a}},
		{"a long last line", many, 0, []string{many}},
		{"a long last line above the limit", many, 2 * chunkSize, []string{`-32600 id="last" request=true`}},
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

func TestStreamReadHonoursItsContext(t *testing.T) {
	r, w := io.Pipe()
	s := NewStream(r, io.Discard, StreamOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Read: %v, want Canceled", err)
	}
	// Nothing was lost by that.
	go func() { _, _ = io.WriteString(w, `{"jsonrpc":"2.0","method":"x"}`+"\n") }()
	f, err := s.Read(t.Context())
	if err != nil || f.Method != "x" {
		t.Errorf("Read: %s, %v", f.Raw, err)
	}
	f.Release()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestStreamCloseEndsARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := io.Pipe()
		s := NewStream(r, io.Discard, StreamOptions{})
		ended := make(chan error)
		go func() {
			_, err := s.Read(context.Background())
			ended <- err
		}()
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("Read: %v, want ErrClosed", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

// A peer that waits with reading until it has written must not cost what is
// queued for it.
func TestStreamCloseLetsAPeerFinishItsWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fromPeer, peerWrites := io.Pipe()
		peerReads, toPeer := io.Pipe()
		s := NewStream(fromPeer, toPeer, StreamOptions{})
		got := make(chan string)
		go func() {
			for range 100 {
				_, _ = io.WriteString(peerWrites, `{"jsonrpc":"2.0","method":"x"}`+"\n")
			}
			text, _ := io.ReadAll(peerReads)
			got <- string(text)
		}()
		if err := s.Write(t.Context(), notification(1)); err != nil {
			t.Fatal(err)
		}
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		if text := <-got; text != string(notification(1).Raw)+"\n" {
			t.Errorf("the peer got %q", text)
		}
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

type brokenReader struct{ r io.Reader }

func (b brokenReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("cable cut")
	}
	return n, err
}

func TestStreamReadErrorDropsAHalfMessage(t *testing.T) {
	text := `{"jsonrpc":"2.0","method":"x"}` + "\n" + `{"jsonrpc":"2.0","meth`
	s := NewStream(brokenReader{strings.NewReader(text)}, io.Discard, StreamOptions{})
	defer s.Close()
	f, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.Release()
	for range 2 {
		if _, err := s.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "cable cut") {
			t.Errorf("Read: %v, want the reader's error", err)
		}
	}
}

// Whoever reads an answer that was cut off should not learn of a fault in JSON.
func TestStreamTellsMessagesThatWereCutOff(t *testing.T) {
	read := func(text string) *FrameError {
		t.Helper()
		s := NewStream(strings.NewReader(text), io.Discard, StreamOptions{})
		defer s.Close()
		_, err := s.Read(t.Context())
		var bad *FrameError
		if !errors.As(err, &bad) {
			t.Fatalf("got %v", err)
		}
		return bad
	}
	for _, size := range []int{10, 3 * chunkSize} {
		cut := `{"jsonrpc":"2.0","id":7,"result":{"text":"` + strings.Repeat("x", size)
		if bad := read(cut); !bad.Cut || bad.Request || string(bad.ID) != "7" || !strings.Contains(bad.Reason, "stream ended") {
			t.Errorf("got %+v", bad)
		}
		if bad := read(cut + "\n"); bad.Cut || !strings.Contains(bad.Reason, "without an end") {
			t.Errorf("got %+v", bad)
		}
	}
}

// FuzzLines compares the reader with a plain split at line ends.
func FuzzLines(f *testing.F) {
	f.Add([]byte("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\r\n\n[1]\n\xef\xbb\xbf{}"), uint8(30), uint8(7))
	f.Add([]byte("\xef\xbb\xbf\n \n{"), uint8(0), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, max, step uint8) {
		limit := int(max) + 1
		lines := newLineReader(&stutter{text, int(step) + 1}, limit)
		for i, line := range bytes.Split(bytes.TrimPrefix(text, byteOrderMark), []byte("\n")) {
			line = bytes.Trim(line, " \t\r")
			if len(line) == 0 {
				continue
			}
			got, gotErr := lines.next()
			want, wantErr := Parse(line)
			if len(line) > limit {
				bad, ok := errors.AsType[*FrameError](gotErr)
				if !ok || bad.Code != CodeInvalidRequest {
					t.Fatalf("line %d of %d bytes, limit %d: %v", i, len(line), limit, gotErr)
				}
				continue
			}
			if (gotErr == nil) != (wantErr == nil) || !bytes.Equal(got.Raw, want.Raw) {
				t.Fatalf("line %d: got %q, %v, want %q, %v", i, got.Raw, gotErr, want.Raw, wantErr)
			}
			got.Release()
		}
		if _, err := lines.next(); !errors.Is(err, io.EOF) {
			t.Fatalf("at the end: %v", err)
		}
	})
}

// stutter gives its bytes a few at a time.
type stutter struct {
	rest []byte
	step int
}

func (s *stutter) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:min(s.step, len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}

// BenchmarkRelay relays messages from one stream to another over real pipes.
// The bytes allocated for each must not grow with its size.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{100, 100 << 10, 5 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.Cleanup(keepReleased())
			source, in := osPipe(b)
			out, sink := osPipe(b)
			from := NewStream(source, io.Discard, StreamOptions{})
			to := NewStream(strings.NewReader(""), sink, StreamOptions{})
			line := append(message(size), '\n')
			const warmUp = 20 // fills the pools
			go func() { _, _ = io.Copy(in, &repeat{line: line, n: warmUp + b.N}); _ = in.Close() }()
			drained := make(chan int64)
			go func() { n, _ := io.Copy(io.Discard, out); drained <- n }()
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for i := range warmUp + b.N {
				if i == warmUp {
					b.ResetTimer()
				}
				f, err := from.Read(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if err := to.Write(b.Context(), f); err != nil {
					b.Fatal(err)
				}
				f.Release()
			}
			if err := to.Close(); err != nil {
				b.Fatal(err)
			}
			if n := <-drained; n != int64((warmUp+b.N)*len(line)) {
				b.Fatalf("%d bytes came out", n)
			}
			_ = from.Close()
		})
	}
}

// BenchmarkRoundTrip sends one message over a pipe and waits for it to come
// back over another through a second stream.
func BenchmarkRoundTrip(b *testing.B) {
	b.Cleanup(keepReleased())
	nearIn, farOut := osPipe(b)
	farIn, nearOut := osPipe(b)
	near := NewStream(nearIn, nearOut, StreamOptions{})
	far := NewStream(farIn, farOut, StreamOptions{})
	ctx := b.Context()
	go func() {
		for {
			f, err := far.Read(ctx)
			if err != nil {
				return
			}
			_ = far.Write(ctx, f)
			f.Release()
		}
	}()
	f := MustParse(string(message(100)))
	b.ReportAllocs()
	for b.Loop() {
		if err := near.Write(ctx, f); err != nil {
			b.Fatal(err)
		}
		back, err := near.Read(ctx)
		if err != nil {
			b.Fatal(err)
		}
		back.Release()
	}
	_ = near.Close()
	_ = far.Close()
}

// keepReleased stops the poisoning of released buffers until the function that
// it returns is called: it would be most of what a benchmark measures.
func keepReleased() (restore func()) {
	was := poisonReleased.Swap(false)
	return func() { poisonReleased.Store(was) }
}

func osPipe(tb testing.TB) (r, w *os.File) {
	tb.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	return r, w
}

// repeat gives a line n times.
type repeat struct {
	line []byte
	at   int
	n    int
}

func (r *repeat) Read(p []byte) (total int, err error) {
	for total < len(p) && r.n > 0 {
		n := copy(p[total:], r.line[r.at:])
		total += n
		if r.at += n; r.at == len(r.line) {
			r.at = 0
			r.n--
		}
	}
	if total == 0 && r.n == 0 {
		return 0, io.EOF
	}
	return total, nil
}
