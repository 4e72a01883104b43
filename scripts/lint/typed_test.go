package lint

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// forTests are the packages that only tests import.
var forTests = []string{"ext4img/aio/simdev", "ext4img/aio/devtest", "ext4img/ext4/internal/stack", "ext4img/testimages", "ext4img/scripts"}

// project is the non-test code of this operating system, with its types.
type project struct {
	fset             *token.FileSet
	from             types.Importer
	packages         []typed
	interfaceMethods map[string]bool // names of the methods of the project's interfaces
	foreign          []*types.Interface
}

// typed is one package of the project.
type typed struct {
	path  string
	files []*ast.File
	info  *types.Info
}

// parseTyped compiles the project and reads its types.
func parseTyped(t *testing.T) *project {
	t.Helper()
	packages := list(t)
	exports := make(map[string]string)
	for _, p := range packages {
		exports[p.ImportPath] = p.Export
	}
	p := &project{fset: token.NewFileSet(), interfaceMethods: make(map[string]bool)}
	p.from = importer.ForCompiler(p.fset, "gc", func(name string) (io.ReadCloser, error) {
		if exports[name] == "" {
			return nil, errors.New("no export data for " + name)
		}
		return os.Open(exports[name])
	})
	for _, l := range packages {
		if strings.HasPrefix(l.ImportPath, module+"/") {
			p.packages = append(p.packages, p.check(t, l))
		}
	}
	return p
}

// check reads the types of one package.
func (p *project) check(t *testing.T, l listed) typed {
	t.Helper()
	pkg := typed{path: l.ImportPath, info: &types.Info{
		Selections: make(map[*ast.SelectorExpr]*types.Selection), Uses: make(map[*ast.Ident]types.Object), Defs: make(map[*ast.Ident]types.Object),
	}}
	for _, name := range l.GoFiles {
		f, err := parser.ParseFile(p.fset, filepath.Join(l.Dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		pkg.files = append(pkg.files, f)
		ast.Inspect(f, func(n ast.Node) bool {
			if i, ok := n.(*ast.InterfaceType); ok {
				for _, m := range i.Methods.List {
					for _, name := range m.Names {
						p.interfaceMethods[name.Name] = true
					}
				}
			}
			return true
		})
	}
	config := types.Config{Importer: p.from}
	if _, err := config.Check(l.ImportPath, p.fset, pkg.files, pkg.info); err != nil {
		t.Fatal(err)
	}
	return pkg
}

// scope returns the identifiers that a package exports.
func (p *project) scope(t *testing.T, path string) *types.Scope {
	t.Helper()
	pkg, err := p.from.Import(path)
	if err != nil {
		t.Fatal(err)
	}
	return pkg.Scope()
}

// listed is what go list -json says about a package.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// list compiles the project and everything it imports.
func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles", "./...")
	cmd.Dir = root(t)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, stderr.String())
	}
	var packages []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func hasAnyPrefix(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}
