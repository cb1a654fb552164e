package doctor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/mcpctl/mcpctl/internal/desktop"
)

// Desktop is the MCP clients of a machine, and the means to look at them.
type Desktop struct {
	System desktop.System
	// URL limits the look to entries for it; "" is all.
	URL string
	// Find returns the program that a command starts.
	Find func(command string) (string, error)
	// SignedIn reports whether there is a profile for the address; nil does not
	// ask.
	SignedIn func(url string) bool
}

// Examine checks the configuration of each installed client that has an entry
// for a bridge.
func (d Desktop) Examine() []Check {
	var checks []Check
	for _, client := range desktop.Clients() {
		config, err := client.Config(d.System, desktop.User)
		if err != nil || !d.System.Exists(config.Path) {
			continue
		}
		if f, there := d.config(config); there {
			checks = append(checks, Check{ID: "client:" + client.ID, Name: client.Name, Status: f.status, Detail: oneLine(f.detail), Fix: oneLine(f.fix), SignIn: f.signIn})
		}
	}
	if len(checks) == 0 {
		detail := "no configuration of a client has an entry for mcpctl bridge"
		if d.URL != "" {
			detail += " " + d.URL
		}
		checks = append(checks, Check{ID: "clients", Name: "MCP clients", Status: Skip, Detail: detail})
	}
	return checks
}

// config looks at one file; there is false if it has nothing to do with mcpctl.
func (d Desktop) config(config desktop.Config) (f finding, there bool) {
	data, err := readConfig(config.Path)
	if err != nil {
		return fail("Make the file readable for you", "%s can't be read: %v", config.Path, err), true
	}
	servers, err := config.Servers(data)
	if err != nil {
		return fail("Correct the file: the client can't read it either", "%s: %v", config.Path, err), true
	}
	var faults, fixes, good []string
	signIn := true
	for _, s := range servers {
		url, isBridge := s.Bridge()
		if !isBridge || d.URL != "" && url != d.URL {
			continue
		}
		if _, err := d.Find(s.Command); err != nil {
			faults = append(faults, fmt.Sprintf("the entry %q starts %s, which is not there", s.Name, s.Command))
			fixes = append(fixes, "mcpctl install "+config.Client.ID+" "+url)
			signIn = false
			continue
		}
		if d.SignedIn != nil && !d.SignedIn(url) && !slices.ContainsFunc(s.Args, withoutSignIn) {
			faults = append(faults, fmt.Sprintf("nobody has signed in to %s, which the entry %q is for", url, s.Name))
			fixes = append(fixes, "mcpctl login "+url)
			continue
		}
		good = append(good, s.Name)
	}
	switch {
	case len(faults) > 0:
		f = fail(strings.Join(fixes, "; "), "%s", strings.Join(faults, "; "))
		f.signIn = signIn
		return f, true
	case len(good) > 0:
		return ok("%s: %s", config.Path, strings.Join(good, ", ")), true
	}
	return finding{}, false
}

// withoutSignIn reports an argument of mcpctl bridge by which it needs no
// profile.
func withoutSignIn(arg string) bool {
	return arg == "--no-auth" || strings.HasPrefix(arg, "--header")
}

func readConfig(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the clients say where their files are
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, desktop.MaxSize+1))
	if err == nil && len(data) > desktop.MaxSize {
		err = errors.New("it is too large")
	}
	return data, err
}
