package wire

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkStateless compares one call without a session with a handler that
// only reads the body and answers.
func BenchmarkStateless(b *testing.B) {
	b.Run("call", func(b *testing.B) {
		front := NewStreamableFront(FrontOptions{Serve: echoServe, Stateless: func(ctx context.Context, c *Call) {
			_ = c.Write(ctx, MustParse(`{"jsonrpc":"2.0","id":`+string(c.Frame.ID)+`,"result":{}}`))
		}})
		defer front.Close(context.Background())
		benchStateless(b, front)
	})
	b.Run("floor", func(b *testing.B) { benchStateless(b, bareHandler) })
}

const modernBenchCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + modernMeta + `,"name":"x","arguments":{}}}`

func benchStateless(b *testing.B, h http.Handler) {
	server := httptest.NewServer(h)
	defer server.Close()
	tr := NewTransport()
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		template := modernRequest(b.Context(), modernBenchCall)
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL, strings.NewReader(modernBenchCall))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header = template.Header
			resp, err := client.Do(req)
			if err != nil || resp.StatusCode != http.StatusOK {
				b.Error(resp, err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkStatelessFrame is the front alone, without a network.
func BenchmarkStatelessFrame(b *testing.B) {
	result := MustParse(`{"jsonrpc":"2.0","id":1,"result":{}}`)
	front := NewStreamableFront(FrontOptions{Serve: echoServe, Stateless: func(ctx context.Context, c *Call) { _ = c.Write(ctx, result) }})
	defer front.Close(context.Background())
	r := modernRequest(b.Context(), modernBenchCall)
	reader := strings.NewReader("")
	r.Body = io.NopCloser(reader)
	w := &discardAnswer{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(modernBenchCall)
		clear(w.h)
		front.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}
