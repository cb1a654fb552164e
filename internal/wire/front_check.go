package wire

import (
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// admit makes the checks that every verb shares and answers where one fails.
func (f *front) admit(w http.ResponseWriter, r *http.Request) bool {
	if err := f.expect(w, r); err != nil {
		refuseErr(w, nil, err)
		return false
	}
	if f.opts.LoopbackHost && !loopbackHost(r.Host) {
		refuseText(w, http.StatusForbidden, CodeInvalidRequest, nil, "Forbidden: Host is not a loopback address")
		return false
	}
	if !f.originAllowed(r) {
		refuseText(w, http.StatusForbidden, CodeInvalidRequest, nil, "Forbidden: this Origin is not allowed")
		return false
	}
	return true
}

// originAllowed keeps web pages out that nobody listed (MCP 2025-11-25,
// basic/transports, "Security Warning").
func (f *front) originAllowed(r *http.Request) bool {
	origins, present := r.Header["Origin"]
	if !present {
		return true
	}
	if len(origins) != 1 {
		return false
	}
	if f.opts.CheckOrigin != nil {
		return f.opts.CheckOrigin(r, origins[0])
	}
	return slices.ContainsFunc(f.opts.AllowedOrigins, func(allowed string) bool {
		return allowed == "*" || strings.EqualFold(allowed, origins[0])
	})
}

// loopbackHost reports whether a Host header names this machine.
func loopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 §6.3
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// accepts reports whether an Accept header allows the media type (RFC 9110
// §12.5.1). No header at all allows everything.
func accepts(header []string, mediaType string) bool {
	if len(header) == 0 {
		return true
	}
	mainType, _, _ := strings.Cut(mediaType, "/")
	best, allowed := 0, false // the most specific range decides
	for _, line := range header {
		for part := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(part, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			specific := 0
			switch name {
			case mediaType:
				specific = 3
			case mainType + "/*":
				specific = 2
			case "*/*", "*": // the bare star is not in the RFC, but is sent
				specific = 1
			}
			if specific > 0 && specific >= best {
				ok := !zeroQuality(params)
				allowed = ok || allowed && specific == best
				best = specific
			}
		}
	}
	return allowed
}

// zeroQuality reports q=0: "not acceptable".
func zeroQuality(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return err == nil && q == 0
		}
	}
	return false
}

func isJSON(r *http.Request) bool {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return false
	}
	header := r.Header.Get("Content-Type")
	if header == "application/json" {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(header)
	return err == nil && mediaType == "application/json"
}
