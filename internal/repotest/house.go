package repotest

import (
	"cmp"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// housePlan is where every folder is listed with its job.
const housePlan = "docs/architecture.md"

// room is a line of the plan: a folder, indented below the one it is in.
var room = regexp.MustCompile(`^( *)(\S+)/(?:\s|$)`)

// checkHouse compares the plan, which is the first block of code in it, with the
// folders of Go code: a reader finds any behaviour by its folder.
func checkHouse(t *Tree) []string {
	text, err := fs.ReadFile(t.fsys, housePlan)
	if err != nil {
		return []string{housePlan + " is missing: it must list the folders and their jobs"}
	}
	_, plan, _ := strings.Cut(string(text), "```\n")
	plan, _, _ = strings.Cut(plan, "```")
	drawn := map[string]bool{}
	top := ""
	for line := range strings.Lines(plan) {
		m := room.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if m[1] == "" {
			top = ""
			for name := range strings.FieldsSeq(line) {
				if dir, ok := strings.CutSuffix(name, "/"); ok {
					drawn[dir] = true
					top = cmp.Or(top, dir)
				}
			}
			continue
		}
		drawn[path.Join(top, m[2])] = true
	}
	var f findings
	stands := map[string]bool{}
	for _, file := range t.gofile {
		top, inner, _ := strings.Cut(file.dir, "/")
		if inner != "" && (top == "internal" || top == "server") {
			inner, _, _ = strings.Cut(inner, "/")
			stands[path.Join(top, inner)] = true
		} else if top != "." {
			stands[top] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(stands)) {
		if !drawn[dir] {
			f.add("%s is missing from %s: say there what its job is", dir, housePlan)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(drawn)) {
		if !slices.ContainsFunc(t.files, func(p string) bool { return within(p, dir) }) {
			f.add("%s lists %s, which doesn't exist", housePlan, dir)
		}
	}
	return f
}
