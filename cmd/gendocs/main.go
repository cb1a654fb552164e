// Command gendocs writes what is made from mcpctl's commands: the reference in
// docs/commands, and for packages the man pages and the shells' completions.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/mcpctl/mcpctl/cmd"
)

func main() {
	var (
		markdown    = flag.String("markdown", "", "write the command reference into this `folder`, replacing what is there")
		man         = flag.String("man", "", "write the man pages into this `folder`")
		completions = flag.String("completions", "", "write the completions into this `folder`")
		version     = flag.String("version", "", "`version` that the man pages name")
		date        = flag.String("date", "", "`date` that the man pages name, as 2006-01-02T15:04:05Z07:00")
	)
	flag.Parse()
	if err := generate(*markdown, *man, *completions, *version, *date); err != nil {
		fmt.Fprintf(os.Stderr, "gendocs: %v\n", err)
		os.Exit(1)
	}
}

// generate writes what has a folder.
func generate(markdown, man, completions, version, date string) error {
	root := cmd.Tree()
	if markdown != "" {
		if err := replaceFolder(markdown, reference(root)); err != nil {
			return fmt.Errorf("writing the command reference: %w", err)
		}
	}
	if man != "" {
		edition := edition{version: version}
		if date != "" {
			var err error
			if edition.date, err = time.Parse(time.RFC3339, date); err != nil {
				return fmt.Errorf("reading the date: %w", err)
			}
		}
		pages, err := manPages(root, edition)
		if err != nil {
			return fmt.Errorf("making the man pages: %w", err)
		}
		if err := replaceFolder(man, pages); err != nil {
			return fmt.Errorf("writing the man pages: %w", err)
		}
	}
	if completions != "" {
		scripts, err := completionScripts(root)
		if err != nil {
			return fmt.Errorf("making the completions: %w", err)
		}
		if err := replaceFolder(completions, scripts); err != nil {
			return fmt.Errorf("writing the completions: %w", err)
		}
	}
	return nil
}
