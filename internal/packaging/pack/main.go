// Command pack makes the npm packages and the bundles for Claude Desktop of a
// release; .goreleaser.yaml calls it.
//
//	pack -version V -out DIR                            the npm package mcpctl
//	pack -version V -out DIR -os OS -arch ARCH -binary FILE   a platform's npm package and bundle
//
// It is run at the top of the repository.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/mcpctl/mcpctl/internal/packaging"
)

func main() {
	var (
		version = flag.String("version", "", "`version` of the packages")
		out     = flag.String("out", "", "`folder` to put them into")
		goos    = flag.String("os", "", "`system` of the binary, as Go names it")
		goarch  = flag.String("arch", "", "`processor` of the binary, as Go names it")
		binary  = flag.String("binary", "", "the program's `file`")
	)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := pack(ctx, *version, *out, packaging.Platform{OS: *goos, Arch: *goarch}, *binary)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "pack: %v\n", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

func pack(ctx context.Context, version, out string, p packaging.Platform, binary string) error {
	if version == "" || out == "" {
		return fmt.Errorf("-version and -out are needed")
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // published
		return err
	}
	stage, err := os.MkdirTemp("", "mcpctl-pack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)

	if binary == "" {
		dir := filepath.Join(stage, "launcher")
		if err := packaging.StageLauncher(".", dir, version); err != nil {
			return err
		}
		_, err := packaging.NPMPack(ctx, out, dir)
		return err
	}
	npm, bundle := filepath.Join(stage, "npm"), filepath.Join(stage, "bundle")
	if err := packaging.StagePlatform(".", npm, p, binary, version); err != nil {
		return err
	}
	if _, err := packaging.NPMPack(ctx, out, npm); err != nil {
		return err
	}
	if err := packaging.StageBundle(".", bundle, p, binary, version); err != nil {
		return err
	}
	return packaging.BundlePack(ctx, ".", bundle, filepath.Join(out, fmt.Sprintf("mcpctl_%s_%s_%s.mcpb", version, p.OS, p.Arch)))
}
