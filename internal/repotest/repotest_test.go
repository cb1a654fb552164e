package repotest

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestRepository is what this package is for.
func TestRepository(t *testing.T) {
	tree, err := Load(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			for _, finding := range rule.Check(tree) {
				t.Error(finding)
			}
		})
	}
}

// good returns the files of a small repository that keeps every rule.
func good() map[string]string {
	files := map[string]string{
		"go.mod":                  "module example.com/m\n\ngo 1.26.0\n",
		"LICENSE":                 "Apache License\nVersion 2.0, January 2004\nEND OF TERMS AND CONDITIONS\nCopyright 2026 The mcpctl Authors\n",
		".ci/run":                 "exec make test\n",
		".github/workflows/t.yml": "    - uses: actions/checkout@0123456789012345678901234567890123456789 # v6.0.2\n    - uses: ./.github/local\n",
		"cmd/mcpctl/main.go":      "// Command mcpctl signs in.\npackage main\n\nimport (\"os\"; \"fmt\"; _ \"example.com/m/cmd\")\n\nfunc main() { fmt.Println(); os.Exit(0) }\n",
		"cmd/root.go":             "// Package cmd is the command line.\npackage cmd\n\nimport (_ \"github.com/spf13/cobra\"; _ \"example.com/m/bridge\"; _ \"example.com/m/internal/fakeentra\")\n",
		"bridge/bridge.go":        "// Package bridge relays.\npackage bridge\n\nimport _ \"example.com/m/internal/wire\"\n",
		"bridge/bridge_test.go":   "package bridge_test\n\nimport _ \"example.com/m/internal/fakeentra\"\n",
		"server/server.go":        "// Package server lets in.\npackage server\n\nimport _ \"example.com/m/internal/wire\"\n",
		"tokencache/cache.go":     "// Package tokencache keeps.\npackage tokencache\n\nimport _ \"github.com/zalando/go-keyring\"\n",
		"internal/entra/entra.go": "// Package entra signs in.\npackage entra\n\nimport _ \"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public\"\n",
		"internal/fakeentra/f.go": "// Package fakeentra plays Entra.\npackage fakeentra\n",
		"internal/wire/wire.go":   "// Package wire carries frames.\npackage wire\n\nfunc frame(progressToken, token []byte) {}\n",
		".ci/npm/package.json":    `{"dependencies": {"a": "1.0.0"}}`,
		".ci/npm/package-lock.json": `{"packages": {"": {}, "node_modules/a": {"integrity": "sha512-x"}, ` +
			`"node_modules/b": {"resolved": "../b", "link": true}}}`,
		"docs/architecture.md": "# Architecture\n\n```\ncmd/  commands\n  mcpctl/  main\nbridge/  relays\nserver/  lets in\ntokencache/  keeps\ninternal/\n" +
			"  entra/  signs in\n  fakeentra/  plays Entra\n  wire/  frames\n.ci/ .github/\n```\n",
		"internal/wire/testdata/hello.go": "package nonsense; func main() { println() }",
	}
	for name, required := range topLevel {
		there := slices.ContainsFunc(slices.Collect(maps.Keys(files)), func(p string) bool { return within(p, name) })
		if required && !there {
			files[name] = "\n"
		}
	}
	return files
}

// check returns what each rule finds in a repository of these files, by the rule's name.
func check(t *testing.T, files map[string]string) map[string][]string {
	t.Helper()
	fsys := fstest.MapFS{}
	for p, content := range files {
		fsys[p] = &fstest.MapFile{Data: []byte(content)}
	}
	listed, err := walkFiles(fsys)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := newTree(fsys, listed)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, rule := range Rules() {
		if f := rule.Check(tree); len(f) > 0 {
			found[rule.Name] = f
		}
	}
	return found
}

func TestGoodRepositoryKeepsEveryRule(t *testing.T) {
	if found := check(t, good()); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}

// A breach is a change to the good repository that breaks one rule, and what its message must say.
type breach struct {
	rule    string
	name    string
	path    string
	content string // "" removes the file
	want    []string
}

var breaches = []breach{
	{
		"the layers keep apart", "bridge imports server", "bridge/bad.go",
		"package bridge\n\nimport _ \"example.com/m/server/auth\"\n",
		[]string{"bridge imports server/auth", "bridge.TokenSource"},
	},
	{
		"the layers keep apart", "server imports tokencache", "server/bad.go",
		"package server\n\nimport _ \"example.com/m/tokencache\"\n",
		[]string{"server imports tokencache"},
	},
	{
		"the layers keep apart", "internal reaches cmd", "internal/desktop/d.go",
		"// Package desktop configures.\npackage desktop\n\nimport _ \"example.com/m/bridge\"\n",
		[]string{"internal/desktop imports bridge"},
	},
	{
		"the layers keep apart", "bench imports what it measures", "bench/main.go",
		"// Command bench measures.\npackage main\n\nimport _ \"example.com/m/bridge\"\n",
		[]string{"bench imports bridge", "binaries"},
	},
	{
		"special modules have one keeper", "cobra outside cmd", "bridge/bad.go",
		"package bridge\n\nimport _ \"github.com/spf13/cobra\"\n",
		[]string{"bridge/bad.go:3", "cobra", "belong in cmd"},
	},
	{
		"special modules have one keeper", "MSAL in the server", "server/bad.go",
		"package server\n\nimport _ \"github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors\"\n",
		[]string{"server/bad.go:3", "MSAL"},
	},
	{
		"special modules have one keeper", "keyring in a test elsewhere", "cmd/bad_test.go",
		"package cmd\n\nimport _ \"github.com/zalando/go-keyring\"\n",
		[]string{"cmd/bad_test.go:3", "inject a fake"},
	},
	{
		"special modules have one keeper", "fakeentra in a product package", "internal/era/bad.go",
		"// Package era translates.\npackage era\n\nimport _ \"example.com/m/internal/fakeentra\"\n",
		[]string{"internal/era/bad.go:4", "serve --dev"},
	},
	{
		"internal/wire imports nothing of ours", "wire imports era", "internal/wire/bad.go",
		"package wire\n\nimport _ \"example.com/m/internal/era\"\n",
		[]string{"internal/wire/bad.go:3", "internal/era"},
	},
	{
		"every package says what it is for", "no comment", "internal/wire/wire.go",
		"package wire\n",
		[]string{"internal/wire has no package comment", "// Package wire …"},
	},
	{
		"every package says what it is for", "main without a comment", "cmd/mcpctl/main.go",
		"package main\n",
		[]string{"cmd/mcpctl has no package comment"},
	},
	{
		"one job a file", "601 lines", "bridge/bad.go",
		"package bridge\n" + strings.Repeat("\n", 600),
		[]string{"bridge/bad.go has 601 lines", "split it by job"},
	},
	{
		"stdout is the protocol", "os.Stdout under another name", "bridge/bad.go",
		"package bridge\n\nimport sys \"os\"\n\nvar out = sys.Stdout\n",
		[]string{"bridge/bad.go:5", "injected io.Writer"},
	},
	{
		"stdout is the protocol", "fmt.Printf", "internal/entra/bad.go",
		"package entra\n\nimport \"fmt\"\n\nfunc f() { fmt.Printf(\"\") }\n",
		[]string{"internal/entra/bad.go:5"},
	},
	{
		"stdout is the protocol", "println", "server/bad.go",
		"package server\n\nfunc f() { println() }\n",
		[]string{"server/bad.go:3", "built-in println"},
	},
	{
		"only main exits", "os.Exit in a command", "cmd/bad.go",
		"package cmd\n\nimport \"os\"\n\nfunc f() { os.Exit(1) }\n",
		[]string{"cmd/bad.go:5", "return an error"},
	},
	{
		"internal/wire knows no product word", "a parameter", "internal/wire/bad.go",
		"package wire\n\nfunc dial(accessToken string) {}\n",
		[]string{"internal/wire/bad.go:3 declares accessToken", "no access tokens"},
	},
	{
		"internal/wire knows no product word", "a plural", "internal/wire/bad.go",
		"package wire\n\nvar oldRefreshTokens []string\n",
		[]string{"declares oldRefreshTokens"},
	},
	{
		"internal/wire knows no product word", "a field", "internal/wire/http/bad.go",
		"// Package http carries.\npackage http\n\ntype conn struct{ TenantID string }\n",
		[]string{"declares TenantID", "no tenants"},
	},
	{
		"internal/wire knows no product word", "a local variable", "internal/wire/bad.go",
		"package wire\n\nfunc f() { for bearer := range 3 { _ = bearer } }\n",
		[]string{"declares bearer"},
	},
	{
		"the top level is the house's", "a stray folder", "pages/index.md", "x\n",
		[]string{"pages doesn't belong at the top level"},
	},
	{
		"the top level is the house's", "no security policy", "SECURITY.md", "",
		[]string{"SECURITY.md is missing"},
	},
	{
		"no folder is called util", "util", "server/auth/util/x.go",
		"// Package util is vague.\npackage util\n",
		[]string{"server/auth/util says nothing"},
	},
	{
		"the house is drawn as it stands", "a folder that isn't drawn", "internal/era/era.go",
		"// Package era translates.\npackage era\n",
		[]string{"internal/era is missing from docs/architecture.md"},
	},
	{
		"the house is drawn as it stands", "a folder that is gone", "tokencache/cache.go", "",
		[]string{"docs/architecture.md lists tokencache, which doesn't exist"},
	},
	{
		"the licence is Apache-2.0", "another licence", "LICENSE", "MIT License\n",
		[]string{`LICENSE lacks "Apache License"`},
	},
	{
		"lock files name no registry", "an address", ".ci/npm/package-lock.json",
		`{"packages": {"node_modules/a": {"resolved": "https://registry.example/a.tgz"}}}`,
		[]string{".ci/npm/package-lock.json names where node_modules/a", "omit-lockfile-registry-resolved"},
	},
	{
		"lock files name no registry", "no lock file", ".ci/npm/package-lock.json", "",
		[]string{".ci/npm/package.json has dependencies"},
	},
	{
		"lock files name no registry", "nonsense", ".ci/npm/package-lock.json", "{",
		[]string{"can't be read"},
	},
	{
		"nothing knows one machine", "an absolute path", "docs/setup.md", "First.\nOpen `" + "/wo" + "rk/main/docs`.\n",
		[]string{"docs/setup.md:2 names " + "/wo" + "rk/"},
	},
	{
		"actions are pinned", "a tag", ".github/workflows/bad.yml", "      - uses: actions/checkout@v6\n",
		[]string{".github/workflows/bad.yml:1 uses actions/checkout@v6", "40 hex digits"},
	},
	{
		"actions are pinned", "no version", ".github/workflows/bad.yml",
		"      - uses: actions/checkout@0123456789012345678901234567890123456789\n",
		[]string{"name its version"},
	},
}

func TestBreachIsFoundAndExplained(t *testing.T) {
	for _, b := range breaches {
		t.Run(b.rule+"/"+b.name, func(t *testing.T) {
			files := good()
			if delete(files, b.path); b.content != "" {
				files[b.path] = b.content
			}
			found := check(t, files)
			for _, want := range b.want {
				if !strings.Contains(strings.Join(found[b.rule], "\n"), want) {
					t.Errorf("%q isn't in what %q found: %q", want, b.rule, found[b.rule])
				}
			}
		})
	}
}

func TestEveryRuleHasABreach(t *testing.T) {
	for _, rule := range Rules() {
		if !slices.ContainsFunc(breaches, func(b breach) bool { return b.rule == rule.Name }) {
			t.Errorf("no test breaks %q", rule.Name)
		}
	}
}

func TestLayersSeeThroughOtherPackages(t *testing.T) {
	files := good()
	files["internal/desktop/d.go"] = "// Package desktop configures.\npackage desktop\n\nimport _ \"example.com/m/internal/entra\"\n"
	files["bridge/bad.go"] = "package bridge\n\nimport _ \"example.com/m/internal/desktop\"\n"
	got := strings.Join(check(t, files)["the layers keep apart"], "\n")
	if want := "bridge imports internal/desktop, which imports internal/entra"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSplitName(t *testing.T) {
	for name, want := range map[string]string{
		"token": "token", "idToken": "id token", "TenantID": "tenant id", "URLToken": "url token", "access_token": "access token",
		"tokenizer": "tokenizer", "HTTPSConn": "https conn", "_": "",
	} {
		if got := strings.Join(splitName(name), " "); got != want {
			t.Errorf("splitName(%q) = %q, want %q", name, got, want)
		}
	}
}
