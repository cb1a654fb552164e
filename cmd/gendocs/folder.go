package main

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// replaceFolder makes dir hold files, by name, and nothing else.
func replaceFolder(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // public documentation
		return err
	}
	old, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range old {
		if _, keep := files[entry.Name()]; !keep && entry.Type().IsRegular() {
			if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil { //nolint:gosec // public documentation
			return err
		}
	}
	return nil
}

// completionScripts are named as the shells want them to be: bash and fish look
// for the command's name, zsh for an underscore before it.
func completionScripts(root *cobra.Command) (map[string][]byte, error) {
	var bash, zsh, fish bytes.Buffer
	if err := root.GenBashCompletionV2(&bash, true); err != nil {
		return nil, err
	}
	if err := root.GenZshCompletion(&zsh); err != nil {
		return nil, err
	}
	if err := root.GenFishCompletion(&fish, true); err != nil {
		return nil, err
	}
	return map[string][]byte{"mcpctl.bash": bash.Bytes(), "_mcpctl": zsh.Bytes(), "mcpctl.fish": fish.Bytes()}, nil
}

// commands lists c and what is below it as help shows it, in order.
func commands(c *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			list = append(list, commands(sub)...)
		}
	}
	return list
}
