package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server"
)

func TestDrainWaitsForAnswers(t *testing.T) {
	for _, transport := range []string{"Streamable HTTP", "HTTP+SSE"} {
		t.Run(transport, func(t *testing.T) {
			u := startHTTPUpstream(t)
			w := start(t, server.Upstream{Name: "http", URL: u.URL}, func(o *server.Options) { o.DrainTimeout = patience })
			open := w.streamable
			if transport == "HTTP+SSE" {
				open = w.sse
			}
			s := open(w.token(w.sample.Ada))
			id := s.send("tools/call", toolParams("hold", `{}`))
			<-u.holding
			w.cancel()
			for !strings.Contains(w.log.String(), `"stopping"`) {
				time.Sleep(time.Millisecond) // bounded by the test's own timeout
			}
			close(u.release)
			if f, _ := s.answer(id); f.Failed {
				t.Errorf("got %s", f.Raw)
			}
			w.stop()
		})
	}
}

func TestDrainEnds(t *testing.T) {
	for _, transport := range []string{"Streamable HTTP", "HTTP+SSE"} {
		t.Run(transport, func(t *testing.T) {
			w := start(t, commandUpstream(t), func(o *server.Options) { o.DrainTimeout = 50 * time.Millisecond })
			open := w.streamable
			if transport == "HTTP+SSE" {
				open = w.sse
			}
			s := open(w.token(w.sample.Ada))
			id := s.begin("silent", `{}`)
			w.cancel()
			if f, _ := s.answer(id); !f.Failed || !strings.Contains(string(f.Raw), "shutting down") {
				t.Errorf("got %s", f.Raw)
			}
			w.stop()
			records := w.records()
			if last := records[len(records)-1]; last["outcome"] != "unanswered" || last["target"] != "silent" {
				t.Errorf("recorded as %v", last)
			}
		})
	}
}

// A tool that is cancelled gives no answer, as MCP says. Were anything still
// waiting for one, the server would drain for an hour.
func TestCancelledCallLeavesNothingPending(t *testing.T) {
	for _, transport := range []string{"Streamable HTTP", "HTTP+SSE"} {
		t.Run(transport, func(t *testing.T) {
			w := start(t, server.Upstream{Name: "m", Builtin: []string{"market"}}, func(o *server.Options) { o.DrainTimeout = time.Hour })
			open := w.streamable
			if transport == "HTTP+SSE" {
				open = w.sse
			}
			s := open(w.token(w.sample.Ada))
			s.cancel(s.begin("run_backtest", `{"symbol":"CTSO","steps":100,"duration_ms":60000}`))
			w.recorded("run_backtest", "cancelled")
			w.stop()
		})
	}
}
