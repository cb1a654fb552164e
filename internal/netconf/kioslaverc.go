package netconf

import (
	"errors"
	"fmt"
	"strings"
)

// parseKioslaverc reads KDE's proxy settings: the group [Proxy Settings] of the
// files kioslaverc, the later one over those before. An address is written as
// "http://host port" or "http://host:port".
func parseKioslaverc(texts ...string) (System, error) {
	values := map[string]string{}
	for _, text := range texts {
		inside := false
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "[") {
				inside = strings.HasPrefix(line, "[Proxy Settings]")
				continue
			}
			key, value, ok := strings.Cut(line, "=")
			if !inside || !ok || strings.HasPrefix(line, "#") {
				continue
			}
			key, _, _ = strings.Cut(key, "[$") // [$i] and [$e]: locked, expanded
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	s := System{Source: "the KDE proxy settings"}
	switch values["ProxyType"] { // KProtocolManager::ProxyType
	case "1":
	case "2":
		s.PAC = values["Proxy Config Script"]
		return s, nil
	case "3":
		s.PAC = wpad
		return s, nil
	default: // none, or the proxy variables, which were looked at already
		return System{}, nil
	}
	if values["ReversedException"] == "true" {
		return System{}, errors.New("reading the KDE proxy settings: their exceptions are reversed, which mcpctl does not do: use --proxy")
	}
	for key, into := range map[string]*string{"httpProxy": &s.HTTP, "httpsProxy": &s.HTTPS, "socksProxy": &s.SOCKS} {
		host, port, _ := strings.Cut(values[key], " ")
		if *into = hostPort(host, strings.TrimSpace(port)); *into == "" {
			continue
		}
		if _, err := parseProxy(*into); err != nil {
			return System{}, fmt.Errorf("reading the KDE proxy settings: %w", err)
		}
	}
	for _, entry := range strings.Split(values["NoProxyFor"], ",") {
		switch entry = strings.TrimSpace(entry); {
		case entry == "":
		case entry == "<local>":
			s.BypassSimple = true
		default:
			s.Bypass = append(s.Bypass, withSubdomains(entry)...)
		}
	}
	return s, nil
}
