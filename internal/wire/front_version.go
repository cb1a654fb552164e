package wire

import (
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
