package doctor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/mcpctl/mcpctl/internal/desktop"
	"github.com/mcpctl/mcpctl/internal/redact"
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
// for a bridge. That nobody has signed in to a server is one fault, however many
// clients are waiting for it.
func (d Desktop) Examine() []Check {
	var checks []Check
	var missing signIns
	for _, client := range desktop.Clients() {
		config, err := client.Config(d.System, desktop.User)
		if err != nil || !d.System.Exists(config.Path) {
			continue
		}
		f, because, there := d.config(config, &missing)
		if there {
			checks = append(checks, Check{
				ID: "client:" + client.ID, Name: client.Name, Status: f.status, Detail: oneLine(f.detail), Fix: oneLine(f.fix), Because: because,
			})
		}
	}
	if len(checks) == 0 {
		detail := "no configuration of a client has an entry for mcpctl bridge"
		if d.URL != "" {
			detail += " " + redact.URL(d.URL)
		}
		checks = append(checks, Check{ID: "clients", Name: "MCP clients", Status: Skip, Detail: detail})
	}
	return append(missing.checks(), checks...)
}

// signIns are the servers that nobody has signed in to, and who starts a bridge
// to them.
type signIns struct {
	urls    []string
	clients map[string][]string // names, by address
}

// signInID is the id of the check of an address.
func signInID(url string) string { return "sign-in:" + redact.URL(url) }

func (s *signIns) add(url, client string) {
	if s.clients == nil {
		s.clients = map[string][]string{}
	}
	if !slices.Contains(s.urls, url) {
		s.urls = append(s.urls, url)
	}
	if !slices.Contains(s.clients[url], client) {
		s.clients[url] = append(s.clients[url], client)
	}
}

func (s *signIns) checks() []Check {
	checks := make([]Check, 0, len(s.urls))
	for _, url := range s.urls {
		checks = append(checks, Check{
			ID: signInID(url), Name: "sign-in", Status: Fail, SignIn: true,
			Detail: oneLine("nobody has signed in to " + redact.URL(url) + ", which " + strings.Join(s.clients[url], ", ") + " can't use without"), Fix: oneLine("mcpctl login " + redact.URL(url)),
		})
	}
	return checks
}

// config looks at one file; there is false if it has nothing to do with mcpctl.
// because is the check that says what is missing.
func (d Desktop) config(config desktop.Config, missing *signIns) (f finding, because string, there bool) {
	data, err := readConfig(config.Path)
	if err != nil {
		return fail("Make the file readable for you", "%s can't be read: %v", config.Path, err), "", true
	}
	servers, err := config.Servers(data)
	if err != nil {
		return fail("Correct the file: the client can't read it either", "%s: %v", config.Path, err), "", true
	}
	var faults, fixes, good, waiting []string
	for _, s := range servers {
		url, isBridge := s.Bridge()
		if !isBridge || d.URL != "" && url != d.URL {
			continue
		}
		if _, err := d.Find(s.Command); err != nil {
			faults = append(faults, fmt.Sprintf("the entry %q starts %s, which is not there", s.Name, s.Command))
			fixes = append(fixes, fmt.Sprintf("mcpctl install %s %s --name %s --force", config.Client.ID, redact.URL(url), s.Name))
			continue
		}
		if d.SignedIn != nil && !d.SignedIn(url) && !slices.ContainsFunc(s.Args, withoutSignIn) {
			missing.add(url, config.Client.Name)
			waiting = append(waiting, fmt.Sprintf("the entry %q is for %s", s.Name, redact.URL(url)))
			because = signInID(url)
			continue
		}
		good = append(good, s.Name)
	}
	switch {
	case len(faults) > 0:
		return fail(strings.Join(fixes, "; "), "%s", strings.Join(faults, "; ")), "", true
	case len(waiting) > 0:
		return needless("comes of sign-in: %s", strings.Join(waiting, "; ")), because, true
	case len(good) > 0:
		return ok("%s: %s", config.Path, strings.Join(good, ", ")), "", true
	}
	return finding{}, "", false
}

// withoutSignIn reports an argument of mcpctl bridge by which it needs no
// profile.
func withoutSignIn(arg string) bool {
	return arg == "--no-auth" || strings.HasPrefix(arg, "--header")
}

func readConfig(path string) ([]byte, error) {
	file, err := os.Open(path)
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
