package packaging

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bundle is what Claude Desktop reads of a manifest.
type bundle struct {
	Version string `json:"version"`
	Server  struct {
		Type       string `json:"type"`
		EntryPoint string `json:"entry_point"`
		Config     struct {
			Command string   `json:"command"`
			Args    []string `json:"args"`
		} `json:"mcp_config"`
	} `json:"server"`
	UserConfig map[string]struct {
		Required bool `json:"required"`
	} `json:"user_config"`
	Compatibility struct {
		Platforms []string `json:"platforms"`
	} `json:"compatibility"`
}

// TestBundle starts what is in a bundle as Claude Desktop does. That packing
// changes nothing is another test's: the tool takes long over a whole program.
func TestBundle(t *testing.T) {
	unpacked := t.TempDir()
	must(t, StageBundle(repo, unpacked, here, mcpctl, testVersion))
	data, err := os.ReadFile(filepath.Join(unpacked, "manifest.json"))
	must(t, err)
	var b bundle
	must(t, json.Unmarshal(data, &b))
	if b.Version != testVersion || !b.UserConfig["url"].Required {
		t.Errorf("manifest %+v", b)
	}
	fill := strings.NewReplacer("${__dirname}", unpacked, "${user_config.url}", newMCPServer(t))
	var args []string
	for _, a := range b.Server.Config.Args {
		args = append(args, fill.Replace(a))
	}
	c := exec.CommandContext(testContext(t), fill.Replace(b.Server.Config.Command), args...)
	c.Env = append(os.Environ(), "MCPCTL_CONFIG_DIR="+t.TempDir())
	s := startSession(t, c)
	s.initialize() // it answers before anybody has signed in
	if code := s.end(); code != 0 {
		t.Errorf("after the end of input the exit code is %d, want 0", code)
	}
}

// TestBundleOfEachPlatform has mcpb judge the manifests.
func TestBundleOfEachPlatform(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	must(t, os.WriteFile(program, []byte("a program"), 0o600))
	for _, p := range []Platform{{"darwin", "arm64"}, {"windows", "amd64"}, {"linux", "arm64"}} {
		t.Run(p.OS, func(t *testing.T) {
			stage, file := t.TempDir(), filepath.Join(t.TempDir(), "mcpctl.mcpb")
			must(t, StageBundle(repo, stage, p, program, testVersion))
			must(t, BundlePack(testContext(t), repo, stage, file))
			unpacked := unzip(t, file)
			data, err := os.ReadFile(filepath.Join(unpacked, "manifest.json"))
			must(t, err)
			var b bundle
			must(t, json.Unmarshal(data, &b))
			entry := filepath.Join(unpacked, filepath.FromSlash(b.Server.EntryPoint))
			if packed, err := os.ReadFile(entry); err != nil || string(packed) != "a program" {
				t.Errorf("the manifest starts what is not there: %q, %v", packed, err)
			}
			if info, err := os.Stat(entry); err != nil || here.OS != "windows" && info.Mode().Perm() != 0o755 {
				t.Errorf("the program can't be run: %v, %v", info, err)
			}
			if b.Server.Config.Command != "${__dirname}/"+b.Server.EntryPoint || b.Server.Type != "binary" {
				t.Errorf("server %+v", b.Server)
			}
			if got := b.Compatibility.Platforms; len(got) != 1 || got[0] != p.nodeOS() {
				t.Errorf("platforms %v, want %s", got, p.nodeOS())
			}
		})
	}
}

func TestBundleIsReproducible(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	must(t, os.WriteFile(program, []byte("a program"), 0o600))
	var sums [2][sha256.Size]byte
	for i := range sums {
		if i > 0 {
			time.Sleep(time.Until(time.Now().Truncate(2 * time.Second).Add(2 * time.Second))) // zips know every other second
		}
		stage, file := t.TempDir(), filepath.Join(t.TempDir(), "mcpctl.mcpb")
		must(t, StageBundle(repo, stage, here, program, testVersion))
		must(t, BundlePack(testContext(t), repo, stage, file))
		data, err := os.ReadFile(file)
		must(t, err)
		sums[i] = sha256.Sum256(data)
	}
	if sums[0] != sums[1] {
		t.Error("the same program and version gave two different bundles")
	}
}

func TestBundleWithBadManifestIsRefused(t *testing.T) {
	stage, file := t.TempDir(), filepath.Join(t.TempDir(), "mcpctl.mcpb")
	must(t, StageBundle(repo, stage, here, os.DevNull, testVersion))
	must(t, os.WriteFile(filepath.Join(stage, "manifest.json"), []byte(`{"manifest_version": "0.3", "name": "mcpctl"}`), 0o600))
	if err := BundlePack(testContext(t), repo, stage, file); err == nil || !strings.Contains(err.Error(), "validating the bundle") {
		t.Errorf("error %v", err)
	}
}

// unzip unpacks with the modes in the archive, as Claude Desktop does.
func unzip(t *testing.T, file string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	r, err := zip.OpenReader(file)
	must(t, err)
	defer r.Close()
	for _, f := range r.File {
		if !filepath.IsLocal(f.Name) {
			t.Fatalf("the bundle leaves its folder: %s", f.Name)
		}
		from, err := f.Open()
		must(t, err)
		data, err := io.ReadAll(from)
		must(t, err)
		must(t, writeFile(filepath.Join(dir, filepath.FromSlash(f.Name)), data, f.Mode().Perm()))
	}
	return dir
}
