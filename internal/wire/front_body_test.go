package wire

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// stall sends a request whose body stops, and returns the answer to it. It fails
// if there is none, or if the connection stays open after it.
func stall(t *testing.T, address, request string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("the connection is not closed: %v", err)
	}
	return resp
}

// A client that stops in the midst of a body gets an answer, and no connection
// of the server for ever: net/http reads on until the body's end before it sends
// one.
func TestFrontAnswersWhoStopsSending(t *testing.T) {
	const post = "Host: x\nContent-Type: application/json\nAccept: application/json, text/event-stream\n"
	opts := FrontOptions{ReadTimeout: 50 * time.Millisecond, MaxMessage: 1000}
	streams := startFrontWith(t, opts, &script{})
	session := streams.open("2025-11-25").session
	sse := startSSE(t, opts, &script{})
	messages := strings.TrimPrefix(sse.connect("").post.url, sse.server.URL)
	for name, c := range map[string]struct {
		server  *httptest.Server
		request string
		status  int
	}{
		"first byte":      {streams.server, "POST / HTTP/1.1\n" + post + "Content-Length: 100\n\n{", http.StatusRequestTimeout},
		"no byte":         {streams.server, "POST / HTTP/1.1\n" + post + "Content-Length: 100\n\n", http.StatusRequestTimeout},
		"chunk":           {streams.server, "POST / HTTP/1.1\n" + post + "Transfer-Encoding: chunked\n\n5\n{", http.StatusRequestTimeout},
		"session":         {streams.server, "POST / HTTP/1.1\n" + post + "Mcp-Session-Id: " + session + "\nContent-Length: 100\n\n{", http.StatusRequestTimeout},
		"stateless":       {streams.server, "POST / HTTP/1.1\n" + post + "Mcp-Protocol-Version: 2026-07-28\nContent-Length: 100\n\n{", http.StatusRequestTimeout},
		"messages":        {sse.server, "POST " + messages + " HTTP/1.1\n" + post + "Content-Length: 100\n\n{", http.StatusRequestTimeout},
		"too large":       {streams.server, "POST / HTTP/1.1\n" + post + "Content-Length: 1001\n\n{", http.StatusRequestEntityTooLarge},
		"too large chunk": {streams.server, "POST / HTTP/1.1\n" + post + "Transfer-Encoding: chunked\n\n400\n" + strings.Repeat("x", 1024), http.StatusRequestEntityTooLarge},
		"media type":      {streams.server, "POST / HTTP/1.1\nHost: x\nContent-Type: text/plain\nContent-Length: 100\n\n{", http.StatusUnsupportedMediaType},
		"no session":      {streams.server, "POST / HTTP/1.1\n" + post + "Mcp-Session-Id: none\nContent-Length: 100\n\n{", http.StatusNotFound},
		"method":          {streams.server, "PUT / HTTP/1.1\nHost: x\nContent-Length: 100\n\n{", http.StatusRequestTimeout},
		"GET":             {streams.server, "GET / HTTP/1.1\nHost: x\nAccept: text/event-stream\nMcp-Session-Id: " + session + "\nContent-Length: 100\n\n{", http.StatusRequestTimeout},
		"DELETE":          {streams.server, "DELETE / HTTP/1.1\nHost: x\nMcp-Session-Id: none\nContent-Length: 100\n\n{", http.StatusRequestTimeout},
		"stream":          {sse.server, "GET /sse HTTP/1.1\nHost: x\nAccept: text/event-stream\nContent-Length: 100\n\n{", http.StatusRequestTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			if resp := stall(t, c.server.Listener.Addr().String(), c.request); resp.StatusCode != c.status {
				t.Errorf("HTTP %d, want %d", resp.StatusCode, c.status)
			}
		})
	}
}
