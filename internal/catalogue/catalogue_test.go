package catalogue_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/catalogue"
)

func TestEntriesAreCompleteAndUnique(t *testing.T) {
	seen, counts := map[string]bool{}, map[catalogue.Kind]int{}
	for _, e := range catalogue.All() {
		counts[e.Kind]++
		code := strings.ToLower(e.Code)
		if seen[code] {
			t.Errorf("%s: there are two entries", e.Code)
		}
		seen[code] = true
		if e.Code == "" || e.Kind == "" || e.Title == "" || e.Meaning == "" || e.Who == "" || e.Fix == "" || len(e.Sources) == 0 {
			t.Errorf("%s: incomplete: %+v", e.Code, e)
		}
		for _, text := range []string{e.Title, e.Meaning, e.Fix} {
			if strings.HasSuffix(text, ".") || strings.TrimSpace(text) != text || strings.ContainsAny(text, "\n\t") {
				t.Errorf("%s: texts are joined into sentences: %q", e.Code, text)
			}
		}
		if len(e.Title) > 50 {
			t.Errorf("%s: the title is longer than a title: %q", e.Code, e.Title)
		}
		if got, ok := catalogue.Lookup(e.Code); !ok || got.Code != e.Code {
			t.Errorf("Lookup(%q) = %q, %v", e.Code, got.Code, ok)
		}
	}
	if counts[catalogue.KindAADSTS] < 60 {
		t.Errorf("there are %d AADSTS codes", counts[catalogue.KindAADSTS])
	}
}

func TestSourcesLeadSomewhere(t *testing.T) {
	used := map[string]bool{}
	for _, e := range catalogue.All() {
		for i, s := range e.Sources {
			used[s] = true
			if !strings.HasPrefix(catalogue.SourceURL(s), "https://") {
				t.Errorf("%s: the source %q has no address", e.Code, s)
			}
			if slices.Contains(e.Sources[:i], s) {
				t.Errorf("%s: the source %q is listed twice", e.Code, s)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(catalogue.Documents)) {
		if !used[name] {
			t.Errorf("no entry rests on the document %q", name)
		}
	}
	for source, want := range map[string]string{
		"RFC 6749 section 5.2":          "https://www.rfc-editor.org/rfc/rfc6749#section-5.2",
		"anthropics/claude-code#73460":  "https://github.com/anthropics/claude-code/issues/73460",
		"Entra error codes":             "https://learn.microsoft.com/entra/identity-platform/reference-error-codes",
		"something else":                "",
		"anthropics/claude-code#73460x": "",
	} {
		if got := catalogue.SourceURL(source); got != want {
			t.Errorf("SourceURL(%q) = %q, want %q", source, got, want)
		}
	}
}

// What an entry tells people to look up has to be there.
func TestEntriesReferToEntries(t *testing.T) {
	code := regexp.MustCompile(`AADSTS\d+|mcpctl explain ([\w-]+)`)
	for _, e := range catalogue.All() {
		for _, ref := range code.FindAllString(e.Meaning+" "+e.Fix, -1) {
			if _, ok := catalogue.Lookup(strings.TrimPrefix(ref, "mcpctl explain ")); !ok {
				t.Errorf("%s refers to %s, which has no entry", e.Code, ref)
			}
		}
	}
}

func TestAADSTSCodesAreInOrder(t *testing.T) {
	last := 0
	for _, e := range catalogue.All() {
		if e.Kind != catalogue.KindAADSTS {
			continue
		}
		n, err := strconv.Atoi(strings.TrimPrefix(e.Code, "AADSTS"))
		if err != nil || n <= last {
			t.Errorf("%s after %d", e.Code, last)
		}
		last = n
	}
}

func TestLookup(t *testing.T) {
	for in, want := range map[string]string{
		"AADSTS53003": "AADSTS53003", "53003": "AADSTS53003", " aadsts53003 ": "AADSTS53003",
		"invalid_grant": "invalid_grant", "Audience": "audience", "401": "HTTP 401", "http 401": "HTTP 401", "-31001": "-31001",
		"": "", "AADSTS": "", "AADSTS1": "", "x": "",
		"31001": "-31001",
		"99999": "", "--31001": "",
	} {
		if e, ok := catalogue.Lookup(in); e.Code != want || ok != (want != "") {
			t.Errorf("Lookup(%q) = %q, %v; want %q", in, e.Code, ok, want)
		}
	}
	if _, ok := catalogue.LookupRule("invalid_grant"); ok {
		t.Error("LookupRule found what is no rule")
	}
}

func TestHintIsOneSentenceAfterTheOther(t *testing.T) {
	for code, want := range map[string]string{
		"50058": "A silent sign-in found nobody signed in. Run: mcpctl login URL",
		"50057": "The account is disabled. This needs an Entra administrator: Entra admin center > Users > the user > Account status",
		"90024": "The authority had a passing fault. Try again in a minute",
	} {
		e, _ := catalogue.Lookup(code)
		if got := e.Hint(); got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
}

// The catalogue and the code that it explains live apart: what the code can
// answer with has to have an entry, and an entry has to be about something.
func TestOwnErrorsHaveEntries(t *testing.T) {
	tests := []struct {
		kind  catalogue.Kind
		dirs  []string
		named func(name, value string) bool // constants to look at
		all   bool                          // no entries but for these constants
	}{
		{catalogue.KindRule, []string{"server/auth"}, func(name, _ string) bool { return strings.HasPrefix(name, "Rule") }, true},
		{catalogue.KindRPC, []string{"bridge", "server/gateway"}, func(name, value string) bool {
			return strings.HasPrefix(name, "Code") && strings.HasPrefix(value, "-31")
		}, false},
	}
	for _, tt := range tests {
		found := map[string]bool{}
		for _, dir := range tt.dirs {
			for name, value := range constants(t, filepath.Join("..", "..", filepath.FromSlash(dir))) {
				if !tt.named(name, value) {
					continue
				}
				found[value] = true
				if e, ok := catalogue.Lookup(value); !ok || e.Kind != tt.kind {
					t.Errorf("%s in %s (%s) has no entry", name, dir, value)
				}
			}
		}
		if len(found) < 5 {
			t.Errorf("only %d constants of %v were found", len(found), tt.dirs)
		}
		for _, e := range catalogue.All() {
			if tt.all && e.Kind == tt.kind && !found[e.Code] {
				t.Errorf("%s explains what nothing answers with", e.Code)
			}
		}
	}
}

// constants are the constants of a package with a literal value.
func constants(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	set := token.NewFileSet()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".":
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(set, filepath.Join(dir, path), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, name := range spec.Names {
				if i < len(spec.Values) {
					if value := literal(spec.Values[i]); value != "" {
						out[name.Name] = value
					}
				}
			}
			return false
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil {
			return s
		}
		return e.Value
	case *ast.UnaryExpr:
		if e.Op == token.SUB {
			return "-" + literal(e.X)
		}
	}
	return ""
}

// What to do is said for a server's address as it is typed.
func TestFixFor(t *testing.T) {
	const at = "https://mcp.contoso.com/mcp"
	for code, want := range map[string]string{
		"expired":   "Run: mcpctl login " + at,
		"scope":     "Sign in again and agree to it: mcpctl login " + at,
		"algorithm": "This needs whoever registered the application: Get the token from Entra: mcpctl login " + at,
		"audience":  "Sign in for the scopes that the server names (mcpctl login " + at + "); if it stays, have the operator compare entra.client_id and entra.app_id_uri with the API's registration",
		"b2c-token": "This needs whoever runs the MCP server: Use an Entra ID (workforce) tenant",
	} {
		e, ok := catalogue.Lookup(code)
		if got := e.FixFor(at); !ok || got != want {
			t.Errorf("%s: %q", code, got)
		}
	}
}
