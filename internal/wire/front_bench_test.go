package wire

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func echoServe(ctx context.Context, s *Session) {
	for {
		in, err := s.Receive(ctx)
		if err != nil {
			return
		}
		if in.Kind == Request {
			_ = s.Write(ctx, MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18"}}`, in.ID)))
		}
		in.Release()
	}
}

// BenchmarkFront compares one call through the front with a handler that only
// reads the body and answers.
func BenchmarkFront(b *testing.B) {
	b.Run("call", func(b *testing.B) {
		front := NewStreamableFront(FrontOptions{Serve: echoServe, MaxSessions: 10_000})
		defer front.Close(context.Background())
		benchCalls(b, front)
	})
	b.Run("floor", func(b *testing.B) {
		benchCalls(b, bareHandler)
	})
}

// bareHandler does the least that a handler of such calls has to do.
var bareHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f, err := Parse(body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(HeaderSession, "x")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{}}`, f.ID)
})

func benchCalls(b *testing.B, h http.Handler) {
	server := httptest.NewServer(h)
	defer server.Close()
	tr := NewTransport()
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	post := func(session, body string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		if session != "" {
			req.Header.Set(HeaderSession, session)
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp, resp.Body.Close()
	}
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		resp, err := post("", initializeMessage("2025-06-18"))
		if err != nil {
			b.Error(err)
			return
		}
		session := resp.Header.Get(HeaderSession)
		body := request("1", "tools/call", `{"name":"x","arguments":{}}`)
		for pb.Next() {
			resp, err := post(session, body)
			if err != nil || resp.StatusCode != http.StatusOK {
				b.Error(resp, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// discardAnswer is a ResponseWriter without a network.
type discardAnswer struct {
	h      http.Header
	status int
}

func (d *discardAnswer) Header() http.Header         { return d.h }
func (d *discardAnswer) WriteHeader(status int)      { d.status = status }
func (d *discardAnswer) Write(p []byte) (int, error) { return len(p), nil }
func (d *discardAnswer) FlushError() error           { return nil }

// BenchmarkFrontFrame shows that what a call allocates does not grow with it.
func BenchmarkFrontFrame(b *testing.B) {
	for _, size := range []int{100, 10 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			var result Frame
			front := NewStreamableFront(FrontOptions{Serve: func(ctx context.Context, s *Session) {
				for {
					in, err := s.Receive(ctx)
					if err != nil {
						return
					}
					if in.Method == "initialize" {
						(&script{}).answer(ctx, s, in.Frame)
					} else {
						_ = s.Write(ctx, result)
					}
					in.Release()
				}
			}})
			defer front.Close(context.Background())
			h := &bubble{h: front}
			h.open("2025-06-18")
			text := strings.Repeat("x", size)
			result = MustParse(`{"jsonrpc":"2.0","id":1,"result":"` + text + `"}`)
			body := request("1", "tools/call", `"`+text+`"`)
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Accept", "*/*")
			r.Header.Set(HeaderSession, h.session)
			w := &discardAnswer{h: http.Header{}}
			reader := strings.NewReader("")
			r.Body, r.ContentLength = io.NopCloser(reader), int64(len(body))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(body)
				clear(w.h)
				front.ServeHTTP(w, r)
				if w.status != http.StatusOK {
					b.Fatal(w.status)
				}
			}
		})
	}
}

// BenchmarkFrontStream is a call that is answered with ten notifications and a
// response, as events that can be resumed.
func BenchmarkFrontStream(b *testing.B) {
	opts := FrontOptions{Serve: func(ctx context.Context, s *Session) {
		note := MustParse(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`)
		for {
			in, err := s.Receive(ctx)
			if err != nil {
				return
			}
			switch {
			case in.Method == "initialize":
				(&script{}).answer(ctx, s, in.Frame)
			case in.Kind == Request:
				for range 10 {
					_ = s.WriteRelated(ctx, note, in.ID)
				}
				_ = s.Write(ctx, MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{}}`, in.ID)))
			}
			in.Release()
		}
	}}
	keepEvents(&opts)
	front := NewStreamableFront(opts)
	defer front.Close(context.Background())
	benchCalls(b, front)
}
