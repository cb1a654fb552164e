package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/cmd"
)

func TestReferenceIsCurrent(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "commands")
	want := reference(cmd.Tree())
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), content) {
			t.Errorf("docs/commands/%s is not what the commands say. Run: make docs", name)
		}
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range there {
		if _, ok := want[entry.Name()]; !ok {
			t.Errorf("docs/commands/%s describes no command. Run: make docs", entry.Name())
		}
	}
}

// sample is a command with all that is hard to write.
func sample() *cobra.Command {
	root := &cobra.Command{Use: "tool", Short: "Do things", Long: "Paragraph with a_b and <c>.\n\n  one   table\n  two   row\n\nLast."}
	root.AddGroup(&cobra.Group{ID: "g", Title: "Group:"})
	sub := &cobra.Command{
		Use: "sub a|b", Short: "Do a | b", GroupID: "g", Run: func(*cobra.Command, []string) {},
		Example: "  tool sub a\n\n    # deeper\n    tool sub b",
		Long:    ".dotted line\n'quoted and \\escaped",
	}
	sub.Flags().String("mode", "x", "`a|b` of *it*")
	sub.Flags().Bool("secret", false, "not shown")
	_ = sub.Flags().MarkHidden("secret")
	hidden := &cobra.Command{Use: "hidden", Hidden: true, Run: func(*cobra.Command, []string) {}}
	root.AddCommand(sub, hidden)
	return root
}

func TestMarkdownReadsNothingIntoTexts(t *testing.T) {
	files := reference(sample())
	if names := slices.Sorted(maps.Keys(files)); !slices.Equal(names, []string{"README.md", "sub.md"}) {
		t.Fatalf("pages %q", names)
	}
	for _, c := range []struct{ page, want string }{
		{"README.md", `Paragraph with a\_b and \<c>.`},
		{"README.md", "```text\none   table\ntwo   row\n```\n\nLast."},
		{"README.md", `| [tool sub](sub.md) | Do a \| b |`},
		{"sub.md", "| `--mode a\\|b` | a\\|b of \\*it\\* (default x) |"},
		{"sub.md", "```sh\ntool sub a\n\n  # deeper\n  tool sub b\n```"},
		{"sub.md", "```\ntool sub a|b [flags]\n```"},
	} {
		if !strings.Contains(string(files[c.page]), c.want) {
			t.Errorf("%s lacks %q:\n%s", c.page, c.want, files[c.page])
		}
	}
	if strings.Contains(string(files["sub.md"]), "secret") {
		t.Error("a hidden flag is shown")
	}
}

func TestManPageReadsNothingIntoTexts(t *testing.T) {
	root := sample()
	e := edition{"1.2.3", time.Date(2026, 1, 2, 23, 0, 0, 0, time.FixedZone("", -7200))}
	text := manPage(commands(root)[1], e)
	for _, want := range []string{
		".TH \"TOOL-SUB\" 1 \"2026-01-03\" \"mcpctl 1.2.3\"", "tool\\-sub \\- Do a | b", "\\&.dotted line\n\\&'quoted and \\eescaped",
		".B \\-\\-mode a|b\n", ".BR tool (1)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
}

// TestManPages looks at the pages of the real commands: compressed alike every
// time, and every request one of man(7).
func TestManPages(t *testing.T) {
	e := edition{version: "1.2.3"}
	pages, err := manPages(cmd.Tree(), e)
	if err != nil {
		t.Fatal(err)
	}
	again, err := manPages(cmd.Tree(), e)
	if err != nil {
		t.Fatal(err)
	}
	requests := []string{".TH", ".SH", ".PP", ".TP", ".B", ".BR", ".RS", ".RE", ".nf", ".fi", ".nh", ".ad"}
	for _, name := range []string{"mcpctl.1.gz", "mcpctl-bridge.1.gz", "mcpctl-completion-bash.1.gz"} {
		if pages[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	for name, data := range pages {
		if !bytes.Equal(data, again[name]) {
			t.Errorf("%s differs from one time to the next", name)
		}
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if request, _, _ := strings.Cut(line, " "); strings.HasPrefix(line, ".") && !slices.Contains(requests, request) {
				t.Errorf("%s: %q is no request of man(7)", name, line)
			}
		}
	}
}

func TestCompletionsAreScripts(t *testing.T) {
	scripts, err := completionScripts(cmd.Tree())
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("bash", "-n")
	c.Stdin = bytes.NewReader(scripts["mcpctl.bash"])
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("bash does not understand its completions: %v\n%s", err, out)
	}
	if !bytes.HasPrefix(scripts["_mcpctl"], []byte("#compdef mcpctl")) {
		t.Error("zsh would not take _mcpctl for completions of mcpctl")
	}
	if !bytes.Contains(scripts["mcpctl.fish"], []byte("complete -c mcpctl")) {
		t.Error("fish would not take mcpctl.fish for completions of mcpctl")
	}
}

func TestReplaceFolderLeavesNothingOld(t *testing.T) {
	dir := t.TempDir()
	for _, files := range []map[string][]byte{{"a": []byte("1"), "b": []byte("1")}, {"b": []byte("2")}} {
		if err := replaceFolder(dir, files); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(filepath.Join(dir, "b")); len(entries) != 1 || err != nil || string(content) != "2" {
		t.Errorf("entries %v, b %q, %v", entries, content, err)
	}
}
