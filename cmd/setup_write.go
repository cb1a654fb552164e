package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/mcpctl/mcpctl/internal/entra/registration"
)

// A setupChange is a file that is not what it would be written as.
type setupChange struct {
	file registration.File
	old  []byte
	made bool // there is none yet
}

// printFiles shows files one after the other.
func printFiles(s screen, files []registration.File) error {
	for i, f := range files {
		if i > 0 {
			if err := s.line(""); err != nil {
				return err
			}
		}
		if err := s.line("%s", s.bold("==> "+f.Name+" <==")); err != nil {
			return err
		}
		if _, err := s.w.Write(f.Data); err != nil {
			return err
		}
	}
	return nil
}

// writeSetup writes what differs from what is there, after showing it. It
// reports whether files are as they should be.
func writeSetup(ctx context.Context, ui *callUI, o setupEntraOptions, files []registration.File) (bool, error) {
	changes, err := setupChanges(o.out, files)
	if err != nil {
		return false, err
	}
	s := newScreen(o.deps.Stdout, o.deps.Getenv)
	if len(changes) == 0 {
		return true, s.prose("The files in %s are up to date.", o.out)
	}
	replaces := false
	for _, c := range changes {
		if c.made {
			err = s.line("%s", s.style("32", "new  ")+filepath.Join(o.out, c.file.Name))
		} else {
			replaces = true
			err = showDiff(s, c)
		}
		if err != nil {
			return false, err
		}
	}
	if replaces && !o.yes {
		if !ui.interactive {
			return false, errors.New("files with other contents are there, and nothing was written.\nTo write these changes add --yes")
		}
		agreed, err := ui.yes(ctx, "Write these changes?", false)
		if err != nil {
			return false, fmt.Errorf("asking whether to write: %w", err)
		}
		if !agreed {
			return false, errors.New("nothing was written")
		}
	}
	if err := os.MkdirAll(o.out, 0o750); err != nil {
		return false, fmt.Errorf("making the folder: %w", err)
	}
	for _, c := range changes {
		if err := writeChange(o.out, c); err != nil {
			return false, err
		}
	}
	if slices.ContainsFunc(changes, keepsFormer) {
		return true, s.prose("Your former %s is kept as %s.bak.", registration.ConfigFile, registration.ConfigFile)
	}
	return true, nil
}

// keepsFormer is for the server's configuration, which operators edit.
func keepsFormer(c setupChange) bool { return c.file.Name == registration.ConfigFile && !c.made }

func setupChanges(dir string, files []registration.File) ([]setupChange, error) {
	var changes []setupChange
	for _, f := range files {
		old, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err == nil && f.Name == registration.ConfigFile {
			f.Data = registration.KeepOwn(old, f.Data)
		}
		switch {
		case errors.Is(err, os.ErrNotExist):
			changes = append(changes, setupChange{file: f, made: true})
		case err != nil:
			return nil, fmt.Errorf("reading what is there: %w", err)
		case !bytes.Equal(old, f.Data):
			changes = append(changes, setupChange{file: f, old: old})
		}
	}
	return changes, nil
}

// showDiff shows a change as lines that go and come.
func showDiff(s screen, c setupChange) error {
	text := clean(string(diff.Diff(c.file.Name, c.old, c.file.Name+" (new)", c.file.Data)))
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "diff "):
			continue
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
			line = s.bold(line)
		case strings.HasPrefix(line, "-"):
			line = s.style("31", line)
		case strings.HasPrefix(line, "+"):
			line = s.style("32", line)
		case strings.HasPrefix(line, "@@"):
			line = s.style("36", line)
		}
		if err := s.line("%s", line); err != nil {
			return err
		}
	}
	return nil
}

// writeChange replaces a file in one step.
func writeChange(dir string, c setupChange) error {
	path := filepath.Join(dir, c.file.Name)
	if keepsFormer(c) {
		if err := os.WriteFile(path+".bak", c.old, 0o600); err != nil {
			return fmt.Errorf("keeping the former %s: %w", c.file.Name, err)
		}
	}
	temp, err := os.CreateTemp(dir, ".setup-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", c.file.Name, err)
	}
	_, err = temp.Write(c.file.Data)
	mode := os.FileMode(0o640)
	if c.file.Exec {
		mode = 0o750
	}
	err = errors.Join(err, temp.Chmod(mode), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return fmt.Errorf("writing %s: %w", c.file.Name, err)
	}
	return nil
}
