package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// emptyReader is a peer that says nothing and has nothing to say.
type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, io.EOF }

// recorder keeps each write apart. While hold is locked, writes wait.
type recorder struct {
	hold   sync.Mutex
	mu     sync.Mutex
	writes [][]byte
	starts []*byte // where the bytes of each write stood
}

func (r *recorder) Write(p []byte) (int, error) {
	r.hold.Lock()
	defer r.hold.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, bytes.Clone(p))
	r.starts = append(r.starts, &p[0])
	return len(p), nil
}

func notification(i int) Frame {
	return MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","method":"n","params":%d}`, i))
}

func TestStreamWritesOneLineForEachMessage(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"as it came", `{"jsonrpc" : "2.0", "method":"x"}`, `{"jsonrpc" : "2.0", "method":"x"}`},
		{"pretty-printed", "{\n  \"jsonrpc\": \"2.0\",\r\n\t\"method\": \"a \\n b\"\n}", `{"jsonrpc":"2.0","method":"a \n b"}`},
		{"escaped quote", "{\"jsonrpc\":\"2.0\",\n\"method\":\"a\\\" , \\\\\" , \"b\" : 1}", `{"jsonrpc":"2.0","method":"a\" , \\","b":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			s := NewStream(emptyReader{}, &out, StreamOptions{})
			if err := s.Write(t.Context(), MustParse(tt.raw)); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != tt.want+"\n" {
				t.Errorf("got  %q\nwant %q", got, tt.want+"\n")
			}
		})
	}
}

func TestStreamBatchesWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &recorder{}
		s := NewStream(emptyReader{}, out, StreamOptions{})
		out.hold.Lock()
		for i := range 40 {
			if err := s.Write(t.Context(), notification(i)); err != nil {
				t.Fatal(err)
			}
		}
		out.hold.Unlock()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		// The first write may have begun with any number of messages.
		if n := len(out.writes); n > 2 {
			t.Errorf("40 queued messages took %d writes, want at most 2", n)
		}
		if n := bytes.Count(bytes.Join(out.writes, nil), []byte("\n")); n != 40 {
			t.Errorf("%d lines, want 40", n)
		}
	})
}

func TestStreamWritesLargeMessagesInPlace(t *testing.T) {
	out := &recorder{}
	s := NewStream(emptyReader{}, out, StreamOptions{})
	f := MustParse(`{"jsonrpc":"2.0","method":"n","params":"` + strings.Repeat("x", 1<<20) + `"}`)
	for _, m := range []Frame{notification(1), f, notification(2)} {
		if err := s.Write(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(out.starts, &f.Raw[0]) {
		t.Error("the message was copied on its way out")
	}
}

func TestStreamWriteWaitsForThePeer(t *testing.T) {
	tests := []struct {
		name string
		o    StreamOptions
		fits int // beside the batch that is being written
	}{
		{"by count", StreamOptions{Queue: 3}, 3},
		{"by size", StreamOptions{MaxMessage: 100}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, w := io.Pipe()
				s := NewStream(emptyReader{}, w, tt.o)
				n := 0
				write := func(ctx context.Context) error {
					err := s.Write(ctx, notification(n))
					if err == nil {
						n++
					}
					return err
				}
				if err := write(t.Context()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // the writer holds the first message
				for range tt.fits {
					if err := write(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if err := write(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("message %d: %v, want to wait until the deadline", n, err)
				}
				// What was refused is not sent; what was accepted is, in order.
				var got bytes.Buffer
				read := make(chan struct{})
				go func() { defer close(read); _, _ = got.ReadFrom(r) }()
				if err := write(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				<-read
				var want strings.Builder
				for i := range n {
					fmt.Fprintf(&want, "%s\n", notification(i).Raw)
				}
				if got.String() != want.String() {
					t.Errorf("got  %s\nwant %s", got.String(), want.String())
				}
			})
		})
	}
}

func TestStreamTellsThatThePeerIsGone(t *testing.T) {
	r, w := io.Pipe()
	s := NewStream(emptyReader{}, w, StreamOptions{Queue: 1})
	_ = r.Close()
	var err error
	for err == nil {
		err = s.Write(t.Context(), notification(1))
	}
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Write: %v, want the pipe's error", err)
	}
	if err := s.Close(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Close: %v, want what kept messages from the peer", err)
	}
}

func TestStreamCloseUnblocksWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w := io.Pipe()
		s := NewStream(emptyReader{}, w, StreamOptions{Queue: 1, CloseTimeout: time.Minute})
		errs := make(chan error)
		const writers = 5
		for i := range writers {
			go func() {
				var err error
				for err == nil {
					err = s.Write(context.Background(), notification(i))
				}
				errs <- err
			}()
		}
		synctest.Wait()
		start := time.Now()
		if err := s.Close(); err == nil {
			t.Error("Close: no error although messages were lost")
		}
		if d := time.Since(start); d > 2*time.Minute {
			t.Errorf("Close took %v", d)
		}
		for range writers {
			if err := <-errs; !errors.Is(err, ErrClosed) {
				t.Errorf("Write: %v, want ErrClosed", err)
			}
		}
	})
}

// stuckWriter is a file in which a write can't be interrupted.
type stuckWriter chan struct{}

func (w stuckWriter) Write(p []byte) (int, error) {
	<-w
	return len(p), nil
}

func TestStreamCloseIsBoundedWhenAWriteIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := make(stuckWriter)
		s := NewStream(emptyReader{}, w, StreamOptions{CloseTimeout: 3 * time.Second})
		if err := s.Write(t.Context(), notification(1)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := s.Close(); err == nil {
			t.Error("Close: no error although the message is stuck")
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("Close took %v, want 3s", d)
		}
		close(w)
	})
}

func TestStreamWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		s := NewStream(near, near, StreamOptions{Queue: 1, WriteTimeout: time.Minute})
		big := MustParse(`{"jsonrpc":"2.0","method":"n","params":"` + strings.Repeat("x", 10*chunkSize) + `"}`)
		if err := s.Write(t.Context(), big); err != nil {
			t.Fatal(err)
		}
		// Slower than the timeout as a whole, but each chunk makes it.
		chunk := make([]byte, chunkSize)
		for range 10 {
			time.Sleep(50 * time.Second)
			if _, err := io.ReadFull(far, chunk); err != nil {
				t.Fatalf("a peer that makes progress was cut off: %v", err)
			}
		}
		var err error
		for err == nil { // now it reads no more
			err = s.Write(t.Context(), big)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write: %v, want a timeout", err)
		}
		if err := s.Close(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Close: %v, want the timeout", err)
		}
	})
}

func TestStreamKeepsEachWritersOrder(t *testing.T) {
	var out bytes.Buffer
	s := NewStream(emptyReader{}, &out, StreamOptions{Queue: 2})
	const writers, each = 8, 500
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				_ = s.Write(t.Context(), MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","method":"n","params":[%d,%d]}`, w, i)))
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	next := make([]int, writers)
	for line := range strings.Lines(out.String()) {
		var w, i int
		if _, err := fmt.Sscanf(line, `{"jsonrpc":"2.0","method":"n","params":[%d,%d]}`, &w, &i); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if i != next[w] {
			t.Fatalf("writer %d: message %d where %d should come", w, i, next[w])
		}
		next[w]++
	}
	for w, n := range next {
		if n != each {
			t.Errorf("writer %d: %d messages, want %d", w, n, each)
		}
	}
}

func TestStreamReleasesWhatItWrote(t *testing.T) {
	var out bytes.Buffer
	s := NewStream(emptyReader{}, &out, StreamOptions{})
	f, err := parseBuffer(newBuffer(0).appendBytes(notification(1).Raw))
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := s.Write(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := f.buf.refs.Load(); n != 1 {
		t.Errorf("%d owners after Close, want the caller alone", n)
	}
	f.Release()
}

func TestStreamRefusesAnEmptyFrame(t *testing.T) {
	s := NewStream(emptyReader{}, io.Discard, StreamOptions{})
	defer s.Close()
	if err := s.Write(t.Context(), Frame{}); err == nil {
		t.Error("Write took a frame that holds nothing")
	}
}
