package packaging

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestContainerImage reads the Dockerfile: there is no container engine in the
// tests.
func TestContainerImage(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(repo, "examples", "container", "Dockerfile"))
	must(t, err)
	said := map[string][]string{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		instruction, rest, _ := strings.Cut(line, " ")
		said[instruction] = append(said[instruction], strings.TrimSpace(rest))
	}
	for instruction := range said {
		// No RUN: the image has no shell, and building it for another processor needs no emulation.
		if !slices.Contains([]string{"ARG", "FROM", "COPY", "USER", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"}, instruction) {
			t.Errorf("%s has no place in this image", instruction)
		}
	}
	if user := said["USER"]; len(user) != 1 || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user[0]) {
		t.Errorf("the user is %q: Kubernetes takes no name for proof that it isn't root", user)
	}
	if base := said["ARG"][0]; !strings.HasPrefix(base, "BASE=gcr.io/distroless/static-") || !strings.HasSuffix(base, ":nonroot") {
		t.Errorf("the base is %q", base)
	}
	if got := said["COPY"]; len(got) != 1 || got[0] != "--chmod=0755 ${TARGETPLATFORM}/mcpctl /usr/bin/mcpctl" {
		t.Errorf("COPY %q", got)
	}
	var entrypoint, arguments []string
	must(t, json.Unmarshal([]byte(said["ENTRYPOINT"][0]), &entrypoint))
	must(t, json.Unmarshal([]byte(said["CMD"][0]), &arguments))
	if !slices.Equal(entrypoint, []string{"/usr/bin/mcpctl"}) || !slices.Equal(arguments, []string{"serve", "--config", "/etc/mcpctl/mcpctl.yaml"}) {
		t.Errorf("it starts %q %q", entrypoint, arguments)
	}
}
