package packaging

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// platformPackage is the package.json of a package with a binary.
type platformPackage struct {
	Name            string            `json:"name"`
	Version         string            `json:"version"`
	Description     string            `json:"description"`
	Homepage        string            `json:"homepage"`
	Repository      map[string]string `json:"repository"`
	License         string            `json:"license"`
	Author          string            `json:"author"`
	OS              []string          `json:"os"`
	CPU             []string          `json:"cpu"`
	Files           []string          `json:"files"`
	PreferUnplugged bool              `json:"preferUnplugged"` // Yarn must not keep it in an archive, where it can't be run
}

// StageLauncher lays out the npm package mcpctl in dir: the repository's npm
// folder, in this version and with platform packages of the same one.
func StageLauncher(repo, dir, version string) error {
	manifest, err := os.ReadFile(filepath.Join(repo, "npm", "package.json"))
	if err != nil {
		return fmt.Errorf("reading the launcher's package.json: %w", err)
	}
	// Every "0.0.0" in it is the version of this release.
	manifest = bytes.ReplaceAll(manifest, []byte(`"0.0.0"`), []byte(`"`+version+`"`))
	if err := writeFile(filepath.Join(dir, "package.json"), manifest, 0o644); err != nil {
		return err
	}
	for to, from := range map[string]string{
		"bin/mcpctl.js": "npm/bin/mcpctl.js", "README.md": "npm/README.md", "LICENSE": "LICENSE",
	} {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(to, "bin/") {
			mode = 0o755
		}
		if err := copyFile(filepath.Join(repo, filepath.FromSlash(from)), filepath.Join(dir, filepath.FromSlash(to)), mode); err != nil {
			return fmt.Errorf("laying out the npm package mcpctl: %w", err)
		}
	}
	return nil
}

// StagePlatform lays out in dir the npm package with the binary of p.
func StagePlatform(repo, dir string, p Platform, binary, version string) error {
	if err := p.Supported(); err != nil {
		return err
	}
	manifest, err := json.MarshalIndent(platformPackage{
		Name: p.NPMPackage(), Version: version,
		Description: fmt.Sprintf("mcpctl for %s on %s. Install the package mcpctl, which chooses.", p.nodeOS(), p.nodeArch()),
		Homepage:    "https://github.com/mcpctl/mcpctl#readme",
		Repository:  map[string]string{"type": "git", "url": "git+https://github.com/mcpctl/mcpctl.git", "directory": "npm"},
		License:     "Apache-2.0", Author: "The mcpctl Authors",
		OS: []string{p.nodeOS()}, CPU: []string{p.nodeArch()}, Files: []string{"bin"}, PreferUnplugged: true,
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, "package.json"), append(manifest, '\n'), 0o644); err != nil {
		return err
	}
	readme := fmt.Sprintf("# %s\n\nThe program of [mcpctl](https://www.npmjs.com/package/mcpctl) for one platform. Install `mcpctl` instead.\n", p.NPMPackage())
	if err := writeFile(filepath.Join(dir, "README.md"), []byte(readme), 0o644); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(repo, "LICENSE"), filepath.Join(dir, "LICENSE"), 0o644); err != nil {
		return fmt.Errorf("laying out %s: %w", p.NPMPackage(), err)
	}
	if err := copyFile(binary, filepath.Join(dir, "bin", p.Binary()), 0o755); err != nil {
		return fmt.Errorf("laying out %s: %w", p.NPMPackage(), err)
	}
	return nil
}

// NPMPack makes the tarball of the package in each of dirs, as npm publishes it,
// and puts it into the folder out, which exists. It returns the tarballs' paths.
func NPMPack(ctx context.Context, out string, dirs ...string) ([]string, error) {
	args := []string{"pack", "--json", "--ignore-scripts", "--loglevel=error", "--pack-destination", out}
	text, err := run(ctx, out, npm(), append(args, dirs...)...)
	if err != nil {
		return nil, fmt.Errorf("packing with npm: %w", err)
	}
	// npm 11 and before answer with a list, later ones with an object by name.
	type packed struct {
		Filename string `json:"filename"`
	}
	var list []packed
	if err := json.Unmarshal(text, &list); err != nil {
		var byName map[string]packed
		if err := json.Unmarshal(text, &byName); err != nil {
			return nil, fmt.Errorf("reading what npm pack says: %w", err)
		}
		for _, p := range byName {
			list = append(list, p)
		}
	}
	if len(list) != len(dirs) {
		return nil, fmt.Errorf("npm pack made %d packages instead of %d", len(list), len(dirs))
	}
	var tarballs []string
	for _, p := range list {
		tarballs = append(tarballs, filepath.Join(out, filepath.Base(p.Filename)))
	}
	return tarballs, nil
}

// npm is a batch file on Windows.
func npm() string {
	if runtime.GOOS == "windows" {
		return "npm.cmd"
	}
	return "npm"
}

// run returns what a program writes to standard output. What it writes to
// standard error is part of the error.
func run(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	var stderr strings.Builder
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Stderr = dir, &stderr
	out, err := c.Output()
	if err != nil {
		return out, fmt.Errorf("running %s: %w: %s%s", filepath.Base(name), err, out, stderr.String())
	}
	return out, nil
}
