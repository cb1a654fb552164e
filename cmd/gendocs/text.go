package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A block is a paragraph of a command's description, or lines whose layout
// counts.
type block struct {
	verbatim bool
	text     string // lines, without one at the end
}

// blocks splits a description as commands write it: paragraphs are separated by
// empty lines, and columns show that a paragraph is a table.
func blocks(text string) []block {
	var list []block
	for part := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		part = strings.Trim(part, "\n")
		verbatim := strings.Contains(part, "  ") || strings.Contains(part, "\t")
		if n := len(list); verbatim && n > 0 && list[n-1].verbatim {
			list[n-1].text += "\n\n" + part
			continue
		}
		list = append(list, block{verbatim, part})
	}
	for i, b := range list {
		if b.verbatim {
			list[i].text = dedent(b.text)
		}
	}
	return list
}

// dedent takes away the blanks that all lines begin with.
func dedent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	indent := -1
	for _, line := range lines {
		if rest := strings.TrimLeft(line, " "); rest != "" && (indent < 0 || len(line)-len(rest) < indent) {
			indent = len(line) - len(rest)
		}
	}
	for i, line := range lines {
		lines[i] = strings.TrimRight(line[min(max(indent, 0), len(line)):], " ")
	}
	return strings.Join(lines, "\n")
}

// description is a command's long text, or its short one.
func description(c *cobra.Command) string {
	if c.Long != "" {
		return c.Long
	}
	return c.Short + "."
}

// A flagLine is one flag as the reference shows it.
type flagLine struct{ name, usage string }

// flagLines lists a command's own flags and those that it takes from above.
func flagLines(c *cobra.Command) []flagLine {
	var list []flagLine
	c.InitDefaultHelpFlag()
	add := func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "0s" && d != "[]" {
			usage += " (default " + d + ")"
		}
		list = append(list, flagLine{name, usage})
	}
	c.NonInheritedFlags().VisitAll(add)
	c.InheritedFlags().VisitAll(add)
	return list
}

// exitCodes are those of every command.
var exitCodes = [][2]string{
	{"0", "Done."},
	{"1", "It failed; standard error says why and what to do."},
	{"2", "The command line or the configuration can't be understood."},
	{"4", "A person has to sign in: mcpctl login URL."},
	{"130", "It was interrupted."},
}

// variables are those of the environment that commands read on their own behalf.
var variables = [][2]string{
	{"MCPCTL_CONFIG_DIR", "The folder of profiles, tokens and logs, instead of the user's configuration folder."},
	{"NO_COLOR", "Set to anything: no colours."},
	{"HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY", "The proxy to connect through, and hosts that need none, where neither flags nor the profile name one."},
	{"NODE_EXTRA_CA_CERTS", "A file of certificate authorities to trust besides those of the system."},
	{"SSL_CERT_FILE", "The same on Windows and macOS; elsewhere it is instead of those of the system."},
	{"BROWSER", "The command that opens a page to sign in at, instead of the system's."},
	{"XDG_CONFIG_HOME", "On Linux the user's configuration folder, instead of ~/.config."},
}
