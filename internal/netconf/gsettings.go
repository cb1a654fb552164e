package netconf

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// wpad stands for a proxy script that is looked for in the network: that is the
// address which the protocol of that name tries.
const wpad = "http://wpad/wpad.dat"

// parseGSettings reads what "gsettings list-recursively org.gnome.system.proxy"
// prints: a schema, a key and a value in GVariant's notation on each line. It
// takes them as GNOME's own resolver does (GProxyResolverGnome): https without a
// proxy of its own uses that for http, and SOCKS what is left. Nil is no proxy.
func parseGSettings(text string) (*System, error) {
	values := map[string]string{} // by "http.host"
	for line := range strings.Lines(text) {
		schema, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		key, value, _ := strings.Cut(rest, " ")
		if schema, ok := strings.CutPrefix(schema, "org.gnome.system.proxy"); ok {
			values[strings.TrimPrefix(schema+"."+key, ".")] = value
		}
	}
	word := func(key string) string {
		if words := quoted(values[key]); len(words) > 0 {
			return strings.TrimSpace(words[0])
		}
		return ""
	}
	s := &System{Source: "the GNOME proxy settings"}
	switch word("mode") {
	case "auto":
		if s.PAC = word("autoconfig-url"); s.PAC == "" {
			s.PAC = wpad
		}
		return s, nil
	case "manual":
	default:
		return nil, nil
	}
	address := func(protocol string) string { return hostPort(word(protocol+".host"), values[protocol+".port"]) }
	s.HTTP, s.HTTPS, s.SOCKS = address("http"), address("https"), address("socks")
	if s.HTTPS == "" {
		s.HTTPS = s.HTTP
	}
	if user := word("http.authentication-user"); s.HTTP != "" && values["http.use-authentication"] == "true" && user != "" {
		plain := s.HTTP
		s.HTTP = url.UserPassword(user, word("http.authentication-password")).String() + "@" + plain
		if s.HTTPS == plain {
			s.HTTPS = s.HTTP
		}
	}
	for _, host := range quoted(values["ignore-hosts"]) {
		s.Bypass = append(s.Bypass, withSubdomains(host)...)
	}
	for _, address := range []string{s.HTTP, s.HTTPS, s.SOCKS} {
		if address == "" {
			continue
		}
		if _, err := parseProxy(address); err != nil {
			return nil, fmt.Errorf("reading the GNOME proxy settings: %w", err)
		}
	}
	return s, nil
}

// withSubdomains returns the rules for an entry of ignore-hosts: example.com,
// .example.com and *.example.com all mean the name and what is below it
// (GSimpleProxyResolver).
func withSubdomains(entry string) []string {
	entry = strings.TrimSpace(entry)
	if _, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil || strings.ContainsAny(entry, "/[") {
		return []string{entry}
	}
	name := strings.TrimPrefix(strings.TrimPrefix(entry, "*"), ".")
	if name == "" {
		return []string{entry}
	}
	return []string{name, "*." + name}
}

// hostPort puts an address together. People type URLs where a host is asked for.
func hostPort(host, port string) string {
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host = rest
	}
	at := strings.LastIndexByte(host, '@') + 1
	user, host := host[:at], strings.Trim(strings.TrimRight(host[at:], "/"), "[]")
	if host == "" {
		return ""
	}
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil {
			return user + host // with a port of its own
		}
		host = "[" + host + "]"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
		host += ":" + strconv.FormatUint(n, 10)
	}
	return user + host
}

// quoted returns the strings in text, which is in GVariant's text format: a
// string, or an array of strings such as ['a', "it's"] or @as [].
func quoted(text string) []string {
	var found []string
	for {
		i := strings.IndexAny(text, `'"`)
		if i < 0 {
			return found
		}
		var word string
		word, text = unquote(text[i+1:], text[i])
		found = append(found, word)
	}
}

// unquote reads a string up to the quote that ends it, and returns what follows.
func unquote(text string, end byte) (word, rest string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == end:
			return b.String(), text[i+1:]
		case text[i] != '\\' || i+1 == len(text):
			b.WriteByte(text[i])
			continue
		}
		i++
		digits := map[byte]int{'u': 4, 'U': 8}[text[i]]
		if digits > 0 && i+digits < len(text) {
			if r, err := strconv.ParseInt(text[i+1:i+1+digits], 16, 32); err == nil {
				b.WriteRune(rune(r))
				i += digits
				continue
			}
		}
		if j := strings.IndexByte("abfnrtv", text[i]); j >= 0 {
			b.WriteByte("\a\b\f\n\r\t\v"[j])
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String(), ""
}
