package packaging

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// release makes all npm packages of a release, once; of other platforms than this
// machine's only the package counts, not what is in it.
var release = sync.OnceValues(func() (tarballs []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dir := filepath.Join(filepath.Dir(mcpctl), "release")
	launcher := filepath.Join(dir, "launcher")
	if err := StageLauncher(repo, launcher, testVersion); err != nil {
		return nil, err
	}
	staged := []string{launcher}
	for _, p := range Platforms() {
		binary := mcpctl
		if p != here {
			binary = filepath.Join(dir, "other")
			if err := os.WriteFile(binary, []byte("a program of "+p.OS+" on "+p.Arch), 0o600); err != nil {
				return nil, err
			}
		}
		to := filepath.Join(dir, p.OS+"-"+p.Arch)
		if err := StagePlatform(repo, to, p, binary, testVersion); err != nil {
			return nil, err
		}
		staged = append(staged, to)
	}
	return NPMPack(ctx, dir, staged...)
})

func tarballs(t *testing.T) []string {
	t.Helper()
	list, err := release()
	must(t, err)
	return list
}

// person is somebody with npm and nothing else: no home, no cache, a registry.
type person struct {
	dir string
	env []string
}

func newPerson(t *testing.T, r *registry) person {
	t.Helper()
	home := t.TempDir()
	p := person{dir: filepath.Join(home, "project")}
	must(t, os.Mkdir(p.dir, 0o755))
	must(t, os.WriteFile(filepath.Join(p.dir, "package.json"), []byte("{\"private\": true}\n"), 0o600))
	for _, v := range os.Environ() {
		if name := strings.ToLower(v); !strings.HasPrefix(name, "npm_") && !strings.HasPrefix(name, "node_") && !strings.Contains(name, "_proxy=") {
			p.env = append(p.env, v)
		}
	}
	p.env = append(
		p.env, "HOME="+home, "USERPROFILE="+home, "APPDATA="+home, "LOCALAPPDATA="+home, "XDG_CONFIG_HOME="+home,
		"npm_config_registry="+r.url, "npm_config_cache="+filepath.Join(home, "cache"), "npm_config_audit=false",
		"npm_config_fund=false", "npm_config_update_notifier=false", "npm_config_fetch_retries=0",
	)
	return p
}

// command prepares npm or npx.
func (p person) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	if runtime.GOOS == "windows" {
		name += ".cmd"
	}
	c := exec.CommandContext(testContext(t), name, args...)
	c.Dir, c.Env = p.dir, p.env
	return c
}

func (p person) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := p.command(t, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestNPM installs the packages as a person does, into an empty project.
func TestNPM(t *testing.T) {
	r := newRegistry(t, tarballs(t))
	p := newPerson(t, r)
	p.run(t, "npm", "install", "mcpctl")

	for _, other := range Platforms() {
		if got, want := r.fetched(other.NPMPackage()), other == here; got != want {
			t.Errorf("npm fetched %s: %v, want %v", other.NPMPackage(), got, want)
		}
	}
	if out := p.run(t, "npx", "mcpctl", "version"); !strings.HasPrefix(out, "mcpctl "+testVersion+" (") {
		t.Errorf("npx mcpctl version prints %q", out)
	}

	t.Run("bridge", func(t *testing.T) {
		remote := newMCPServer(t)
		bridge := startSession(t, p.command(t, "npx", "mcpctl", "bridge", remote, "--no-auth"))
		bridge.initialize()
		if text := bridge.callEcho("grüße"); text != "grüße" {
			t.Errorf("echo answers %q", text)
		}
		if code := bridge.end(); code != 0 {
			t.Errorf("after the end of input the exit code is %d, want 0", code)
		}
	})
}

// TestNPXFromNothing is the entry that "mcpctl install --npx" writes.
func TestNPXFromNothing(t *testing.T) {
	p := newPerson(t, newRegistry(t, tarballs(t)))
	if out := p.run(t, "npx", "-y", "mcpctl", "version"); !strings.Contains(out, "mcpctl "+testVersion+" (") {
		t.Errorf("npx -y mcpctl version prints %q", out)
	}
}

func TestNPMWithoutOptionalPackages(t *testing.T) {
	p := newPerson(t, newRegistry(t, tarballs(t)))
	p.run(t, "npm", "install", "--omit=optional", "mcpctl")
	out, err := p.command(t, "npx", "mcpctl", "version").CombinedOutput()
	if err == nil {
		t.Errorf("mcpctl runs without a program: %s", out)
	}
	for _, want := range []string{here.NPMPackage(), "isn't installed", "--omit=optional", "npm install --include=optional mcpctl"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the error lacks %q: %s", want, out)
		}
	}
}

// TestNPMRunsNothingOnInstallation holds the promise of no install scripts, and
// that the launcher knows every platform.
func TestNPMRunsNothingOnInstallation(t *testing.T) {
	for _, tarball := range tarballs(t) {
		manifest := manifestOf(t, tarball)
		for _, key := range []string{"scripts", "dependencies", "bundleDependencies"} {
			if manifest[key] != nil {
				t.Errorf("%v has %s: %v", manifest["name"], key, manifest[key])
			}
		}
		if manifest["version"] != testVersion || manifest["license"] != "Apache-2.0" {
			t.Errorf("%v is version %v under %v", manifest["name"], manifest["version"], manifest["license"])
		}
	}

	dir := t.TempDir()
	must(t, StageLauncher(repo, dir, testVersion))
	data, err := os.ReadFile(filepath.Join(dir, "package.json"))
	must(t, err)
	var launcher struct {
		OptionalDependencies map[string]string `json:"optionalDependencies"`
	}
	must(t, json.Unmarshal(data, &launcher))
	want := map[string]string{}
	for _, p := range Platforms() {
		want[p.NPMPackage()] = testVersion // exactly: program and launcher belong together
	}
	if !maps.Equal(launcher.OptionalDependencies, want) {
		t.Errorf("the launcher's platforms are %v, want %v", launcher.OptionalDependencies, want)
	}
}

func TestUnknownPlatformsAreRefused(t *testing.T) {
	p := Platform{"plan9", "amd64"}
	if slices.Contains(Platforms(), p) {
		t.Fatal("plan9 is released now: take another one")
	}
	for _, err := range []error{
		StagePlatform(repo, t.TempDir(), p, mcpctl, testVersion),
		StageBundle(repo, t.TempDir(), p, mcpctl, testVersion),
	} {
		if err == nil || !strings.Contains(err.Error(), "plan9/amd64") {
			t.Errorf("error %v", err)
		}
	}
}
