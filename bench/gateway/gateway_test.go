package main

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/bench/remote"
)

func TestTurn(t *testing.T) {
	server := remote.New()
	web := httptest.NewServer(server)
	defer web.Close()
	defer server.Close()
	s := &subject{name: "direct", group: "http", url: web.URL + remote.Path, results: map[int][]result{}}
	r, err := s.turn(t.Context(), 4, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.latencies) == 0 || r.perSecond <= 0 {
		t.Errorf("nothing was measured: %+v", r)
	}
	s.results[4] = append(s.results[4], r)
	var table strings.Builder
	writeTable(&table, []*subject{s}, []int{4})
	if !strings.Contains(table.String(), "|http|direct|4|") {
		t.Errorf("the table: %s", &table)
	}
}

func TestTurnTellsOfWrongAnswers(t *testing.T) {
	web := httptest.NewServer(mcpGo())
	defer web.Close()
	s := &subject{url: web.URL + "/none-of-this", results: map[int][]result{}}
	if _, err := s.turn(context.Background(), 1, 10*time.Millisecond); err != nil {
		t.Errorf("mcp-go answers on every path: %v", err)
	}
	wrong := httptest.NewServer(nil)
	defer wrong.Close()
	s.url = wrong.URL + "/mcp"
	if _, err := s.turn(context.Background(), 1, 10*time.Millisecond); err == nil {
		t.Error("a server that answers 404 was measured")
	}
}

// The server on stdio answers each request once, in order.
func TestStdioServer(t *testing.T) {
	in := strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"text":"a\"b"}}}
{"jsonrpc":"2.0","id":3,"method":"none"}
`)
	var out strings.Builder
	if err := serveStdio(in, &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[1], `"text":"a\"b"`) || !strings.Contains(lines[2], "-32601") {
		t.Errorf("got %q", lines)
	}
}
