package packaging

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

type composeService struct {
	Image           string
	Command         []string
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	NetworkMode     string   `yaml:"network_mode"`
	Networks        []string
	Volumes         []string
	Ports           []string
	Secrets         []string
	StopGracePeriod string `yaml:"stop_grace_period"`
	Restart         string
}

type composeFile struct {
	Name     string
	Services map[string]composeService
	Networks map[string]struct {
		IPAM struct {
			Config []struct{ Subnet string }
		} `yaml:"ipam"`
	}
	Volumes map[string]any
	Secrets map[string]struct{ File string }
}

func TestCompose(t *testing.T) {
	cfg := readConfig(t, "examples/compose/mcpctl.yaml")
	data, err := os.ReadFile(filepath.Join(repo, "examples", "compose", "compose.yaml"))
	must(t, err)
	var file composeFile
	if err := yaml.UnmarshalWithOptions(data, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	gateway, upstream, proxy := file.Services["mcpctl"], file.Services["mcp-server"], file.Services["caddy"]
	for name, s := range map[string]composeService{"mcpctl": gateway, "mcp-server": upstream} {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may do more than it needs: %+v", name, s)
		}
		if len(s.Ports) > 0 {
			t.Errorf("%s can be reached past the proxy: %v", name, s.Ports)
		}
	}
	if upstream.NetworkMode != "service:mcpctl" || !strings.HasPrefix(cfg.Upstreams[0].URL, "http://127.0.0.1:") {
		t.Errorf("the upstream at %s is in the network %q", cfg.Upstreams[0].URL, upstream.NetworkMode)
	}
	if !slices.Contains(proxy.Command, "mcpctl:"+port(t, cfg.Listen)) || !slices.Contains(proxy.Command, "${PUBLIC_HOST:-"+publicHost(t, cfg)+"}") {
		t.Errorf("the proxy leads from and to %v", proxy.Command)
	}
	if got := file.Networks["front"].IPAM.Config[0].Subnet; !slices.Equal(cfg.TrustedProxies, []string{got}) {
		t.Errorf("the proxy is in %s, believed are %v", got, cfg.TrustedProxies)
	}
	// What the configuration's drain_timeout is by default.
	if grace, err := time.ParseDuration(gateway.StopGracePeriod); err != nil || grace <= 10*time.Second+cfg.DrainDelay {
		t.Errorf("the server is killed after %v (%v)", grace, err)
	}
	for _, s := range gateway.Secrets {
		if _, ok := file.Secrets[s]; !ok {
			t.Errorf("there is no secret %s", s)
		}
	}
}
