//go:build release

package packaging

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestRelease makes all packages of the commit at hand twice, in two clones, and
// looks at what came out.
func TestRelease(t *testing.T) {
	dist := packageClone(t, repo)

	t.Run("reproducible", func(t *testing.T) {
		first, second := hashes(t, dist), hashes(t, packageClone(t, filepath.Dir(dist)))
		for name, sum := range first {
			if again, there := second[name]; !there {
				t.Errorf("%s was made the first time only", name)
			} else if again != sum {
				t.Errorf("%s differs from one time to the next", name)
			}
		}
		if len(first) != len(second) || len(first) < 30 {
			t.Errorf("%d files, then %d", len(first), len(second))
		}
	})
	t.Run("checksums", func(t *testing.T) {
		sums := checksums(t, dist)
		all := hashes(t, dist)
		for name, sum := range sums {
			if all[name] != sum {
				t.Errorf("the checksum of %s is wrong", name)
			}
		}
		for _, p := range Platforms() {
			for _, end := range []string{".tar.gz", ".zip", ".mcpb", ".cdx.json"} {
				if end == ".zip" != (p.OS == "windows") && (end == ".zip" || end == ".tar.gz") {
					continue
				}
				one(t, sums, regexp.MustCompile(`^mcpctl_.*_`+p.OS+`_`+p.Arch+regexp.QuoteMeta(end)+`$`))
			}
		}
		for _, arch := range []string{"amd64", "arm64"} {
			for _, end := range []string{"deb", "rpm", "apk"} {
				one(t, sums, regexp.MustCompile(`^mcpctl_.*_linux_`+arch+`\.`+end+`$`))
			}
		}
	})
	t.Run("npm", func(t *testing.T) {
		tarballs, err := filepath.Glob(filepath.Join(dist, "*.tgz"))
		must(t, err)
		var names []string
		for _, tarball := range tarballs {
			name, _ := manifestOf(t, tarball)["name"].(string)
			names = append(names, name)
		}
		for _, want := range append([]string{"mcpctl"}, "@mcpctl/darwin-arm64", "@mcpctl/darwin-x64", "@mcpctl/linux-arm64", "@mcpctl/linux-x64", "@mcpctl/win32-arm64", "@mcpctl/win32-x64") {
			if !slices.Contains(names, want) {
				t.Errorf("there is no package %s: %v", want, names)
			}
		}
		p := newPerson(t, newRegistry(t, tarballs))
		p.run(t, "npm", "install", "mcpctl")
		bridge := startSession(t, p.command(t, "npx", "mcpctl", "bridge", newMCPServer(t), "--no-auth"))
		bridge.initialize()
		if bridge.callEcho("hello") != "hello" || bridge.end() != 0 {
			t.Error("the released bridge does not relay")
		}
	})
	t.Run("programs", func(t *testing.T) {
		for _, arch := range []string{"amd64", "arm64"} {
			f, err := elf.Open(one(t, files(t, dist), regexp.MustCompile(`^mcpctl_linux_`+arch+`[^/]*/mcpctl$`), dist))
			must(t, err)
			for _, section := range f.Progs {
				if section.Type == elf.PT_INTERP {
					t.Errorf("the program for linux/%s is not static", arch)
				}
			}
			must(t, f.Close())
		}
	})
	t.Run("bill of materials", func(t *testing.T) {
		data, err := os.ReadFile(one(t, files(t, dist), regexp.MustCompile(`^mcpctl_[^/]*_linux_amd64\.cdx\.json$`), dist))
		must(t, err)
		var bom struct {
			BOMFormat  string `json:"bomFormat"`
			Components []struct{ Name, Version string }
		}
		must(t, json.Unmarshal(data, &bom))
		if bom.BOMFormat != "CycloneDX" || !slices.ContainsFunc(bom.Components, func(c struct{ Name, Version string }) bool {
			return c.Name == "github.com/spf13/cobra" && c.Version != ""
		}) {
			t.Errorf("%s with %d components", bom.BOMFormat, len(bom.Components))
		}
	})
	t.Run("package managers", func(t *testing.T) { checkManifests(t, dist) })
	if runtime.GOOS == "linux" {
		t.Run("deb", func(t *testing.T) { checkDeb(t, dist) })
	}
}

// packageClone runs .ci/package in a clone of what is committed in the work tree
// from, and returns its dist.
func packageClone(t *testing.T, from string) string {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "clone")
	for _, command := range [][]string{{"git", "clone", "--quiet", from, clone}, {"bash", filepath.Join(clone, ".ci", "package")}} {
		if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
		}
	}
	return filepath.Join(clone, "dist")
}

// files lists those below dir, relative to it.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	list := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		list[filepath.ToSlash(name)] = path
		return err
	}))
	return list
}

// hashes are those of everything in dist but goreleaser's notes on how it went.
func hashes(t *testing.T, dist string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for name, path := range files(t, dist) {
		if slices.Contains([]string{"config.yaml", "artifacts.json", "metadata.json"}, name) {
			continue
		}
		data, err := os.ReadFile(path)
		must(t, err)
		if strings.HasPrefix(name, "winget/") {
			data = unordered(data)
		}
		sum := sha256.Sum256(data)
		sums[name] = hex.EncodeToString(sum[:])
	}
	return sums
}

// unordered is a manifest for winget without what is another each time: which
// platform comes first, and the day. It is nothing that anybody downloads.
func unordered(manifest []byte) []byte {
	lines := slices.DeleteFunc(strings.Split(string(manifest), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "ReleaseDate:")
	})
	slices.Sort(lines)
	return []byte(strings.Join(lines, "\n"))
}

// checksums reads checksums.txt.
func checksums(t *testing.T, dist string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dist, "checksums.txt"))
	must(t, err)
	sums := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		sums[name] = sum
	}
	return sums
}

// one returns the path, below dir, of the one file that pattern matches.
func one(t *testing.T, among map[string]string, pattern *regexp.Regexp, dir ...string) string {
	t.Helper()
	var found []string
	for name := range among {
		if pattern.MatchString(name) {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d files match %s: %v", len(found), pattern, found)
	}
	return filepath.Join(append(dir, filepath.FromSlash(found[0]))...)
}

// checkManifests looks at what goes to Homebrew, Scoop and winget.
func checkManifests(t *testing.T, dist string) {
	sums := checksums(t, dist)
	for pattern, archives := range map[string][]string{
		`^homebrew/.*mcpctl\.rb$`:            {"darwin_amd64.tar.gz", "darwin_arm64.tar.gz", "linux_amd64.tar.gz"},
		`^scoop/.*mcpctl\.json$`:             {"windows_amd64.zip", "windows_arm64.zip"},
		`^winget/.*mcpctl\.installer\.yaml$`: {"windows_amd64.zip", "windows_arm64.zip"},
	} {
		data, err := os.ReadFile(one(t, files(t, dist), regexp.MustCompile(pattern), dist))
		must(t, err)
		if strings.HasPrefix(pattern, "^scoop") && !json.Valid(data) {
			t.Errorf("Scoop can't read\n%s", data)
		}
		for _, archive := range archives {
			sum := sums[one(t, sums, regexp.MustCompile(`^mcpctl_.*_`+regexp.QuoteMeta(archive)+`$`))]
			if !strings.Contains(strings.ToLower(string(data)), sum) {
				t.Errorf("%s lacks the checksum of %s:\n%s", pattern, archive, data)
			}
		}
	}
}

// checkDeb unpacks the Debian package for this machine and uses what is in it.
func checkDeb(t *testing.T, dist string) {
	root := t.TempDir()
	deb := one(t, files(t, dist), regexp.MustCompile(`^mcpctl_[^/]*_linux_`+runtime.GOARCH+`\.deb$`), dist)
	if out, err := exec.CommandContext(testContext(t), "dpkg-deb", "--extract", deb, root).CombinedOutput(); err != nil {
		t.Fatalf("unpacking %s: %v\n%s", deb, err, out)
	}
	for _, path := range []string{
		"usr/share/bash-completion/completions/mcpctl", "usr/share/zsh/vendor-completions/_mcpctl", "usr/share/fish/vendor_completions.d/mcpctl.fish",
		"usr/share/man/man1/mcpctl.1.gz", "usr/share/man/man1/mcpctl-serve.1.gz", "usr/lib/systemd/system/mcpctl.service",
		"usr/share/doc/mcpctl/mcpctl.yaml", "usr/share/doc/mcpctl/copyright", "etc/mcpctl",
	} {
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Errorf("the package lacks /%s", path)
		}
	}
	out, err := exec.CommandContext(testContext(t), filepath.Join(root, "usr", "bin", "mcpctl"), "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "mcpctl ") || strings.HasPrefix(string(out), "mcpctl dev") {
		t.Errorf("the packaged program says %q, %v", out, err)
	}
}
