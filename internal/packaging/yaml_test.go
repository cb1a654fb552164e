package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
)

// readYAML decodes a file of the repository into v; keys that v lacks are passed
// over.
func readYAML(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repo, filepath.FromSlash(path)))
	must(t, err)
	if err := yaml.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// TestEveryYAMLParses covers what no other test looks into.
func TestEveryYAMLParses(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(repo, "examples", "*", "*.yaml"))
	must(t, err)
	if len(files) < 10 {
		t.Fatalf("only %d files", len(files))
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(t, err)
		if _, err := parser.ParseBytes(data, 0); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if strings.Contains(string(data), "\t") {
			t.Errorf("%s has tabs", file)
		}
	}
}
