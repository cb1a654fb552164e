package cmd

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the release build; otherwise the module's build info counts.
var version string

type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildVersion() versionInfo {
	v := versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if v.Version == "" {
			v.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	if v.Version == "" || v.Version == "(devel)" {
		v.Version = "dev"
	}
	return v
}

func newVersion(deps Deps) *cobra.Command {
	var out outputFlag
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		GroupID: "more",
		Example: "  mcpctl version\n  mcpctl version -o json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			if out.json() {
				return writeJSON(deps.Stdout, v)
			}
			_, err := fmt.Fprintf(deps.Stdout, "mcpctl %s (%s, %s)\n", v.Version, v.Platform, v.Go)
			return err
		},
	}
	out.add(c)
	return c
}
