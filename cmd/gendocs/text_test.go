package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestExitCodesAndVariablesAreComplete reads the program's source for the exit
// codes that it has and the variables that it reads.
func TestExitCodesAndVariablesAreComplete(t *testing.T) {
	// They say what kind of session this is; nobody sets them for mcpctl.
	session := []string{"CODESPACES", "DISPLAY", "PATH", "SSH_CONNECTION", "SSH_TTY", "TERM", "WAYLAND_DISPLAY"}
	code := regexp.MustCompile(`(?m)^\s*exit[A-Z]\w*\s*= (\d+)`)
	variable := regexp.MustCompile(`"(MCPCTL_[A-Z_]+)"|(?:Getenv|LookupEnv)\("([A-Z_]+)"\)`)
	inCode, inText := map[string]bool{}, map[string]bool{}
	for _, text := range sources(t) {
		for _, m := range code.FindAllStringSubmatch(text, -1) {
			inCode[m[1]] = true
		}
		for _, m := range variable.FindAllStringSubmatch(text, -1) {
			if name := m[1] + m[2]; !slices.Contains(session, name) {
				inCode[name] = true
			}
		}
	}
	for _, entry := range slices.Concat(exitCodes, variables) {
		for name := range strings.SplitSeq(entry[0], ", ") {
			inText[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(inCode)) {
		if !inText[name] {
			t.Errorf("the reference lacks %s: add it to text.go", name)
		}
	}
	if len(inCode) < 8 {
		t.Errorf("only these were found: %v", inCode)
	}
	// What is read by names in variables can only be looked for by its name.
	all := strings.Join(sources(t), "")
	for _, name := range slices.Sorted(maps.Keys(inText)) {
		if !inCode[name] && !strings.Contains(all, `"`+name+`"`) {
			t.Errorf("nothing has to do with %s", name)
		}
	}
}

// sources are the files of the program, tests and the samples of cmd/gendocs
// aside.
func sources(t *testing.T) []string {
	t.Helper()
	var texts []string
	for _, dir := range []string{"bridge", "cmd", "internal", "server", "tokencache"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "text.go" {
				return err
			}
			data, err := os.ReadFile(path)
			texts = append(texts, string(data))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return texts
}
