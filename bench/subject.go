package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// direct and product are the names of the subjects that the others are compared with.
const (
	direct  = "direct"
	product = "mcpctl"
)

// A subject is one way to reach the remote.
type subject struct {
	Name    string   `json:"name"`
	Version string   `json:"version,omitempty"`
	Argv    []string `json:"argv,omitempty"` // the bridge's command; "" for direct HTTP
	env     []string
}

// open starts a client's session with the remote at url. It isn't initialized yet.
func (s subject) open(ctx context.Context, url string) (session, error) {
	if s.Name == direct {
		return dial(url), nil
	}
	argv := make([]string, len(s.Argv))
	for i, arg := range s.Argv {
		argv[i] = strings.ReplaceAll(arg, "{url}", url)
	}
	bridge, err := spawn(ctx, argv, s.env)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	return bridge, nil
}

// findSubjects prepares direct HTTP and the bridges with these names, and those that -add names.
func findSubjects(ctx context.Context, names []string, o options, root, dir string) ([]subject, error) {
	subjects := []subject{{Name: direct}}
	for _, name := range names {
		var s subject
		var err error
		switch name {
		case product:
			s, err = productSubject(ctx, o.mcpctl, dir)
		case "mcp-remote":
			s, err = npmSubject(root, dir, name, "dist/proxy.js", "{url}", "--allow-http")
		case "supergateway":
			s, err = npmSubject(root, dir, name, "dist/index.js", "--streamableHttp", "{url}")
		default:
			err = fmt.Errorf("unknown subject %q: it is mcpctl, mcp-remote or supergateway; -add names others", name)
		}
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, s)
	}
	for _, spec := range o.add {
		s, err := addedSubject(spec)
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, s)
	}
	return subjects, nil
}

// productSubject is mcpctl at path, or built into dir from this tree.
func productSubject(ctx context.Context, path, dir string) (subject, error) {
	if path == "" {
		path = filepath.Join(dir, "bin", "mcpctl")
		if runtime.GOOS == "windows" {
			path += ".exe"
		}
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "github.com/mcpctl/mcpctl/cmd/mcpctl")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return subject{}, fmt.Errorf("building mcpctl: %w: %s", err, out)
		}
	}
	// A home of its own: no profile or log of the person who measures is read or written.
	return subject{Name: product, Argv: []string{path, "bridge", "{url}", "--no-auth"}, env: homeEnv(dir)}, nil
}

// npmSubject is a bridge that bench/npm's lock file pins. root is the top of the repository.
func npmSubject(root, dir, name, bin string, args ...string) (subject, error) {
	pkg := filepath.Join(root, "bench", "npm", "node_modules", name)
	manifest, err := os.ReadFile(filepath.Join(pkg, "package.json"))
	if err != nil {
		return subject{}, fmt.Errorf("looking for %s: %w; `make bench` installs it", name, err)
	}
	var about struct{ Version string }
	if err := json.Unmarshal(manifest, &about); err != nil {
		return subject{}, fmt.Errorf("reading %s's package.json: %w", name, err)
	}
	argv := append([]string{"node", filepath.Join(pkg, bin)}, args...)
	return subject{Name: name, Version: about.Version, Argv: argv, env: homeEnv(dir)}, nil
}

// addedSubject reads "name=command args {url}". Arguments are parted by spaces.
func addedSubject(spec string) (subject, error) {
	name, command, ok := strings.Cut(spec, "=")
	argv := strings.Fields(command)
	if !ok || name == "" || len(argv) == 0 {
		return subject{}, errors.New(`-add wants name=command, with {url} where the address goes`)
	}
	return subject{Name: name, Argv: argv}, nil
}

func homeEnv(dir string) []string {
	return []string{
		"HOME=" + dir, "USERPROFILE=" + dir, "APPDATA=" + dir, "LOCALAPPDATA=" + dir,
		"XDG_CONFIG_HOME=" + dir, "XDG_CACHE_HOME=" + dir, "XDG_STATE_HOME=" + dir, "XDG_DATA_HOME=" + dir,
	}
}
