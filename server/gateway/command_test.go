package gateway

import (
	"slices"
	"testing"
)

func TestChildEnv(t *testing.T) {
	own := []string{"PATH=/bin", "HOME=/root", "LC_ALL=C", "AWS_SECRET_ACCESS_KEY=s", "MCPCTL_TOKEN=t", "PATHOLOGY=x", "LD_PRELOAD=y", "Path=z", "EMPTY"}
	got := childEnv(own, map[string]string{"PATH": "/usr/bin", "KEY": "value"})
	slices.Sort(got)
	want := []string{"HOME=/root", "KEY=value", "LC_ALL=C", "PATH=/bin", "PATH=/usr/bin", "Path=z"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// Of two values the last counts (os/exec.Cmd.Env).
	env := childEnv(own, map[string]string{"PATH": "/usr/bin"})
	if env[len(env)-1] != "PATH=/usr/bin" {
		t.Errorf("the configured value is not the last: %q", env)
	}
}
