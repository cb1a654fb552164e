package desktop

import (
	"fmt"
	"slices"
	"strings"
)

// A Scope says for whom a server is added.
type Scope string

// The scopes: all of a person's work, or one folder and everybody who works in it.
const (
	User      Scope = "user"
	Workspace Scope = "workspace"
)

// A Client is a program that starts MCP servers from a configuration file.
type Client struct {
	// ID is what people type.
	ID string
	// Name is its maker's.
	Name string
	// Docs is where its maker documents the file.
	Docs string
	// Apply is what makes a running client see a change.
	Apply string

	user      func(System) (string, error)
	workspace string // below the workspace's folder; "" if it knows none
	traces    func(System) []string

	syntax syntax
	place  []string // the keys that lead to the servers
	list   bool     // the servers are a list whose items have names
	entry  func(Server) fields
	fresh  fields // what a new file needs besides
}

// Clients are the clients that this package knows, in alphabetical order.
func Clients() []Client { return slices.Clone(clients) }

// FindClient returns the client with the ID.
func FindClient(id string) (Client, error) {
	var ids []string
	for _, c := range clients {
		if c.ID == id {
			return c, nil
		}
		ids = append(ids, c.ID)
	}
	return Client{}, fmt.Errorf("unknown client %q: choose one of %s", id, strings.Join(ids, ", "))
}

// Scopes are those that the client knows.
func (c Client) Scopes() []Scope {
	if c.workspace == "" {
		return []Scope{User}
	}
	return []Scope{User, Workspace}
}

// Config is the client's configuration file on a system, which need not be there.
func (c Client) Config(sys System, scope Scope) (Config, error) {
	config := Config{Client: c, Scope: scope}
	var err error
	switch {
	case scope == User:
		config.Path, err = c.user(sys)
	case scope != Workspace:
		err = fmt.Errorf("unknown scope %q: use user or workspace", scope)
	case c.workspace == "":
		err = fmt.Errorf("%s has no configuration of single workspaces: leave out --scope", c.Name)
	default:
		config.Path = sys.join(sys.Dir, c.workspace)
	}
	if c.ID == "opencode" && err == nil {
		config.Path = opencodeFile(sys, config.Path)
	}
	return config, err
}

// Installed tells whether the client left traces on the system.
func (c Client) Installed(sys System) bool {
	if path, err := c.user(sys); err == nil && sys.Exists(path) {
		return true
	}
	return slices.ContainsFunc(c.traces(sys), sys.Exists)
}

// A Config is one configuration file of a client.
type Config struct {
	Client Client
	Scope  Scope
	Path   string
}

// plainEntry is the entry that most clients have taken over from the first.
func plainEntry(s Server) fields {
	return append(fields{{"command", s.Command}, {"args", s.Args}}, environment("env", s.Env)...)
}

// stdioEntry names the transport too.
func stdioEntry(s Server) fields {
	return append(fields{{"type", "stdio"}}, plainEntry(s)...)
}

// opencodeEntry has the command and its arguments in one list.
func opencodeEntry(s Server) fields {
	f := fields{{"type", "local"}, {"command", append([]string{s.Command}, s.Args...)}}
	return append(append(f, environment("environment", s.Env)...), field{"enabled", true})
}

// continueEntry is an item of a list, with its name inside.
func continueEntry(s Server) fields { return append(fields{{"name", s.Name}}, plainEntry(s)...) }
