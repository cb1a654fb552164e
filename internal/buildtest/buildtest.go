// Package buildtest builds the programs that tests run.
package buildtest

import (
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"runtime/debug"
)

// MCPCTL is the import path of the program itself.
const MCPCTL = "github.com/mcpctl/mcpctl/cmd/mcpctl"

// Program builds the main package pkg into dir and returns the program's path.
func Program(dir, pkg string, flags ...string) (string, error) {
	program := filepath.Join(dir, path.Base(pkg))
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	args := append([]string{"build", "-o", program}, flags...)
	//nolint:noctx // TestMain has no context; the time limit of go test bounds it
	out, err := exec.Command("go", append(args, pkg)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return program, nil
}

// Race returns the flag for a program that is to run under the race detector if
// the tests do, and nothing else.
func Race() []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, s := range info.Settings {
		if s.Key == "-race" && s.Value == "true" {
			return []string{"-race"}
		}
	}
	return nil
}
