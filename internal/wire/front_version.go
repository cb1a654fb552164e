package wire

import (
	"bytes"
	"net/http"
	"slices"
)

// MCP revisions with sessions. Which of them a session speaks is negotiated by whoever answers initialize.
const (
	revision20241105 = "2024-11-05"
	revision20250326 = "2025-03-26"
	revision20250618 = "2025-06-18"
	revision20251125 = "2025-11-25"
)

// revision20260728 has no sessions: each request stands for itself.
const revision20260728 = "2026-07-28"

var modernRevisions = []string{revision20260728}

var sessionRevisions = []string{revision20251125, revision20250618, revision20250326, revision20241105}

var versionMember = []byte("protocolVersion")

// modernVersion returns the protocol version that a message of MCP 2026-07-28
// or later carries in itself, "" for a message of an older revision.
func modernVersion(f Frame) string {
	// Nearly all messages are spared the search below.
	if f.Kind != Request || !bytes.Contains(f.Raw, versionMember) {
		return ""
	}
	version := LookupString(f.Raw, "params", "_meta", MetaProtocol)
	if slices.Contains(sessionRevisions, version) {
		return ""
	}
	return version
}

// revisions are those that a client of the front can speak, the newest first.
func (f *front) revisions() []string {
	if f.single || f.opts.Stateless == nil {
		return sessionRevisions
	}
	return append(slices.Clone(modernRevisions), sessionRevisions...)
}

// refuseVersion answers a message of a revision that is not spoken here.
// Clients that speak another one too find it in the list.
func (f *front) refuseVersion(w http.ResponseWriter, id ID, requested string) {
	refuse(w, http.StatusBadRequest, versionError(id, requested, f.revisions()))
}

func versionError(id ID, requested string, supported []string) Frame {
	return NewError(id, codeVersion, "Unsupported protocol version", struct {
		Supported []string `json:"supported"`
		Requested string   `json:"requested"`
	}{supported, requested})
}
