package repotest

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A layer says which of our own packages the packages below dir must not reach, by themselves or through others.
type layer struct {
	dir    string
	banned []string
	why    string
}

// layers is the house's rule of who may know whom. Tests may reach further.
var layers = []layer{
	{"bridge", []string{"cmd", "server", "tokencache", "internal/entra", "internal/fakeentra"}, "declare the interface it needs, as bridge.TokenSource does, and let cmd fill it"},
	{"server", []string{"cmd", "bridge", "tokencache", "internal/fakeentra"}, "declare the interface it needs and let cmd fill it"},
	{"tokencache", []string{"cmd", "bridge", "server", "internal/entra", "internal/fakeentra"}, "it is handed to MSAL as MSAL's own interface"},
	{"internal", []string{"cmd", "bridge", "server", "tokencache"}, "internal packages serve both halves and know neither"},
	{"internal/era", []string{"internal/entra", "internal/desktop"}, "an era is about messages alone"},
	{"internal/recovery", []string{"internal/entra", "internal/era", "internal/desktop", "internal/profile"}, "recovery is about sessions and messages alone: let the caller say which failures are final"},
	{"internal/fakeentra", []string{"internal/entra", "internal/wire", "internal/era"}, "the authority must not share code with what it tests"},
	{"bench", []string{"cmd", "bridge", "server", "tokencache", "internal"}, "bench drives binaries, so that all are measured alike"},
}

// A keeper says that only the packages below dirs import an outside module or one of our packages.
type keeper struct {
	name  string // an import path, or a folder of ours
	ours  bool
	dirs  []string
	tests bool // tests may import it anywhere
	why   string
}

var keepers = []keeper{
	{"github.com/spf13/cobra", false, []string{"cmd"}, false, "command lines belong in cmd"},
	{"github.com/spf13/pflag", false, []string{"cmd"}, false, "command lines belong in cmd"},
	{"github.com/AzureAD/microsoft-authentication-library-for-go", false, []string{"internal/entra", "tokencache"}, true, "only internal/entra and tokencache know MSAL"},
	{"github.com/zalando/go-keyring", false, []string{"tokencache"}, false, "only tokencache knows the keyring; tests elsewhere inject a fake"},
	{"cmd", true, []string{"cmd"}, false, "nothing is built on top of the command line"},
	{"internal/fakeentra", true, []string{"cmd", "internal/fakeentra"}, true, "the embedded authority is for tests, demo and serve --dev"},
}

func importRules() []Rule {
	return []Rule{
		{"the layers keep apart", checkLayers},
		{"special modules have one keeper", checkKeepers},
		{"internal/wire imports nothing of ours", checkWireImports},
	}
}

func checkLayers(t *Tree) []string {
	var f findings
	graph := t.importGraph()
	for _, l := range layers {
		for _, dir := range slices.Sorted(maps.Keys(graph)) {
			if !within(dir, l.dir) {
				continue
			}
			for _, banned := range l.banned {
				if chain := reach(graph, dir, banned); chain != nil {
					f.add("%s imports %s: %s", chain[0], strings.Join(chain[1:], ", which imports "), l.why)
				}
			}
		}
	}
	return f
}

func checkKeepers(t *Tree) []string {
	var f findings
	for _, file := range t.gofile {
		for _, spec := range file.ast.Imports {
			imported := importPath(spec.Path.Value)
			for _, k := range keepers {
				name := k.name
				if k.ours {
					name = t.module + "/" + name
				}
				if within(imported, name) && !withinAny(file.dir, k.dirs) && !(file.test && k.tests) {
					f.add("%s imports %s: %s", t.pos(spec), imported, k.why)
				}
			}
		}
	}
	return f
}

func checkWireImports(t *Tree) []string {
	var f findings
	for _, file := range t.gofile {
		if !within(file.dir, "internal/wire") || file.test {
			continue
		}
		for _, spec := range file.ast.Imports {
			if dir, ok := t.ownPackage(spec.Path.Value); ok && !within(dir, "internal/wire") {
				f.add("%s imports %s: the relay core stands on nothing of ours; let the caller pass it in", t.pos(spec), dir)
			}
		}
	}
	return f
}

// importGraph tells for each folder with Go code which of our folders its code, tests apart, imports.
func (t *Tree) importGraph() map[string][]string {
	graph := map[string][]string{}
	for _, file := range t.gofile {
		if file.test {
			continue
		}
		for _, spec := range file.ast.Imports {
			if dir, ok := t.ownPackage(spec.Path.Value); ok && !slices.Contains(graph[file.dir], dir) {
				graph[file.dir] = append(graph[file.dir], dir)
			}
		}
	}
	return graph
}

// reach returns the shortest chain of imports from folder from to one at or below target, or nil.
func reach(graph map[string][]string, from, target string) []string {
	seen := map[string]bool{from: true}
	for queue := [][]string{{from}}; len(queue) > 0; queue = queue[1:] {
		chain := queue[0]
		for _, next := range graph[chain[len(chain)-1]] {
			longer := append(slices.Clone(chain), next)
			if within(next, target) {
				return longer
			}
			if !seen[next] {
				seen[next] = true
				queue = append(queue, longer)
			}
		}
	}
	return nil
}

// ownPackage returns the folder of an import in quotes if it is one of this module's.
func (t *Tree) ownPackage(quoted string) (dir string, ok bool) {
	return strings.CutPrefix(importPath(quoted), t.module+"/")
}

func importPath(quoted string) string {
	p, err := strconv.Unquote(quoted)
	if err != nil {
		return quoted // the parser took it, so this can't be
	}
	return p
}
