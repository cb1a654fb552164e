package e2e_test

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// odd are requests that only a relay that leaves messages alone passes on
// unharmed. Numbers and strings stand as no encoder would write them.
var odd = []string{
	`{"jsonrpc":"2.0","id":1,"method":"x/mirror","params":{"n":12345678901234567890,"f":1.10,"e":1E+400,"z":-0.0}}`,
	`{"method":"x/mirror","unknown":{"b":[1,2],"a":null},"id":"\u00e9\/ä","jsonrpc":"2.0"}`,
	`{"jsonrpc":"2.0","id":9007199254740993,"method":"x/mirror","params":{"z":1,"a":2,"_meta":{"vendor.example/x":{"deep":[[[]]]},"traceparent":"00-1-2-03"}}}`,
	`{"jsonrpc":"2.0","id":"with \"quotes\" and \\","method":"x/mirror","params":{"text":"\u2028 \ud83d\ude00 😀 \u0000 </script>"}}`,
	`{"jsonrpc":"2.0","id":-7,"method":"server/unheard-of","params":{}}`,
	`{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"no such tool","arguments":{"big":1e999}}}`,
}

// TestBytesArriveAsSent compares what comes through bridge and server with what
// comes from the same server directly, byte for byte.
func TestBytesArriveAsSent(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, _ *stack, d desk, url string) {
		through, _ := d.bridge(t, url)
		compare(t, through, newPeer(start(t, os.Environ(), scripted(t)...)), odd)
	})
}

// TestEverythingIsRelayedVerbatim does the same with a server of other people.
func TestEverythingIsRelayedVerbatim(t *testing.T) {
	t.Parallel()
	s, d := newStack(t, everything(t)), newDesk(t)
	d.login(t, s.url, s.caFile, ada)
	through, _ := d.bridge(t, s.url)
	compare(t, through, newPeer(start(t, os.Environ(), everything(t)...)), []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
		`{"jsonrpc":"2.0","id":"two","method":"prompts/list","params":{"_meta":{"x":1}}}`,
		`{"jsonrpc":"2.0","id":3,"method":"resources/list"}`,
		`{"jsonrpc":"2.0","id":4,"method":"resources/templates/list"}`,
		`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo","arguments":{"message":"\u00e9 \u2028 😀"},"unknown":1}}`,
		`{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"get-tiny-image"}}`,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":8,"method":"no/such/method"}`,
		`{"jsonrpc":"2.0","id":9,"method":"completion/complete","params":{}}`,
	})
}

// compare sends each line to both and wants the same bytes back. Each line has
// one answer.
func compare(t *testing.T, through, direct *peer, lines []string) {
	t.Helper()
	ctx := testContext(t)
	first := `{"jsonrpc":"2.0","id":"hello","method":"initialize","params":` + initialize + `}`
	for i, line := range slices.Concat([]string{first}, lines) {
		through.send(line)
		direct.send(line)
		got, want := through.response(ctx), direct.response(ctx)
		if raw := withSentID(t, got.raw, line); !bytes.Equal(raw, want.raw) {
			t.Errorf("sent      %s\nthrough   %.2000s\ndirectly  %.2000s", line, raw, want.raw)
		}
		if i == 0 {
			for _, p := range []*peer{through, direct} {
				p.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
			}
		}
	}
}

// withSentID puts the client's id into a request that the server mirrors. The
// server's process is shared by the sessions of a person, so requests reach it
// under ids of the gateway's; all else has to be as it was sent.
func withSentID(t *testing.T, answer []byte, line string) []byte {
	t.Helper()
	mirrored := wire.Lookup(answer, "result", "request")
	if mirrored == nil {
		return answer
	}
	arrived, err := wire.Parse(mirrored)
	if err != nil {
		t.Fatalf("the mirrored request: %v", err)
	}
	return bytes.Replace(answer, mirrored, arrived.WithID(wire.MustParse(line).ID).Raw, 1)
}
