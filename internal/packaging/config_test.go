package packaging

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/server"
)

// readConfig reads the configuration of an example as mcpctl serve does. Files
// of the machine that it is meant for are made.
func readConfig(t *testing.T, path string) server.Config {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repo, filepath.FromSlash(path)))
	must(t, err)
	dir := filepath.ToSlash(t.TempDir())
	text := string(data)
	for _, file := range []string{"/var/run/secrets/azure/tokens/azure-identity-token", "/run/secrets/client-secret", "/var/log/mcpctl/audit.jsonl"} {
		if strings.Contains(text, file) {
			text = strings.ReplaceAll(text, file, dir+file)
			must(t, writeFile(dir+file, []byte("value"), 0o600))
		}
	}
	config := filepath.Join(dir, "mcpctl.yaml")
	must(t, os.WriteFile(config, []byte(text), 0o600))
	cfg, err := server.ReadConfig(config)
	if err != nil {
		t.Fatalf("%s is refused: %v", path, err)
	}
	return cfg
}

func publicHost(t *testing.T, cfg server.Config) string {
	t.Helper()
	u, err := url.Parse(cfg.PublicURL)
	must(t, err)
	return u.Host
}

// port is that of an address to listen on.
func port(t *testing.T, address string) string {
	t.Helper()
	at := strings.LastIndexByte(address, ':')
	if at < 0 {
		t.Fatalf("%q names no port", address)
	}
	return address[at+1:]
}
