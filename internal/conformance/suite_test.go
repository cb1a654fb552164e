package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// suiteTime bounds one run of the suite.
const suiteTime = 2 * time.Minute

// requirements are the server scenarios of one revision.
type requirements struct {
	revision string
	scored   []string // must pass
	others   []string // extensions and what came after the revision
}

// readRequirements reads the set that the suite froze for a revision.
func readRequirements(t *testing.T, revision string) requirements {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(packages(t), "@modelcontextprotocol", "conformance", "requirements", revision+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Server    []string
		NotScored []struct{ Scenario, Leg string } `yaml:"not_scored"`
	}
	if err := yaml.Unmarshal(text, &set); err != nil {
		t.Fatalf("reading the requirements of %s: %v", revision, err)
	}
	r := requirements{revision: revision, scored: set.Server}
	for _, s := range set.NotScored {
		if s.Leg == "server" {
			r.others = append(r.others, s.Scenario)
		}
	}
	return r
}

// check is one line of a scenario's report.
type check struct {
	ID           string          `json:"id"`
	Description  string          `json:"description"`
	Status       string          `json:"status"` // SUCCESS, FAILURE, WARNING, SKIPPED, INFO
	ErrorMessage string          `json:"errorMessage"`
	Details      json.RawMessage `json:"details"`
}

// results are the checks by scenario.
type results map[string][]check

// run runs all scenarios of a requirement set against the server at url.
func (r requirements) run(t *testing.T, url string) results {
	t.Helper()
	return runSuite(t, url, "--requirements", r.revision)
}

// runAlone runs one of them.
func (r requirements) runAlone(t *testing.T, url, scenario string) []check {
	t.Helper()
	return runSuite(t, url, "--scenario", scenario, "--spec-version", r.revision)[scenario]
}

var resultFolder = regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$`)

func runSuite(t *testing.T, url string, which ...string) results {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), suiteTime)
	defer cancel()
	dir := t.TempDir()
	program := filepath.Join(packages(t), "@modelcontextprotocol", "conformance", "dist", "index.js")
	cmd := exec.CommandContext(ctx, node(t), append([]string{program, "server", "--url", url, "--output-dir", dir}, which...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1 is a scenario that failed
		t.Fatalf("the suite did not run: %v\n%s", err, out)
	}
	found := results{}
	folders, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		name := resultFolder.FindStringSubmatch(folder.Name())
		if name == nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, folder.Name(), "checks.json"))
		if errors.Is(err, os.ErrNotExist) {
			continue // the scenario broke off; its absence is noticed
		}
		var checks []check
		if err == nil {
			err = json.Unmarshal(text, &checks)
		}
		if err != nil {
			t.Fatalf("reading the results of %s: %v", name[1], err)
		}
		found[name[1]] = checks
	}
	if len(found) == 0 {
		t.Fatalf("the suite reported nothing:\n%s", out)
	}
	return found
}
