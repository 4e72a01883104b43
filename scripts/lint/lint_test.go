// Package lint holds the rules of the source as tests: which package may import which, which may write to a device,
// which may start a handle, and how large things may get. Each message names the remedy.
package lint

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	module       = "ext4img"
	maxFileLines = 600
	maxFuncLines = 60
)

// imports lists what each package of the project may import beside the standard library. A name ending in "/..."
// stands for everything below it. Packages that are not listed may import nothing of the project.
var imports = map[string][]string{
	"aio/block":                        {},
	"aio":                              {"ext4img/aio/block", "golang.org/x/sys/unix"},
	"aio/simdev":                       {"ext4img/aio/block", "ext4img/aio"},
	"aio/devtest":                      {"ext4img/aio/block", "ext4img/aio"},
	"aio/parttable":                    {},
	"journal/buf":                      {"ext4img/aio/block", "ext4img/aio"},
	"journal":                          {"ext4img/aio/block", "ext4img/aio", "ext4img/journal/buf"},
	"ext4/layout":                      {"ext4img/aio/block"},
	"ext4/internal/ioend":              {},
	"ext4/internal/group":              {"ext4img/aio/block", "ext4img/ext4/layout", "ext4img/journal", "ext4img/journal/buf"},
	"ext4/internal/inode":              {"ext4img/aio/block", "ext4img/ext4/layout", "ext4img/journal", "ext4img/journal/buf", "ext4img/ext4/internal/group"},
	"ext4/internal/extent":             {"ext4img/aio/block", "ext4img/ext4/layout", "ext4img/journal", "ext4img/journal/buf", "ext4img/ext4/internal/group", "ext4img/ext4/internal/inode"},
	"ext4/internal/xattr":              {"ext4img/aio/block", "ext4img/ext4/layout", "ext4img/journal", "ext4img/journal/buf", "ext4img/ext4/internal/group", "ext4img/ext4/internal/inode"},
	"ext4/internal/dir":                {"ext4img/aio/block", "ext4img/ext4/layout", "ext4img/journal", "ext4img/journal/buf", "ext4img/ext4/internal/inode", "ext4img/ext4/internal/extent"},
	"ext4/internal/quota":              {"ext4img/aio/block", "ext4img/ext4/layout", "ext4img/journal", "ext4img/journal/buf", "ext4img/ext4/internal/group", "ext4img/ext4/internal/inode", "ext4img/ext4/internal/extent"},
	"ext4/internal/names":              {"ext4img/aio/block", "ext4img/ext4/layout", "ext4img/journal", "ext4img/ext4/internal/volume", "ext4img/ext4/internal/inode", "ext4img/ext4/internal/xattr"},
	"ext4/internal/fastcommit":         {"ext4img/aio/block", "ext4img/ext4/layout", "ext4img/journal", "ext4img/ext4/internal/volume", "ext4img/ext4/internal/names", "ext4img/ext4/internal/group", "ext4img/ext4/internal/inode"},
	"ext4/internal/stack":              {"ext4img/aio/simdev", "ext4img/ext4/internal/...", "ext4img/testimages/bare", "ext4img/testimages/judge"},
	"ext4":                             {"ext4img/aio/block", "ext4img/aio", "ext4img/journal", "ext4img/ext4/layout", "ext4img/ext4/internal/..."},
	"ext4/check":                       {"ext4img/aio/block", "ext4img/aio", "ext4img/journal", "ext4img/ext4/layout"},
	"ext4/mkfs":                        {"ext4img/aio/block", "ext4img/aio", "ext4img/journal", "ext4img/ext4/layout"},
	"ext4/mount":                       {"ext4img/aio/block", "ext4img/ext4", "ext4img/ext4/layout", "ext4img/aio", "github.com/hanwen/go-fuse/v2/fuse", "golang.org/x/sys/unix"},
	"testimages/judge":                 {"ext4img/aio/simdev"},
	"testimages/bare":                  {"ext4img/aio/block", "ext4img/aio/simdev", "ext4img/ext4/layout", "ext4img/journal", "ext4img/testimages/judge"},
	"ext4/diskfs":                      {"ext4img/ext4", "ext4img/aio", "github.com/diskfs/go-diskfs/filesystem"},
	"ext4/tree":                        {"ext4img/aio/block", "ext4img/ext4", "ext4img/ext4/layout", "ext4img/aio", "golang.org/x/sys/unix", "github.com/klauspost/compress/zstd", "github.com/ulikunitz/xz/lzma"},
	"cmd/ext4img/internal/descriptors": {},
	"cmd/ext4img/internal/sizes":       {},
	"cmd/ext4img/internal/pump":        {"ext4img/aio", "ext4img/ext4", "ext4img/cmd/ext4img/internal/sizes"},
	"cmd/ext4img/internal/stress":      {"ext4img/ext4", "ext4img/cmd/ext4img/internal/pump", "ext4img/cmd/ext4img/internal/sizes", "golang.org/x/sys/unix"},
	"ext4/internal/volume":             {"ext4img/aio/block", "ext4img/aio", "ext4img/ext4/layout", "ext4img/journal", "ext4img/ext4/internal/group", "ext4img/ext4/internal/inode", "ext4img/ext4/internal/extent", "ext4img/ext4/internal/xattr", "ext4img/ext4/internal/dir", "ext4img/ext4/internal/quota"},
	"cmd/ext4img": {
		"ext4img/cmd/ext4img/internal/...", "ext4img/ext4", "ext4img/ext4/...", "ext4img/journal", "ext4img/aio", "ext4img/aio/parttable",
		"github.com/urfave/cli/v2", "github.com/schollz/progressbar/v3", "github.com/dustin/go-humanize",
		"golang.org/x/term", "golang.org/x/sys/unix",
	},
}

// topLevel lists everything in the root of the project, except lint configuration.
var topLevel = map[string]bool{
	"cmd": true, "ext4": true, "journal": true, "aio": true, "scripts": true, "testimages": true, "go.mod": true, "go.sum": true,
	"LICENSE": true, "README.md": true, "ARCHITECTURE.md": true, "CHANGELOG.md": true, ".ci": true, ".gitignore": true,
	".gitattributes": true, ".golangci.yml": true, "staticcheck.conf": true,
}

// file is one Go file of the project.
type file struct {
	path string // from the root, with slashes
	dir  string
	test bool
	src  []byte
	ast  *ast.File
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// source parses every Go file of the project, whatever its build constraints.
func source(t *testing.T) ([]file, *token.FileSet) {
	t.Helper()
	var files []file
	fset := token.NewFileSet()
	top := root(t)
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != top && (strings.HasPrefix(base, ".") || base == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(fset, rel, src, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, file{rel, path.Dir(rel), strings.HasSuffix(rel, "_test.go"), src, tree})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, fset
}

func TestImports(t *testing.T) {
	files, fset := source(t)
	for _, f := range files {
		tool := strings.HasPrefix(f.dir, "scripts") || f.dir == "testimages"
		for _, spec := range f.ast.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case name == "C":
				t.Errorf("%s: cgo: the project is pure Go; use golang.org/x/sys/unix", fset.Position(spec.Pos()))
			case f.test || tool || standard(name):
			case name == module+"/ext4/internal/stack":
				t.Errorf("%s: %s is for tests only", fset.Position(spec.Pos()), name)
			case !allowed(f.dir, name):
				t.Errorf("%s: %s may not import %s: calls go down only; it may import %v. Move the code to the package that owns the "+
					"bytes, or pass what is needed as a parameter", fset.Position(spec.Pos()), f.dir, name, imports[f.dir])
			}
		}
	}
}

func standard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return first != module && !strings.Contains(first, ".")
}

func allowed(dir, name string) bool {
	for _, a := range imports[dir] {
		if below, ok := strings.CutSuffix(a, "/..."); a == name || ok && (name == below || strings.HasPrefix(name, below+"/")) {
			return true
		}
	}
	return false
}

func TestShape(t *testing.T) {
	files, fset := source(t)
	open := []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"}
	for _, f := range files {
		if lines := bytes.Count(f.src, []byte("\n")); lines > maxFileLines {
			t.Errorf("%s: %d lines, at most %d: a file has one topic; split it", f.path, lines, maxFileLines)
		}
		switch f.ast.Name.Name {
		case "util", "utils", "common", "helpers", "misc":
			t.Errorf("%s: package %s: name a package after what it owns", f.path, f.ast.Name.Name)
		}
		for _, group := range f.ast.Comments {
			for _, word := range open {
				if strings.Contains(group.Text(), word) {
					t.Errorf("%s: %s: finish it, or say why it is so", fset.Position(group.Pos()), word)
				}
			}
		}
		if !f.test {
			functions(t, f, fset)
		}
	}
}

func functions(t *testing.T, f file, fset *token.FileSet) {
	for _, decl := range f.ast.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		begin, end := fset.Position(fn.Pos()), fset.Position(fn.End())
		if lines := end.Line - begin.Line + 1; lines > maxFuncLines {
			t.Errorf("%s: %s has %d lines, at most %d: a function fits on a screen; move the arithmetic into leaves", begin, fn.Name.Name,
				lines, maxFuncLines)
		}
		if fn.Name.Name == "init" && fn.Recv == nil {
			t.Errorf("%s: init: compute it where it is used, or in a table", begin)
		}
	}
}

func TestTopLevel(t *testing.T) {
	git := exec.Command("git", "ls-files")
	git.Dir = root(t)
	out, err := git.Output()
	if err != nil {
		t.Skipf("git ls-files: %v", err)
	}
	for name := range strings.Lines(string(out)) {
		first, _, _ := strings.Cut(strings.TrimSpace(name), "/")
		if !topLevel[first] {
			t.Errorf("%s: the top level is fixed: put it below one of the folders there", strings.TrimSpace(name))
		}
	}
}

// TestProgram checks everything that the command is built from: it needs no cgo, and nothing in it uses a network.
func TestProgram(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "./cmd/ext4img")
	list.Dir, list.Env = root(t), append(os.Environ(), "CGO_ENABLED=0")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.Lines(string(out)) {
		switch name = strings.TrimSpace(name); name {
		case "runtime/cgo", "net/http", "crypto/tls":
			t.Errorf("%s is in the program: `go mod why %s` tells by which module; a version of it without, or another", name, name)
		}
	}
}
