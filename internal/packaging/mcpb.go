package packaging

import (
	"archive/zip"
	"bytes"
	"context"
	_ "embed" // the manifest
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

//go:embed manifest.json
var bundleManifest []byte

// zipDate is 1980-01-01, the earliest that a zip can hold, as MS-DOS counts.
const zipDate = 1<<5 | 1

// StageBundle lays out in dir the bundle for Claude Desktop with the binary of p.
// Bundles don't know processors, so that there is one for each platform.
func StageBundle(repo, dir string, p Platform, binary, version string) error {
	if err := p.Supported(); err != nil {
		return err
	}
	manifest := bundleManifest
	for _, r := range [][2]string{
		{`"0.0.0"`, `"` + version + `"`},
		{`server/mcpctl"`, `server/` + p.Binary() + `"`},
		{`["darwin"]`, `["` + p.nodeOS() + `"]`},
	} {
		manifest = bytes.ReplaceAll(manifest, []byte(r[0]), []byte(r[1]))
	}
	if err := writeFile(filepath.Join(dir, "manifest.json"), manifest, 0o644); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(repo, "LICENSE"), filepath.Join(dir, "LICENSE"), 0o644); err != nil {
		return fmt.Errorf("laying out the bundle: %w", err)
	}
	if err := copyFile(binary, filepath.Join(dir, "server", p.Binary()), 0o755); err != nil {
		return fmt.Errorf("laying out the bundle: %w", err)
	}
	return nil
}

// BundlePack validates the bundle in dir and packs it into the file out, with
// the tool pinned in the repository's .ci/mcpb. The same dir gives the same bytes.
func BundlePack(ctx context.Context, repo, dir, out string) error {
	tool, err := filepath.Abs(filepath.Join(repo, ".ci", "mcpb", "node_modules", "@anthropic-ai", "mcpb", "dist", "cli", "cli.js"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(tool); err != nil {
		return fmt.Errorf("finding the tool that packs bundles: %w. Run: bash .ci/npm-ci .ci/mcpb", err)
	}
	if _, err := run(ctx, dir, "node", tool, "validate", "manifest.json"); err != nil {
		return fmt.Errorf("validating the bundle: %w", err)
	}
	if _, err := run(ctx, dir, "node", tool, "pack", ".", out); err != nil {
		return fmt.Errorf("packing the bundle: %w", err)
	}
	return forgetTimes(out)
}

// forgetTimes gives every file in a zip the same time: mcpb writes that of the
// packing.
func forgetTimes(path string) error {
	in, err := zip.OpenReader(path)
	if err != nil {
		return fmt.Errorf("reading the bundle: %w", err)
	}
	defer func() { _ = in.Close() }()
	var b bytes.Buffer
	out := zip.NewWriter(&b)
	for _, f := range in.File {
		header := f.FileHeader
		header.Extra = nil
		header.ModifiedDate, header.ModifiedTime = zipDate, 0 //nolint:staticcheck // CreateRaw writes these as they are
		w, err := out.CreateRaw(&header)
		if err != nil {
			return err
		}
		r, err := f.OpenRaw()
		if err != nil {
			return err
		}
		if _, err := io.Copy(w, r); err != nil {
			return err
		}
	}
	if err := errors.Join(out.Close(), in.Close()); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644) //nolint:gosec // published
}
