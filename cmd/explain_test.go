package cmd

import (
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/catalogue"
)

// What the catalogue tells people to type has to be there.
func TestCatalogueNamesCommandsThatExist(t *testing.T) {
	root := newRoot(Deps{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard})
	command := regexp.MustCompile(`mcpctl ((?:[a-z]+ ?)+)`)
	flag := regexp.MustCompile(`--([a-z-]+)`)
	for _, e := range catalogue.All() {
		for _, text := range []string{e.Meaning, e.Fix} {
			for _, at := range command.FindAllStringSubmatchIndex(text, -1) {
				words := strings.Fields(text[at[2]:at[3]])
				c, _, err := root.Find(words)
				if err != nil || c == root {
					t.Errorf("%s names a command that is none: %q", e.Code, text[at[0]:])
					continue
				}
				rest := text[at[1]:]
				if end := strings.IndexAny(rest, ",;)"); end >= 0 {
					rest = rest[:end]
				}
				for _, m := range flag.FindAllStringSubmatch(rest, -1) {
					if c.Flags().Lookup(m[1]) == nil {
						t.Errorf("%s: %s has no flag --%s", e.Code, c.CommandPath(), m[1])
					}
				}
			}
		}
	}
}

func TestEveryEntryIsExplained(t *testing.T) {
	for _, e := range catalogue.All() {
		code, stdout, stderr := run(t, "explain", "--", e.Code)
		if code != 0 || stderr != "" || !strings.HasPrefix(stdout, e.Code+"  ") || !strings.Contains(stdout, "\n  Do ") || strings.Contains(stdout, "\x1b") {
			t.Errorf("%s: exit code %d, %s%s", e.Code, code, stdout, stderr)
		}
	}
}
