package cmd

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
)

// rootsOf turns folders into what a server is told.
func rootsOf(folders []string) ([]mcp.Root, error) {
	var out []mcp.Root
	for _, folder := range folders {
		root, err := rootOf(folder)
		if err != nil {
			return nil, err
		}
		out = append(out, root)
	}
	return out, nil
}

// rootOf is a folder as MCP names it: a file URI (RFC 8089).
func rootOf(folder string) (mcp.Root, error) {
	path, err := filepath.Abs(folder)
	if err != nil {
		return mcp.Root{}, fmt.Errorf("finding the folder of --root: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return mcp.Root{}, fmt.Errorf("looking at the folder of --root: %w", err)
	}
	if !info.IsDir() {
		return mcp.Root{}, fmt.Errorf("--root %s is not a folder", folder)
	}
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // C:/… becomes /C:/…
	}
	return mcp.Root{URI: (&url.URL{Scheme: "file", Path: slashed}).String(), Name: filepath.Base(path)}, nil
}
