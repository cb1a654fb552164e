package cmd

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// run is mcpctl with these arguments, without a process of its own.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, faults bytes.Buffer
	code = Main(t.Context(), args, Deps{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &faults,
		Getenv:     func(string) string { return "" },
		Executable: func() (string, error) { return "/usr/bin/mcpctl", nil },
		Now:        time.Now,
	})
	return code, out.String(), faults.String()
}

// everyCommand calls f for each command that a person can see, with the words
// that call it.
func everyCommand(t *testing.T, f func(t *testing.T, c *cobra.Command, words []string)) {
	t.Helper()
	root := newRoot(Deps{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard})
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		words := strings.Fields(c.CommandPath())[1:]
		t.Run(strings.Join(append([]string{"mcpctl"}, words...), "-"), func(t *testing.T) { f(t, c, words) })
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				visit(sub)
			}
		}
	}
	visit(root)
}

// The help of each command is kept in testdata/help, so that a change of what
// people can type is seen in review. -update rewrites it.
func TestHelpIsAsReviewed(t *testing.T) {
	seen := map[string]bool{}
	everyCommand(t, func(t *testing.T, _ *cobra.Command, words []string) {
		code, stdout, stderr := run(t, append(words, "--help")...)
		if code != 0 || stderr != "" {
			t.Fatalf("exit code %d, stderr %q", code, stderr)
		}
		for i, line := range strings.Split(stdout, "\n") {
			if strings.HasSuffix(line, " ") {
				t.Errorf("line %d ends in a space: %q", i+1, line)
			}
		}
		if len(words) > 0 && words[0] == "completion" {
			return // cobra's own words
		}
		name := strings.Join(append([]string{"mcpctl"}, words...), "-") + ".txt"
		seen[name] = true
		golden(t, filepath.Join("testdata", "help", name), stdout)
	})
	entries, err := os.ReadDir(filepath.Join("testdata", "help"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !seen[entry.Name()] {
			t.Errorf("testdata/help/%s is about no command", entry.Name())
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (write it with -update)", err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("the help differs from %s (look at it, then write it with -update):\n%s", file, got)
	}
}

func TestEveryCommandHasAnExampleThatItUnderstands(t *testing.T) {
	everyCommand(t, func(t *testing.T, c *cobra.Command, words []string) {
		if len(words) == 0 || words[0] == "completion" {
			return
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("the short text %q should be a phrase", c.Short)
		}
		if !strings.Contains(c.Example, "mcpctl "+strings.Join(words, " ")) {
			t.Fatalf("the example does not show the command: %q", c.Example)
		}
		// Flags in examples have to exist.
		for _, word := range strings.Fields(c.Example) {
			name, isFlag := strings.CutPrefix(word, "--")
			if !isFlag || name == "" || strings.Contains(c.Example, "-- ") && strings.HasSuffix(word, "--") {
				continue
			}
			if c.Flags().Lookup(name) == nil {
				t.Errorf("the example shows %s, which there is not", word)
			}
		}
	})
}

// Help shows what a flag wants by a word for it, not by the type of a variable.
func TestFlagsNameTheirValues(t *testing.T) {
	everyCommand(t, func(t *testing.T, c *cobra.Command, _ []string) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if name, _ := pflag.UnquoteUsage(f); slices.Contains([]string{"string", "strings", "stringArray", "int", "duration"}, name) {
				t.Errorf("--%s wants a %q: name the value in its usage, in back quotes", f.Name, name)
			}
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("--%s: the usage %q should be a phrase", f.Name, f.Usage)
			}
		})
	})
}

// Each command is used in a script as people use it, and on a narrow terminal
// where it shows something there.
func TestEveryCommandHasScripts(t *testing.T) {
	var all, narrow strings.Builder
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		into := &all
		if filepath.Base(file) == "narrow.txtar" {
			into = &narrow
		}
		into.Write(data)
	}
	// These speak with programs, show what a server says as it is, or run until
	// they are interrupted; some have tests of their own on terminals.
	elsewhere := []string{"bridge", "serve", "login", "token", "call", "completion"}
	// The scripts' own commands that stand for one of mcpctl's.
	standsFor := map[string]string{"login": "signin ", "bridge": "rpc ", "serve": "serve "}
	everyCommand(t, func(t *testing.T, c *cobra.Command, words []string) {
		if len(words) == 0 {
			return
		}
		name := strings.Join(words, " ")
		if !strings.Contains(all.String(), " mcpctl "+name) && !strings.Contains(all.String(), "\n"+standsFor[name]) {
			t.Errorf("no script uses mcpctl %s", name)
		}
		if !slices.Contains(elsewhere, words[0]) && !strings.Contains(narrow.String(), " "+name) && c.Runnable() {
			t.Errorf("narrow.txtar does not show mcpctl %s", name)
		}
	})
}
