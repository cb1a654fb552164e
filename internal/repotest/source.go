package repotest

import (
	"go/ast"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"
)

// maxLines is where a file has more than one job.
const maxLines = 600

// stdoutDirs hold programs, whose stdout is theirs to use.
var stdoutDirs = []string{"cmd", "bench", "examples"}

// productWords are what the relay core must not know about, as parts of the names that it declares. A token alone isn't among
// them: JSON has tokens, and MCP messages have progress tokens.
var productWords = []string{
	"tenant", "entra", "msal", "oauth", "oidc", "jwt", "bearer", "keyring", "credential",
	"access token", "refresh token", "auth token", "token source", "token provider", "token cache",
}

func sourceRules() []Rule {
	return []Rule{
		{"every package says what it is for", checkPackageComments},
		{"one job a file", checkFileLength},
		{"stdout is the protocol", checkStdout},
		{"only main exits", checkExit},
		{"internal/wire knows no product word", checkWireWords},
	}
}

func checkPackageComments(t *Tree) []string {
	var f findings
	documented := map[string]bool{}
	name := map[string]string{}
	for _, file := range t.gofile {
		pkg := file.ast.Name.Name
		if strings.HasSuffix(pkg, "_test") && name[file.dir] != "" {
			continue
		}
		name[file.dir] = pkg
		doc := file.ast.Doc.Text()
		documented[file.dir] = documented[file.dir] || strings.HasPrefix(doc, "Package "+pkg+" ") || pkg == "main" && doc != ""
	}
	for _, dir := range slices.Sorted(maps.Keys(documented)) {
		if !documented[dir] {
			f.add("%s has no package comment: one of its files must open with \"// Package %s …\" and say what it is for", dir, name[dir])
		}
	}
	return f
}

func checkFileLength(t *Tree) []string {
	var f findings
	for _, file := range t.gofile {
		if lines := t.fset.File(file.ast.FileStart).LineCount(); lines > maxLines && !file.test && !ast.IsGenerated(file.ast) {
			f.add("%s has %d lines, more than %d: it has more than one job; split it by job", file.path, lines, maxLines)
		}
	}
	return f
}

func checkStdout(t *Tree) []string {
	var f findings
	for _, file := range t.gofile {
		if file.test || withinAny(file.dir, stdoutDirs) {
			continue
		}
		ast.Inspect(file.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if file.refers(n, "os", "Stdout") || file.refers(n, "fmt", "Print", "Printf", "Println") {
					f.add("%s uses stdout, which carries the protocol: write to an injected io.Writer", t.pos(n))
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
					f.add("%s calls the built-in %s: use the injected logger", t.pos(n), id.Name)
				}
			}
			return true
		})
	}
	return f
}

func checkExit(t *Tree) []string {
	var f findings
	for _, file := range t.gofile {
		if file.test || file.ast.Name.Name == "main" {
			continue
		}
		ast.Inspect(file.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && (file.refers(sel, "os", "Exit") || file.refers(sel, "log", "Fatal", "Fatalf", "Fatalln")) {
				f.add("%s ends the process, so that nothing is closed: return an error, main turns it into an exit code", t.pos(sel))
			}
			return true
		})
	}
	return f
}

func checkWireWords(t *Tree) []string {
	var f findings
	for _, file := range t.gofile {
		if file.test || !within(file.dir, "internal/wire") {
			continue
		}
		for _, id := range declared(file.ast) {
			name := " " + strings.Join(splitName(id.Name), " ")
			for _, word := range productWords {
				if strings.Contains(name+" ", " "+word+" ") || strings.Contains(name+" ", " "+word+"s ") {
					f.add("%s declares %s: the relay core knows frames and connections, no %ss; say what it is there, or move it to the package that knows", t.pos(id), id.Name, word)
					break
				}
			}
		}
	}
	return f
}

// refers tells whether sel is one of names in the imported package pkg, whatever name the file imports it under.
func (g goFile) refers(sel *ast.SelectorExpr, pkg string, names ...string) bool {
	x, ok := sel.X.(*ast.Ident)
	if !ok || !slices.Contains(names, sel.Sel.Name) {
		return false
	}
	for _, spec := range g.ast.Imports {
		if importPath(spec.Path.Value) != pkg {
			continue
		}
		local := path.Base(pkg)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		return local == x.Name
	}
	return false
}

// declared returns the names that a file declares: at the top, in types, as parameters and as local variables.
func declared(file *ast.File) []*ast.Ident {
	var ids []*ast.Ident
	define := func(exprs ...ast.Expr) {
		for _, e := range exprs {
			if id, ok := e.(*ast.Ident); ok {
				ids = append(ids, id)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			ids = append(ids, n.Name)
		case *ast.TypeSpec:
			ids = append(ids, n.Name)
		case *ast.ValueSpec:
			ids = append(ids, n.Names...)
		case *ast.Field:
			ids = append(ids, n.Names...)
		case *ast.AssignStmt:
			if n.Tok.String() == ":=" {
				define(n.Lhs...)
			}
		case *ast.RangeStmt:
			if n.Tok.String() == ":=" {
				define(n.Key, n.Value)
			}
		}
		return true
	})
	return ids
}

// splitName returns the words of a Go name in lower case: "idTokenURL" is id, token, url.
func splitName(name string) []string {
	var words []string
	var word []rune
	runes := []rune(name)
	for i, r := range runes {
		starts := unicode.IsUpper(r) && i > 0 && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if (starts || r == '_') && len(word) > 0 {
			words, word = append(words, strings.ToLower(string(word))), nil
		}
		if r != '_' {
			word = append(word, r)
		}
	}
	return append(words, strings.ToLower(string(word)))
}

// lines calls fn with each line of a text file, without its end, and its number from 1. Binary files have none.
func (t *Tree) lines(p string, fn func(number int, line string)) {
	data, err := fs.ReadFile(t.fsys, p)
	if err != nil || slices.Contains(data[:min(len(data), 8000)], 0) {
		return
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		fn(number, strings.TrimRight(line, "\r\n"))
	}
}
