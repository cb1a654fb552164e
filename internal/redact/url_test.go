package redact

import "testing"

func TestURL(t *testing.T) {
	for address, want := range map[string]string{
		"https://mcp.example.com/mcp":               "https://mcp.example.com/mcp",
		"https://mcp.example.com":                   "https://mcp.example.com",
		"https://mcp.example.com/a%2Fb/@c":          "https://mcp.example.com/a%2Fb/@c",
		"https://mcp.example.com/mcp?key=SECRET":    "https://mcp.example.com/mcp?…",
		"https://mcp.example.com/mcp?":              "https://mcp.example.com/mcp",
		"https://mcp.example.com/mcp#SECRET":        "https://mcp.example.com/mcp",
		"https://me:SECRET@mcp.example.com/?a=1#b":  "https://mcp.example.com/?…",
		"https://SECRET@mcp.example.com":            "https://mcp.example.com",
		"http://[::1]:8080/mcp?k=SECRET":            "http://[::1]:8080/mcp?…",
		"https://me:SEC/RET@mcp.example.com/mcp?k=": "…@mcp.example.com/mcp?…",
		"https://me:SEC?RET@mcp.example.com":        "…@mcp.example.com",
		"me:SECRET@mcp.example.com":                 "…@mcp.example.com",
		"mcp.example.com/mcp?key=SECRET":            "mcp.example.com/mcp?…",
		"https://%zz/mcp?key=SECRET#SECRET":         "https://%zz/mcp?…",
		"":                                          "",
	} {
		if got := URL(address); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}
