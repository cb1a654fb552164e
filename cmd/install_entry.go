package cmd

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/mcpctl/mcpctl/internal/desktop"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// serverName is what all clients take for a name: it becomes part of the names
// of tools, which are 64 characters at most.
var serverName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)

func checkServerName(name string) error {
	if !serverName.MatchString(name) {
		return fmt.Errorf("%q is no name that all clients take: use up to 32 letters, digits, - and _", name)
	}
	return nil
}

// defaultName derives a name from a server's address: contoso for
// https://mcp.contoso.com/mcp, crm for https://mcp.contoso.com/mcp/crm.
func defaultName(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "mcp"
	}
	name := u.Hostname()
	if _, route, ok := strings.Cut(strings.TrimSuffix(u.Path, "/"), "/mcp/"); ok && !strings.Contains(route, "/") && route != "" {
		name = route
	} else if net.ParseIP(name) != nil || name == "localhost" {
		name = strings.TrimSuffix(name+"-"+u.Port(), "-")
	} else {
		labels := strings.Split(name, ".")
		if len(labels) > 2 && (labels[0] == "mcp" || labels[0] == "www" || labels[0] == "api") {
			labels = labels[1:]
		}
		name = labels[0]
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, name)
	if name = strings.Trim(name[:min(len(name), 32)], "-_"); name == "" {
		return "mcp"
	}
	return name
}

// bridgeServer is the entry for a server.
func bridgeServer(deps Deps, o installOptions) (desktop.Server, error) {
	s := desktop.Server{Name: o.name, Args: []string{"bridge", o.url}, Env: bridgeEnv(deps)}
	if s.Name == "" {
		s.Name = defaultName(o.url)
	}
	if o.npx {
		s.Command, s.Args = "npx", append([]string{"-y", "mcpctl"}, s.Args...)
		if runtime.GOOS == "windows" {
			// npx is a script there: https://code.claude.com/docs/en/mcp
			if strings.ContainsAny(o.url, `&|<>^%"!()`) {
				return s, fmt.Errorf("%s holds characters that Windows' command interpreter, which npx needs, would take for its own. Leave out --npx", redact.URL(o.url))
			}
			s.Command, s.Args = "cmd", append([]string{"/c", "npx"}, s.Args...)
		}
		return s, nil
	}
	var err error
	s.Command, err = stableExecutable(deps)
	return s, err
}

// bridgeEnv is what a bridge has to be told in a client's configuration: clients
// pass on HOME and PATH, and little more.
func bridgeEnv(deps Deps) map[string]string {
	xdg := deps.Getenv("XDG_CONFIG_HOME")
	if deps.Getenv(profile.DirVariable) == "" && (xdg == "" || runtime.GOOS == "windows" || runtime.GOOS == "darwin") {
		return nil
	}
	dir, err := profile.Dir()
	if err != nil {
		return nil
	}
	if home, err := os.UserHomeDir(); err == nil && dir == filepath.Join(home, ".config", "mcpctl") && runtime.GOOS != "windows" && runtime.GOOS != "darwin" {
		return nil // where it would look anyway
	}
	return map[string]string{profile.DirVariable: dir}
}

// stableExecutable is the path of this program that outlives its upgrades:
// package managers link to the version of the day from a folder in PATH.
func stableExecutable(deps Deps) (string, error) {
	self, err := deps.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program's path: %w", err)
	}
	if strings.Contains(filepath.ToSlash(self), "/_npx/") {
		return "", errors.New("this mcpctl lies in npx's cache, which npx empties at times. Use --npx, or install mcpctl first: npm install -g mcpctl")
	}
	target, err := filepath.EvalSymlinks(self)
	if err != nil {
		return self, nil //nolint:nilerr // it has a path all the same
	}
	for _, dir := range filepath.SplitList(deps.Getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		candidate := filepath.Join(dir, "mcpctl"+exeSuffix(self))
		if to, err := filepath.EvalSymlinks(candidate); err == nil && to == target {
			return candidate, nil
		}
	}
	return self, nil
}

// exeSuffix is what programs end in on Windows.
func exeSuffix(program string) string {
	if strings.EqualFold(filepath.Ext(program), ".exe") {
		return ".exe"
	}
	return ""
}
