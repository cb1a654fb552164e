package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// maxName bounds the names that clients see. MCP allows 128 characters (2025-11-25
// server/tools, Tool Names); what clients pass tools on to often takes 64 (as
// SEP-986 first had it).
const maxName = 64

// outward is the name that clients see. Too long a name is cut and ends with a
// part of its hash; the aggregate remembers what it stands for.
func (a *Aggregate) outward(m *member, name string) string {
	full := m.name + aggregateSeparator + name
	if len(full) <= maxName {
		return full
	}
	sum := sha256.Sum256([]byte(name))
	tail := "_" + hex.EncodeToString(sum[:4])
	cut := strings.ToValidUTF8(full[:maxName-len(tail)], "") + tail
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.aliases) >= maxAliases {
		clear(a.aliases) // the next list brings back those in use
	}
	a.aliases[cut] = name
	return cut
}

// inward finds the upstream that a name belongs to and what it is called there.
func (a *Aggregate) inward(name string) (*member, string, error) {
	prefix, rest, ok := strings.Cut(name, aggregateSeparator)
	m := a.byName[prefix]
	if !ok || m == nil {
		return nil, "", fmt.Errorf("unknown name %.100q: names here are UPSTREAM%sNAME, where UPSTREAM is one of %s", name, aggregateSeparator, a.names())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if original, short := a.aliases[name]; short {
		return m, original, nil
	}
	return m, rest, nil
}
