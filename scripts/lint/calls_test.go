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
	"strings"
	"testing"
)

// writers may write to a device. The data path of package ext4 is the package itself; below it nobody but the journal.
var writers = map[string]bool{
	"ext4img/aio": true, "ext4img/aio/simdev": true, "ext4img/aio/devtest": true,
	"ext4img/journal": true, "ext4img/ext4/mkfs": true, "ext4img/ext4": true,
}

// starters may start a handle.
var starters = map[string]bool{"ext4img/ext4": true}

// listed is what go list -json says about a package.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// TestCalls checks calls by their types, in non-test code of this operating system.
func TestCalls(t *testing.T) {
	packages := list(t)
	exports := make(map[string]string)
	for _, p := range packages {
		exports[p.ImportPath] = p.Export
	}
	fset := token.NewFileSet()
	lookup := func(name string) (io.ReadCloser, error) {
		if exports[name] == "" {
			return nil, errors.New("no export data for " + name)
		}
		return os.Open(exports[name])
	}
	from := importer.ForCompiler(fset, "gc", lookup)
	aio, err := from.Import("ext4img/aio")
	if err != nil {
		t.Fatal(err)
	}
	rule := calls{t, fset, aio.Scope().Lookup("Device").Type().Underlying().(*types.Interface)}
	for _, p := range packages {
		outside := !strings.HasPrefix(p.ImportPath, module+"/") || strings.HasPrefix(p.ImportPath, module+"/scripts") ||
			strings.HasPrefix(p.ImportPath, module+"/testimages/") // what only tests import
		if outside || writers[p.ImportPath] && starters[p.ImportPath] {
			continue
		}
		rule.check(p, from)
	}
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

type calls struct {
	t      *testing.T
	fset   *token.FileSet
	device *types.Interface
}

func (c calls) check(p listed, from types.Importer) {
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(c.fset, filepath.Join(p.Dir, name), nil, 0)
		if err != nil {
			c.t.Fatal(err)
		}
		files = append(files, f)
	}
	info := &types.Info{Selections: make(map[*ast.SelectorExpr]*types.Selection), Uses: make(map[*ast.Ident]types.Object)}
	config := types.Config{Importer: from}
	if _, err := config.Check(p.ImportPath, c.fset, files, info); err != nil {
		c.t.Fatal(err)
	}
	var queue token.Pos // where the package makes a queue of a device
	for expr, sel := range info.Selections {
		if sel.Kind() == types.FieldVal {
			continue
		}
		name := sel.Obj().Name()
		onDevice := types.Implements(sel.Recv(), c.device) && !writers[p.ImportPath]
		if name == "WriteAt" && onDevice {
			c.t.Errorf("%s: %s writes to a device: metadata changes go through a journal.Handle, file data through package ext4",
				c.fset.Position(expr.Pos()), p.ImportPath)
		}
		if name == "Queue" && onDevice {
			queue = expr.Pos()
		}
		if full := sel.Obj().(*types.Func).FullName(); full == "(*ext4img/journal.Journal).Start" && !starters[p.ImportPath] {
			c.t.Errorf("%s: %s starts a handle: only package ext4 does; take h *journal.Handle as the first parameter",
				c.fset.Position(expr.Pos()), p.ImportPath)
		}
	}
	// Requests to write are also what a file of package ext4 takes; with a queue of a device they go past it.
	for ident, obj := range info.Uses {
		if k, ok := obj.(*types.Const); ok && k.Name() == "Write" && k.Pkg().Path() == "ext4img/aio" && queue.IsValid() {
			c.t.Errorf("%s: %s queues writes to a device (queue made at %s): file data go through package ext4",
				c.fset.Position(ident.Pos()), p.ImportPath, c.fset.Position(queue))
		}
	}
}
