package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// scriptedServer makes the test binary an MCP server on stdio.
const scriptedServer = "scripted-mcp-server"

// script is a server that does what no other can be made to do: answer with
// megabytes, flood, hold a call, die, and mirror what it got byte for byte.
type script struct {
	out   sync.Mutex
	w     *bufio.Writer
	mu    sync.Mutex
	holds map[string]net.Conn // calls of the tool hold, by request id
}

type scriptRequest struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		ProtocolVersion string          `json:"protocolVersion"`
		RequestID       json.RawMessage `json:"requestId"`
		Name            string          `json:"name"`
		Meta            struct {
			ProgressToken json.RawMessage `json:"progressToken"`
		} `json:"_meta"`
		Arguments struct {
			Bytes   int    `json:"bytes"`
			Count   int    `json:"count"`
			Address string `json:"address"`
		} `json:"arguments"`
	} `json:"params"`
}

func serveScript(in io.Reader, out io.Writer) {
	s := &script{w: bufio.NewWriter(out), holds: map[string]net.Conn{}}
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		s.handle(bytes.TrimSpace(line))
	}
}

func (s *script) handle(line []byte) {
	var q scriptRequest
	if err := json.Unmarshal(line, &q); err != nil {
		fmt.Fprintln(os.Stderr, "not a message:", err)
		return
	}
	switch {
	case q.Method == "initialize":
		s.say(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":%q,"capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"scripted","version":"1"}}}`, q.ID, q.Params.ProtocolVersion)
	case q.Method == "notifications/cancelled":
		s.cancelled(string(q.Params.RequestID))
	case q.ID == nil:
	case q.Method == "tools/list":
		s.say(`{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"big","inputSchema":{"type":"object"}}]}}`, q.ID)
	case q.Method == "tools/call":
		s.call(q)
	default:
		// Whatever it was, here it is again, among numbers and members that
		// no parser of JSON into floats and structs would keep.
		s.say(`{"unknown":[1e400,-0.0,12345678901234567890],"jsonrpc":"2.0","id":%s,"result":{"big":9007199254740993,"request":%s},"z":{"b":1,"a":2}}`, q.ID, line)
	}
}

func (s *script) call(q scriptRequest) {
	args := q.Params.Arguments
	switch q.Params.Name {
	case "big":
		text := bytes.Repeat([]byte("0123456789abcdef"), args.Bytes/16+1)[:args.Bytes]
		sum := sha256.Sum256(text)
		s.say(`{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"},{"type":"text","text":"%s"}]}}`, q.ID, text, hex.EncodeToString(sum[:]))
	case "flood":
		s.flood(args.Count)
		s.done(q.ID)
	case "flood_later":
		s.done(q.ID)
		s.flood(args.Count)
	case "progress":
		for i := range args.Count {
			s.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d,"total":%d}}`, q.Params.Meta.ProgressToken, i+1, args.Count)
		}
		s.done(q.ID)
	case "hold":
		go s.hold(string(q.ID), args.Address)
	case "crash":
		os.Exit(3)
	default:
		s.say(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"no such tool"}}`, q.ID)
	}
}

// hold connects to address, says "holding" and answers once it is told "go".
func (s *script) hold(id, address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		s.say(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32603,"message":%q}}`, id, err.Error())
		return
	}
	defer conn.Close()
	s.mu.Lock()
	s.holds[id] = conn
	s.mu.Unlock()
	fmt.Fprintln(conn, "holding")
	if order, _ := bufio.NewReader(conn).ReadString('\n'); order == "go\n" {
		s.done([]byte(id))
	}
}

func (s *script) cancelled(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if conn := s.holds[id]; conn != nil {
		fmt.Fprintln(conn, "cancelled")
	}
}

func (s *script) flood(count int) {
	for i := range count {
		s.say(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":%d}}`, i)
	}
}

func (s *script) done(id []byte) {
	s.say(`{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"done"}]}}`, id)
}

func (s *script) say(format string, args ...any) {
	s.out.Lock()
	defer s.out.Unlock()
	fmt.Fprintf(s.w, format+"\n", args...)
	if err := s.w.Flush(); err != nil {
		os.Exit(4)
	}
}
