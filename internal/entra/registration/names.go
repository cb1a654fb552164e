package registration

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"
)

const (
	maxName = 100 // of the 120 characters that a name may have, some are for " (client)"
	maxKey  = 100
)

// defaultKey makes a unique name from the public URL: its host and path.
func defaultKey(publicURL string) string {
	u, err := url.Parse(publicURL)
	if err != nil || u.Host == "" {
		return ""
	}
	key := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '.', r == '-':
			return r
		}
		return '-'
	}, strings.ToLower("mcpctl-"+u.Host+u.Path))
	return strings.Trim(key[:min(len(key), maxKey)], "-.")
}

func defaultName(publicURL string) string {
	u, err := url.Parse(publicURL)
	if err != nil || u.Host == "" {
		return ""
	}
	host := u.Host
	return "MCP server " + host[:min(len(host), maxName-len("MCP server "))]
}

// guidFor is the id of a part of a registration. It depends on nothing but the
// registration's key and the part's kind and name, so that writing the files
// anew, or running script and Bicep in turn, leaves ids as they are (RFC 9562
// section 5.8).
func guidFor(key, kind, name string) string {
	sum := sha256.Sum256([]byte("mcpctl registration\x00" + key + "\x00" + kind + "\x00" + name))
	b := sum[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
