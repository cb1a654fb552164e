package netconf

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// System is the proxy settings of an operating system.
type System struct {
	Source string // where they were read, for people
	// HTTP, HTTPS and SOCKS are addresses of proxies for plain http, for https
	// and for all that the others leave; "" is none.
	HTTP, HTTPS, SOCKS string
	// Bypass lists whom to connect to directly: names and addresses with * for
	// anything, and blocks of addresses such as 10.0.0.0/8 or 169.254/16.
	Bypass []string
	// BypassSimple connects directly to names without a dot.
	BypassSimple bool
	// PAC is the address of a proxy script, which is not run.
	PAC string
}

// For returns the proxy for requests to u, or nil.
func (s System) For(u *url.URL) (*url.URL, error) {
	raw := s.HTTPS
	if u.Scheme == "http" {
		raw = s.HTTP
	}
	if raw == "" && s.SOCKS != "" {
		raw = s.SOCKS
		if !strings.Contains(raw, "://") {
			raw = "socks5://" + raw
		}
	}
	if raw == "" || s.bypasses(u) {
		return nil, nil
	}
	return parseProxy(raw)
}

func (s System) bypasses(u *url.URL) bool {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if isLoopback(host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if s.BypassSimple && err != nil && !strings.Contains(host, ".") {
		return true
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	for _, rule := range s.Bypass {
		if matches(strings.ToLower(strings.TrimSpace(rule)), host, port, ip.Unmap()) {
			return true
		}
	}
	return false
}

// matches tells whether one entry of a bypass list is about the host; ip is the
// zero Addr for a name.
func matches(rule, host, port string, ip netip.Addr) bool {
	if _, rest, ok := strings.Cut(rule, "://"); ok {
		rule = rest
	}
	if block, ok := parseBlock(rule); ok {
		return ip.IsValid() && block.Contains(ip)
	}
	rule = strings.TrimSuffix(rule, "/")
	if i := strings.LastIndexByte(rule, ':'); i >= 0 && !strings.Contains(rule[:i], ":") || strings.HasPrefix(rule, "[") && i > strings.IndexByte(rule, ']') {
		if _, err := strconv.ParseUint(rule[i+1:], 10, 16); err == nil {
			if rule[i+1:] != port {
				return false
			}
			rule = rule[:i]
		}
	}
	rule = strings.Trim(rule, "[]")
	if strings.HasPrefix(rule, ".") {
		rule = "*" + rule
	}
	if want, err := netip.ParseAddr(rule); err == nil {
		return want.Unmap() == ip
	}
	return rule != "" && glob(rule, host)
}

// parseBlock reads a block of addresses; macOS leaves out zero bytes at the end
// of one, as in 169.254/16.
func parseBlock(rule string) (netip.Prefix, bool) {
	address, bits, ok := strings.Cut(rule, "/")
	if !ok || bits == "" {
		return netip.Prefix{}, false
	}
	if !strings.Contains(address, ":") {
		for strings.Count(address, ".") < 3 {
			address += ".0"
		}
	}
	p, err := netip.ParsePrefix(strings.Trim(address, "[]") + "/" + bits)
	return p.Masked(), err == nil
}

// glob matches s with a pattern in which * is any text, in linear time.
func glob(pattern, s string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	for {
		part, more, again := strings.Cut(rest, "*")
		if !again {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], more
	}
}
