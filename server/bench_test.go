package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server"
)

// BenchmarkCall is one call through the whole server, the client's part of the
// work included: to profile what the gateway does. bench/gateway compares.
func BenchmarkCall(b *testing.B) {
	for _, upstream := range []string{"stdio", "http"} {
		b.Run(upstream, func(b *testing.B) {
			var up server.Upstream
			if upstream == "stdio" {
				up = richUpstream(b, "files")
			} else {
				up = server.Upstream{Name: "http", URL: startHTTPUpstream(b).URL + "/mcp"}
			}
			w := start(b, up, func(o *server.Options) {
				o.Logger = nil
				o.Config.Audit.File = ""
				o.Config.Limits.SessionsPerUser = 1000
			})
			token := w.token(w.sample.Ada)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()
			post := func(session, body string) (string, error) {
				r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.url("/mcp"), strings.NewReader(body))
				if err != nil {
					return "", err
				}
				r.Header["Content-Type"], r.Header["Accept"] = []string{"application/json"}, []string{"application/json, text/event-stream"}
				r.Header["Authorization"] = []string{"Bearer " + token}
				if session != "" {
					r.Header[wire.HeaderSession] = []string{session}
				}
				resp, err := client.Do(r)
				if err != nil {
					return "", err
				}
				defer resp.Body.Close()
				_, err = io.Copy(io.Discard, resp.Body)
				if err == nil && resp.StatusCode >= 300 {
					err = fmt.Errorf("HTTP %s", resp.Status)
				}
				return resp.Header.Get(wire.HeaderSession), err
			}
			b.ReportAllocs()
			b.SetParallelism(8)
			var failed atomic.Pointer[error]
			b.RunParallel(func(pb *testing.PB) {
				id, err := post("", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":`+hello(`{}`)+`}`)
				if err == nil {
					_, err = post(id, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
				}
				for n := 2; pb.Next() && err == nil; n++ {
					_, err = post(id, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"read","arguments":{"text":"hello"}}}`, n))
				}
				if err != nil {
					failed.Store(&err)
				}
			})
			if err := failed.Load(); err != nil {
				b.Fatal(*err)
			}
		})
	}
}
