package wire

import (
	"bytes"
	"net/http"
	"slices"
)

// MCP revisions with sessions, which the fronts of this package carry. Which of
// them a session speaks is negotiated by whoever answers initialize.
const (
	revision20241105 = "2024-11-05"
	revision20250326 = "2025-03-26"
	revision20250618 = "2025-06-18"
	revision20251125 = "2025-11-25"
)

var sessionRevisions = []string{revision20251125, revision20250618, revision20250326, revision20241105}

var versionMember = []byte("protocolVersion")

// modernVersion returns the protocol version that a message of MCP 2026-07-28
// or later carries in itself, "" for a message of an older revision.
func modernVersion(f Frame) string {
	// Nearly all messages are spared the search below.
	if f.Kind != Request || f.Method == "initialize" || !bytes.Contains(f.Raw, versionMember) {
		return ""
	}
	version := LookupString(f.Raw, "params", "_meta", "io.modelcontextprotocol/protocolVersion")
	if slices.Contains(sessionRevisions, version) {
		return ""
	}
	return version
}

// refuseVersion answers a message of a revision that has no sessions. Clients
// that speak older ones too find them in the list and go on with initialize.
func refuseVersion(w http.ResponseWriter, id ID, requested string) {
	refuse(w, http.StatusBadRequest, versionError(id, requested))
}

func versionError(id ID, requested string) Frame {
	return NewError(id, codeVersion, "Unsupported protocol version", struct {
		Supported []string `json:"supported"`
		Requested string   `json:"requested"`
	}{sessionRevisions, requested})
}
