package netconf

import (
	"fmt"
	"strings"
)

// winINET is what the registry key "Internet Settings" holds (WinINet, option
// INTERNET_OPTION_PER_CONNECTION_OPTION).
type winINET struct {
	enabled  bool   // ProxyEnable
	server   string // ProxyServer
	override string // ProxyOverride
	script   string // AutoConfigURL
}

// system reads the registry's notation: one "host:port" for all, or
// "http=host:port;https=host:port;socks=host:port", where an address may begin
// with its scheme.
func (w winINET) system() (System, error) {
	s := System{Source: "the Windows proxy settings", PAC: strings.TrimSpace(w.script)}
	if !w.enabled {
		return s, nil
	}
	for _, entry := range fields(w.server) {
		protocol, address, named := strings.Cut(entry, "=")
		if !named {
			protocol, address = "", entry
		}
		address = strings.TrimSuffix(address, "/")
		if address == "" {
			continue
		}
		if _, err := parseProxy(address); err != nil {
			return s, fmt.Errorf("reading the Windows proxy settings: %w", err)
		}
		switch strings.ToLower(protocol) {
		case "":
			s.HTTP, s.HTTPS = address, address
		case "http":
			s.HTTP = address
		case "https":
			s.HTTPS = address
		case "socks":
			s.SOCKS = address
		}
	}
	for _, entry := range fields(w.override) {
		if strings.EqualFold(entry, "<local>") {
			s.BypassSimple = true
		} else if !strings.HasPrefix(entry, "<") {
			s.Bypass = append(s.Bypass, entry)
		}
	}
	return s, nil
}

func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ';' || r == ' ' || r == '\t' || r == '\r' || r == '\n' })
}
