package repotest

import (
	"encoding/json"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// topLevel is all that stands at the top. What is true must be there.
var topLevel = map[string]bool{
	"cmd": true, "bridge": false, "tokencache": false, "server": false, "internal": true,
	"npm": false, "bench": false, "docs": false, "examples": false, ".ci": true, ".github": true,
	"go.mod": true, "go.sum": true, "Makefile": true, "LICENSE": true,
	"README.md": true, "CHANGELOG.md": true, "CONTRIBUTING.md": true, "SECURITY.md": true,
	".golangci.yaml": true, ".goreleaser.yaml": true, ".gitignore": true, ".gitattributes": true, ".editorconfig": true,
}

// vagueNames say nothing about what is inside.
var vagueNames = []string{"util", "utils", "helper", "helpers", "common", "misc", "pkg"}

var (
	// The folders of one machine. Written so that this file doesn't break its own rule.
	machinePath = regexp.MustCompile(`(^|[^\w./-])/(work|tmp/bash_jobs|root/go)/`)
	uses        = regexp.MustCompile(`^\s*-?\s*uses:\s*(\S+)(.*)$`)
	pinned      = regexp.MustCompile(`@[0-9a-f]{40}$`)
	version     = regexp.MustCompile(`#\s*v\d`)
)

func layoutRules() []Rule {
	return []Rule{
		{"the top level is the house's", checkTopLevel},
		{"no folder is called util", checkVagueNames},
		{"the house is drawn as it stands", checkHouse},
		{"the licence is Apache-2.0", checkLicence},
		{"lock files name no registry", checkLockFiles},
		{"nothing knows one machine", checkMachinePaths},
		{"actions are pinned", checkActions},
	}
}

func checkTopLevel(t *Tree) []string {
	var f findings
	found := map[string]bool{}
	for _, p := range t.files {
		top, _, _ := strings.Cut(p, "/")
		if _, ok := topLevel[top]; !ok && !found[top] {
			f.add("%s doesn't belong at the top level: put it into one of the folders of docs/architecture.md", top)
		}
		found[top] = true
	}
	for _, top := range slices.Sorted(maps.Keys(topLevel)) {
		if topLevel[top] && !found[top] {
			f.add("%s is missing from the top level", top)
		}
	}
	return f
}

func checkVagueNames(t *Tree) []string {
	var f findings
	seen := map[string]bool{}
	for _, p := range t.files {
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			if !seen[dir] && slices.Contains(vagueNames, path.Base(dir)) {
				f.add("%s says nothing about what is inside: name the folder after its job", dir)
			}
			seen[dir] = true
		}
	}
	return f
}

func checkLicence(t *Tree) []string {
	text, err := fs.ReadFile(t.fsys, "LICENSE")
	if err != nil {
		return []string{"LICENSE is missing: it must hold the Apache License 2.0"}
	}
	var f findings
	for _, part := range []string{"Apache License", "Version 2.0, January 2004", "END OF TERMS AND CONDITIONS", "The mcpctl Authors"} {
		if !strings.Contains(string(text), part) {
			f.add("LICENSE lacks %q: it must hold the whole Apache License 2.0 and the copyright line of The mcpctl Authors", part)
		}
	}
	return f
}

func checkLockFiles(t *Tree) []string {
	var f findings
	for _, p := range t.files {
		if path.Base(p) == "package.json" && t.declaresDependencies(p) && !t.has(path.Join(path.Dir(p), "package-lock.json")) {
			f.add("%s has dependencies and no package-lock.json beside it: run npm install there", p)
		}
		if path.Base(p) != "package-lock.json" {
			continue
		}
		var lock struct {
			Packages map[string]struct {
				Resolved string `json:"resolved"`
				Link     bool   `json:"link"`
			} `json:"packages"`
		}
		data, err := fs.ReadFile(t.fsys, p)
		if err == nil {
			err = json.Unmarshal(data, &lock)
		}
		if err != nil {
			f.add("%s can't be read: %v", p, err)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(lock.Packages)) {
			if pkg := lock.Packages[name]; pkg.Resolved != "" && !pkg.Link {
				f.add("%s names where %s was downloaded from, so that it installs from there alone: put omit-lockfile-registry-resolved=true into the .npmrc beside it and run npm install", p, name)
				break
			}
		}
	}
	return f
}

// declaresDependencies tells whether a package.json lists packages that npm would install.
func (t *Tree) declaresDependencies(p string) bool {
	var pkg struct {
		Dependencies, DevDependencies map[string]string
	}
	data, err := fs.ReadFile(t.fsys, p)
	return err == nil && json.Unmarshal(data, &pkg) == nil && len(pkg.Dependencies)+len(pkg.DevDependencies) > 0
}

func checkMachinePaths(t *Tree) []string {
	var f findings
	for _, p := range t.files {
		t.lines(p, func(number int, line string) {
			if m := machinePath.FindString(line); m != "" {
				f.add("%s:%d names %s, a folder of one machine: make it relative, or take it from the environment", p, number, m[strings.Index(m, "/"):])
			}
		})
	}
	return f
}

func checkActions(t *Tree) []string {
	var f findings
	for _, p := range t.files {
		if path.Dir(p) != ".github/workflows" {
			continue
		}
		t.lines(p, func(number int, line string) {
			m := uses.FindStringSubmatch(line)
			if m == nil || strings.HasPrefix(m[1], "./") {
				return
			}
			if !pinned.MatchString(m[1]) || !version.MatchString(m[2]) {
				f.add("%s:%d uses %s: pin the action to a commit (40 hex digits) and name its version in a comment", p, number, m[1])
			}
		})
	}
	return f
}
