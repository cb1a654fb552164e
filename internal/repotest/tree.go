package repotest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A Tree is what the rules look at: the files of one state of the repository. It isn't changed after it was made.
type Tree struct {
	fsys   fs.FS
	files  []string // slash-separated, relative, sorted
	module string   // the module path that go.mod names
	fset   *token.FileSet
	gofile []goFile // what Go builds or tests, on any platform
}

// A goFile is one parsed Go file.
type goFile struct {
	path string
	dir  string // of path; "." at the top
	test bool
	ast  *ast.File
}

// Load reads the repository at root: what git tracks or would add, or every file where root isn't a git work tree (an
// unpacked archive of the source).
func Load(ctx context.Context, root string) (*Tree, error) {
	// go test must not reuse a result from before a file was added. It sees what the test opens, not what git does.
	_, _ = os.Stat(filepath.Join(root, ".git", "index"))

	fsys := os.DirFS(root)
	files, err := gitFiles(ctx, root)
	if err != nil || len(files) == 0 {
		if files, err = walkFiles(fsys); err != nil {
			return nil, fmt.Errorf("listing the repository's files: %w", err)
		}
	}
	return newTree(fsys, files)
}

// gitFiles lists tracked files, and those that are neither tracked nor ignored.
func gitFiles(ctx context.Context, root string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running git ls-files: %w", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}

// walkFiles lists all files but those in folders that the build leaves behind.
func walkFiles(fsys fs.FS) ([]string, error) {
	var files []string
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			files = append(files, p)
		case slices.Contains([]string{".git", "node_modules", "bin", "dist", ".cache"}, d.Name()):
			return fs.SkipDir
		}
		return nil
	})
	return files, err
}

// newTree parses the Go files among files. Files that don't exist are left out: git also lists those just deleted.
func newTree(fsys fs.FS, files []string) (*Tree, error) {
	t := &Tree{fsys: fsys, fset: token.NewFileSet()}
	for _, p := range slices.Compact(slices.Sorted(slices.Values(files))) {
		if info, err := fs.Stat(fsys, p); errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
			continue
		} else if err != nil {
			return nil, err
		}
		t.files = append(t.files, p)
		if !builtByGo(p) {
			continue
		}
		src, err := fs.ReadFile(fsys, p)
		if err != nil {
			return nil, err
		}
		parsed, err := parser.ParseFile(t.fset, p, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		t.gofile = append(t.gofile, goFile{path: p, dir: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), ast: parsed})
	}
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(mod) {
		if name, ok := bytes.CutPrefix(line, []byte("module ")); ok {
			t.module = string(bytes.TrimSpace(name))
		}
	}
	if t.module == "" {
		return nil, errors.New("go.mod names no module")
	}
	return t, nil
}

// builtByGo tells whether p is Go code that isn't in a folder the go command passes over.
func builtByGo(p string) bool {
	if !strings.HasSuffix(p, ".go") {
		return false
	}
	for elem := range strings.SplitSeq(path.Dir(p), "/") {
		if elem == "testdata" || elem == "node_modules" || len(elem) > 1 && (elem[0] == '.' || elem[0] == '_') {
			return false
		}
	}
	return true
}

// pos renders the place of a node as file:line.
func (t *Tree) pos(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// has tells whether the tree has the file p.
func (t *Tree) has(p string) bool {
	_, ok := slices.BinarySearch(t.files, p)
	return ok
}

// within tells whether folder or file p is dir or stands below it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir+"/")
}

// withinAny tells whether p is one of dirs or stands below one.
func withinAny(p string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return within(p, dir) })
}
