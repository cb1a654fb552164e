package cmd

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/mcpctl/mcpctl/internal/desktop"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// clientStatus is one configuration file as -o json prints it. The field names
// are stable.
type clientStatus struct {
	Client    string         `json:"client"`
	Name      string         `json:"name"`
	Scope     desktop.Scope  `json:"scope"`
	Installed bool           `json:"installed"`
	Path      string         `json:"path"`
	Exists    bool           `json:"exists"`
	Error     string         `json:"error,omitempty"`
	Servers   []bridgeStatus `json:"servers"`
	Others    int            `json:"other_servers"`
}

// bridgeStatus is an entry that starts mcpctl.
type bridgeStatus struct {
	Name    string `json:"name"`
	URL     string `json:"url"`
	Command string `json:"command"`
	Found   bool   `json:"command_found"`
}

func listClients(deps Deps, out outputFlag) error {
	sys, err := desktop.Local(deps.Getenv)
	if err != nil {
		return err
	}
	history, err := installHistory(deps)
	if err != nil {
		return err
	}
	list := []clientStatus{}
	for _, c := range desktop.Clients() {
		for _, scope := range c.Scopes() {
			status := clientStatusOf(deps, sys, history, c, scope)
			if scope == desktop.User && status.Installed || status.Exists {
				list = append(list, status)
			}
		}
	}
	if out.json() {
		return writeJSON(deps.Stdout, map[string]any{"clients": list})
	}
	return printClients(newScreen(deps.Stdout, deps.Getenv), list)
}

func clientStatusOf(deps Deps, sys desktop.System, history desktop.History, c desktop.Client, scope desktop.Scope) clientStatus {
	status := clientStatus{Client: c.ID, Name: c.Name, Scope: scope, Installed: c.Installed(sys), Servers: []bridgeStatus{}}
	config, err := c.Config(sys, scope)
	if err == nil {
		status.Path, status.Exists = config.Path, sys.Exists(config.Path)
		_, err = history.Plan(config, func(doc []byte, _ [][]byte) ([]byte, error) {
			servers, err := config.Servers(doc)
			for _, s := range servers {
				url, ok := s.Bridge()
				if !ok {
					status.Others++
					continue
				}
				status.Servers = append(status.Servers, bridgeStatus{s.Name, redact.URL(url), s.Command, commandFound(deps, s.Command)})
			}
			return doc, err
		})
	}
	if err != nil {
		status.Error = err.Error()
	}
	return status
}

// commandFound tells whether a client would find the program of an entry.
func commandFound(deps Deps, command string) bool {
	if filepath.IsAbs(command) {
		info, err := os.Stat(command)
		return err == nil && !info.IsDir()
	}
	for _, dir := range filepath.SplitList(deps.Getenv("PATH")) {
		if _, err := exec.LookPath(filepath.Join(dir, command)); err == nil {
			return true
		}
	}
	return false
}

func printClients(s screen, list []clientStatus) error {
	if len(list) == 0 {
		return s.prose("No AI client that mcpctl knows has left traces here.")
	}
	for i, c := range list {
		title := c.Name
		if c.Scope == desktop.Workspace {
			title += " (this folder)"
		}
		if i > 0 {
			if err := s.line(""); err != nil {
				return err
			}
		}
		// A path stays whole, to be copied.
		if err := s.line("%s\n  %s", s.bold(title), clean(c.path())); err != nil {
			return err
		}
		var rows []entry
		for _, b := range c.Servers {
			command := clean(b.Command)
			if !b.Found {
				command += " is not there: run mcpctl install again with --force"
			}
			rows = append(rows, entry{oneLine(b.Name), []string{clean(b.URL), command}})
		}
		if c.Error != "" {
			rows = append(rows, entry{"error", []string{oneLine(c.Error)}})
		}
		if err := s.entries(rows); err != nil {
			return err
		}
	}
	return nil
}

func (c clientStatus) path() string {
	if c.Exists || c.Path == "" {
		return c.Path
	}
	return c.Path + " (not there yet)"
}
