package profile

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/netconf"
)

func TestNetworkIsKept(t *testing.T) {
	s := Open(t.TempDir(), nil)
	n := Network{Proxy: "http://proxy:8080", NoProxy: ".contoso.com", CAFiles: []string{"/a/ca.pem"}, ClientCert: "/a/c.pem", ClientKey: "/a/k.pem", ClientPassword: "/a/pw"}
	if _, err := s.Save(Profile{URL: "https://a.example/mcp", Network: n}); err != nil {
		t.Fatal(err)
	}
	p, err := s.Load("https://a.example/mcp")
	if err != nil || !reflect.DeepEqual(p.Network, n) {
		t.Errorf("got %+v, %v", p.Network, err)
	}
	if got := Network(netconf.Settings(p.Network)); !reflect.DeepEqual(got, n) {
		t.Errorf("converted: %+v", got)
	}
}

// A profile never holds a secret, and a file that does is not one of ours.
func TestNetworkTakesNoPassword(t *testing.T) {
	_, err := Open(t.TempDir(), nil).Save(Profile{URL: "https://a.example/mcp", Network: Network{Proxy: "http://u:hunter2@proxy:1"}})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestLogPath(t *testing.T) {
	seen := map[string]bool{}
	for url, prefix := range map[string]string{
		"https://MCP.example.com/mcp":                              "mcp.example.com-",
		"https://mcp.example.com/MCP":                              "mcp.example.com-",
		"http://[::1]:8080/mcp":                                    "___1__8080-",
		"https://a.example?key=hunter2":                            "a.example-",
		"https://" + strings.Repeat("long.", 40) + "example.com/x": "long.long.",
	} {
		path, err := LogPath("dir", url)
		name := filepath.Base(path)
		if err != nil || !strings.HasPrefix(name, prefix) || filepath.Dir(path) != filepath.Join("dir", "logs") || len(name) > 100 || seen[name] {
			t.Errorf("%s: got %s, %v", url, path, err)
		}
		seen[name] = true
	}
	if _, err := LogPath("dir", "not an address"); err == nil {
		t.Error("no error for what is no address")
	}
}
