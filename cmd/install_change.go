package cmd

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/mcpctl/mcpctl/internal/desktop"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// An editFunc is what a command does to a client's file.
type editFunc func(doc []byte, earlier [][]byte) ([]byte, error)

// installHistory remembers the clients' files below mcpctl's own folder: there
// they are out of the way of workspaces, and private.
func installHistory(deps Deps) (desktop.History, error) {
	dir, err := filesDir()
	return desktop.History{Dir: filepath.Join(dir, "backups"), Now: deps.Now}, err
}

func addServer(deps Deps, o installOptions) error {
	config, err := clientConfig(deps, o)
	if err != nil {
		return err
	}
	server, err := bridgeServer(deps, o)
	if err != nil {
		return err
	}
	replaced := false
	change, err := o.change(deps, config, func(doc []byte, _ [][]byte) ([]byte, error) {
		after, err := config.Add(doc, server, false)
		if !errors.Is(err, desktop.ErrTaken) {
			return after, err
		}
		if !o.force {
			return nil, takenError(config, doc, server, o.dryRun)
		}
		replaced = true
		return config.Add(doc, server, true)
	})
	if err != nil {
		return err
	}
	r := newInstallResult(o, change, server)
	if o.out.json() {
		return writeJSON(deps.Stdout, r)
	}
	if replaced || o.dryRun {
		if err := printChange(deps, change); err != nil {
			return err
		}
	}
	return printAdded(deps, o, change, server)
}

func clientConfig(deps Deps, o installOptions) (desktop.Config, error) {
	sys, err := desktop.Local(deps.Getenv)
	if err != nil {
		return desktop.Config{}, err
	}
	return o.client.Config(sys, desktop.Scope(o.scope))
}

// change makes the change, or plans it.
func (o installOptions) change(deps Deps, config desktop.Config, edit editFunc) (desktop.Change, error) {
	history, err := installHistory(deps)
	if err != nil {
		return desktop.Change{}, err
	}
	if o.dryRun {
		return history.Plan(config, edit)
	}
	return history.Apply(config, edit)
}

// takenError says what has the name. Its arguments stay unsaid: they may hold a
// secret.
func takenError(config desktop.Config, doc []byte, server desktop.Server, dryRun bool) error {
	what := "another command"
	if servers, err := config.Servers(doc); err == nil {
		at := slices.IndexFunc(servers, func(s desktop.Server) bool { return s.Name == server.Name })
		if at >= 0 && servers[at].Command != "" {
			what = servers[at].Command
		}
		if at >= 0 {
			if url, ok := servers[at].Bridge(); ok {
				what += ", a bridge to " + redact.URL(url)
			}
		}
	}
	advice := "replace it with --force; add --dry-run to see the change first"
	if dryRun {
		advice = "see with --force what replacing it would change"
	}
	return fmt.Errorf("%s has a server called %q already, which starts %s.\nChoose another name with --name, or %s",
		config.Path, server.Name, what, advice)
}

// installResult is a change as -o json prints it. The field names are stable.
type installResult struct {
	Client  string            `json:"client"`
	Scope   desktop.Scope     `json:"scope"`
	Path    string            `json:"path"`
	Name    string            `json:"name"`
	Command string            `json:"command,omitempty"`
	Args    []string          `json:"args,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
	Changed bool              `json:"changed"`
	DryRun  bool              `json:"dry_run"`
	Backup  string            `json:"backup,omitempty"`
	Diff    string            `json:"diff,omitempty"`
}

func newInstallResult(o installOptions, change desktop.Change, s desktop.Server) installResult {
	return installResult{
		Client: change.Config.Client.ID, Scope: change.Config.Scope, Path: change.Config.Path,
		Name: s.Name, Command: s.Command, Args: s.Args, Env: s.Env,
		Changed: change.Changed(), DryRun: o.dryRun, Backup: change.Backup, Diff: changeDiff(change),
	}
}

func printAdded(deps Deps, o installOptions, change desktop.Change, server desktop.Server) error {
	s := newScreen(deps.Stdout, deps.Getenv)
	config := change.Config
	switch {
	case !change.Changed():
		return s.prose("%s has %q already, in %s.", config.Client.Name, server.Name, config.Path)
	case o.dryRun:
		_, err := fmt.Fprintln(deps.Stderr, "Nothing was changed. Leave out --dry-run to do it.")
		return err
	}
	if err := s.prose("Added %q to %s, in %s.", server.Name, config.Client.Name, config.Path); err != nil {
		return err
	}
	if change.Backup != "" {
		if err := s.prose("The file as it was: %s", change.Backup); err != nil {
			return err
		}
	}
	next := config.Client.Apply
	if sys, err := desktop.Local(deps.Getenv); err == nil && !config.Client.Installed(sys) {
		next = config.Client.Name + " has left no other traces here: is it installed?"
	}
	if err := s.prose("%s", next); err != nil {
		return err
	}
	if config.Scope == desktop.Workspace && !o.npx {
		if err := s.prose("Others who use this folder need mcpctl at the same path; --npx spares them that."); err != nil {
			return err
		}
	}
	if profiles, err := openProfiles(deps); err == nil {
		if _, err := profiles.Load(o.url); errors.Is(err, profile.ErrNotFound) {
			return s.prose("If the server wants a sign-in, run: mcpctl login %s", redact.URL(o.url))
		}
	}
	return nil
}

func undoInstall(deps Deps, o installOptions) error {
	history, err := installHistory(deps)
	if err != nil {
		return err
	}
	undo, err := history.PlanUndo(o.client.ID)
	switch {
	case errors.Is(err, desktop.ErrChanged) && !o.force && !o.dryRun:
		return fmt.Errorf("%w: taking the change back would lose what came after it.\nSee it with --dry-run, and do it all the same with --force", err)
	case err != nil && !errors.Is(err, desktop.ErrChanged):
		return err
	}
	if !o.dryRun {
		if err := undo.Apply(); err != nil {
			return err
		}
	}
	if o.out.json() {
		return writeJSON(deps.Stdout, newInstallResult(o, undo.Change, desktop.Server{}))
	}
	if o.dryRun {
		if err := printChange(deps, undo.Change); err != nil {
			return err
		}
		_, err := fmt.Fprintln(deps.Stderr, "Nothing was changed. Leave out --dry-run to do it.")
		return err
	}
	s := newScreen(deps.Stdout, deps.Getenv)
	if undo.After == nil {
		return s.prose("Removed %s, which was not there before.", undo.Config.Path)
	}
	return s.prose("%s is as it was before.", undo.Config.Path)
}
