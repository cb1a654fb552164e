package packaging

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReleasePlatforms holds together what goreleaser builds and what the
// packages know. goreleaser itself checks the rest: see TestRelease.
func TestReleasePlatforms(t *testing.T) {
	var g struct {
		Builds []struct {
			Env, Flags, Goos, Goarch []string
			ModTimestamp             string `yaml:"mod_timestamp"`
		}
		NFPMs []struct {
			Formats  []string
			Contents []struct{ Src, Dst string }
		} `yaml:"nfpms"`
	}
	readYAML(t, ".goreleaser.yaml", &g)
	b := g.Builds[0]
	var built []Platform
	for _, goos := range b.Goos {
		for _, goarch := range b.Goarch {
			built = append(built, Platform{goos, goarch})
		}
	}
	for _, p := range Platforms() {
		if !slices.Contains(built, p) {
			t.Errorf("%v is not built", p)
		}
	}
	if len(built) != len(Platforms()) {
		t.Errorf("%v are built, packages know %v", built, Platforms())
	}
	if !slices.Contains(b.Env, "CGO_ENABLED=0") || !slices.Contains(b.Flags, "-trimpath") || !strings.Contains(b.ModTimestamp, "CommitTimestamp") {
		t.Errorf("the build is not static or not reproducible: %+v", b)
	}
	if formats := g.NFPMs[0].Formats; !slices.Equal(formats, []string{"deb", "rpm", "apk"}) {
		t.Errorf("packages are made for %v", formats)
	}
	for _, c := range g.NFPMs[0].Contents {
		if c.Src == "" || strings.HasPrefix(c.Src, "bin/release/") {
			continue // made by the release
		}
		if _, err := os.Stat(filepath.Join(repo, filepath.FromSlash(c.Src))); err != nil {
			t.Errorf("%s can't be packed: %v", c.Dst, err)
		}
	}
}
