// Package packaging makes those packages of a release that goreleaser has no
// pipe for, from the binaries that it builds: the npm packages, and the bundles
// for Claude Desktop. Its tests install and use them, and look at everything else
// that is shipped: .goreleaser.yaml, the image and the deployment examples.
package packaging

import (
	"cmp"
	"fmt"
	"slices"
)

// A Platform is one that mcpctl is released for.
type Platform struct {
	OS, Arch string // as Go names them
}

// Platforms are all that mcpctl is released for.
func Platforms() []Platform {
	var list []Platform
	for _, os := range []string{"darwin", "linux", "windows"} {
		for _, arch := range []string{"amd64", "arm64"} {
			list = append(list, Platform{os, arch})
		}
	}
	return list
}

// Supported returns an error for a platform that mcpctl isn't released for.
func (p Platform) Supported() error {
	if !slices.Contains(Platforms(), p) {
		return fmt.Errorf("there is no release for %s/%s, only for %v", p.OS, p.Arch, Platforms())
	}
	return nil
}

// nodeOS and nodeArch are the platform's names in Node, npm and Claude Desktop.
func (p Platform) nodeOS() string {
	return cmp.Or(map[string]string{"windows": "win32"}[p.OS], p.OS)
}

func (p Platform) nodeArch() string {
	return cmp.Or(map[string]string{"amd64": "x64"}[p.Arch], p.Arch)
}

// NPMPackage is the name of the package with the platform's binary.
func (p Platform) NPMPackage() string {
	return "@mcpctl/" + p.nodeOS() + "-" + p.nodeArch()
}

// Binary is the name of the program's file.
func (p Platform) Binary() string {
	if p.OS == "windows" {
		return "mcpctl.exe"
	}
	return "mcpctl"
}
