package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// An edition is what man pages show at their foot. It comes from the commit, so
// that the same commit gives the same bytes.
type edition struct {
	version string
	date    time.Time // left out when zero
}

// manPages returns a compressed page for each command: mcpctl.1.gz,
// mcpctl-login.1.gz and so on.
func manPages(root *cobra.Command, e edition) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, c := range commands(root) {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression) // as Debian's policy wants it; no name, no time
		if err != nil {
			return nil, err
		}
		if _, err := z.Write([]byte(manPage(c, e))); err != nil {
			return nil, err
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		files[manName(c)+".1.gz"] = b.Bytes()
	}
	return files, nil
}

// manName is the command's path joined by hyphens, as git-log(1) is.
func manName(c *cobra.Command) string {
	return strings.ReplaceAll(c.CommandPath(), " ", "-")
}

// manPage is written with the macros of man(7).
func manPage(c *cobra.Command, e edition) string {
	var b strings.Builder
	date := ""
	if !e.date.IsZero() {
		date = e.date.UTC().Format(time.DateOnly)
	}
	fmt.Fprintf(&b, ".TH %q 1 %q %q %q\n.nh\n.ad l\n", strings.ToUpper(manName(c)), date, strings.TrimSpace("mcpctl "+e.version), "mcpctl")
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(manName(c)), roff(c.Short))
	use := c.UseLine()
	if c.HasAvailableSubCommands() {
		use = c.CommandPath() + " COMMAND"
	}
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(use))
	b.WriteString(".SH DESCRIPTION\n")
	for _, block := range blocks(description(c)) {
		writeManBlock(&b, block)
	}
	if subs := commands(c)[1:]; len(subs) > 0 {
		b.WriteString(".SH COMMANDS\n")
		for _, sub := range subs {
			fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s\n", roff(manName(sub)), roff(sub.Short))
		}
	}
	b.WriteString(".SH OPTIONS\n")
	for _, f := range flagLines(c) {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(f.name), roff(f.usage))
	}
	if c.HasExample() {
		b.WriteString(".SH EXAMPLES\n")
		writeManBlock(&b, block{true, dedent(c.Example)})
	}
	writeManList(&b, "EXIT STATUS", exitCodes)
	writeManList(&b, "ENVIRONMENT", variables)
	if c.HasParent() {
		fmt.Fprintf(&b, ".SH SEE ALSO\n.BR %s (1)\n", roff(manName(c.Parent())))
	}
	return b.String()
}

func writeManList(b *strings.Builder, heading string, list [][2]string) {
	fmt.Fprintf(b, ".SH %s\n", heading)
	for _, item := range list {
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(item[0]), roff(item[1]))
	}
}

func writeManBlock(b *strings.Builder, block block) {
	if block.verbatim {
		fmt.Fprintf(b, ".PP\n.RS 4\n.nf\n%s\n.fi\n.RE\n", roff(block.text))
		return
	}
	fmt.Fprintf(b, ".PP\n%s\n", roff(block.text))
}

// roff keeps the formatter from reading anything into a text: escapes, hyphens
// that are to be copied, quotes, and requests at the beginning of a line.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, `"`, `\(dq`, "^", `\(ha`, "~", `\(ti`, "`", `\(ga`, "…", `\&...`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
