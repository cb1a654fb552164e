package wire

import "testing"

func TestOpensSession(t *testing.T) {
	for raw, want := range map[string]bool{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`:                                                true,
		`{"jsonrpc":"2.0","id":1,"method":"initialize"}`:                                                                                                            true,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`: true,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`:                                false,
		`{"jsonrpc":"2.0","method":"initialize"}`:                                                                                                                   false,
		`{"jsonrpc":"2.0","id":1,"method":"server/discover"}`:                                                                                                       false,
	} {
		if got := OpensSession(MustParse(raw)); got != want {
			t.Errorf("%s: got %t", raw, got)
		}
	}
}
