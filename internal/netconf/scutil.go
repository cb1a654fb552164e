package netconf

import (
	"net"
	"strings"
)

// parseScutil reads what "scutil --proxy" prints on macOS: a dictionary whose
// keys are those of SCDynamicStoreCopyProxies. The settings of single network
// interfaces, in dictionaries inside, are left out.
func parseScutil(text string) System {
	values, lists := map[string]string{}, map[string][]string{}
	depth, list := 0, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, " : ")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case strings.HasSuffix(line, "{"):
			depth++
			if depth == 2 && strings.HasPrefix(value, "<array>") {
				list = key
			}
		case line == "}":
			depth--
			list = ""
		case depth == 1 && value != "":
			values[key] = value
		case depth == 2 && list != "" && value != "":
			lists[list] = append(lists[list], value)
		}
	}
	address := func(protocol string) string {
		host, port := values[protocol+"Proxy"], values[protocol+"Port"]
		switch {
		case values[protocol+"Enable"] != "1" || host == "":
			return ""
		case port == "" || port == "0":
			return host
		}
		return net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	s := System{
		Source: "the macOS proxy settings",
		HTTP:   address("HTTP"), HTTPS: address("HTTPS"), SOCKS: address("SOCKS"),
		Bypass: lists["ExceptionsList"], BypassSimple: values["ExcludeSimpleHostnames"] == "1",
	}
	if values["ProxyAutoConfigEnable"] == "1" {
		s.PAC = values["ProxyAutoConfigURLString"]
	}
	if values["ProxyAutoDiscoveryEnable"] == "1" && s.PAC == "" {
		s.PAC = wpad
	}
	return s
}
