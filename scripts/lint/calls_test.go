package lint

import (
	"go/token"
	"go/types"
	"slices"
	"testing"
)

// writers are the packages that may write to a device. In package ext4 that is the data path; below ext4 only the
// journal may.
var writers = map[string]bool{
	"ext4img/aio": true, "ext4img/aio/simdev": true, "ext4img/aio/devtest": true,
	"ext4img/journal": true, "ext4img/ext4/mkfs": true, "ext4img/ext4": true,
}

// starters are the packages that may start a handle.
var starters = map[string]bool{"ext4img/ext4/internal/volume": true}

// builders says which packages may build an object of a kind: its owner, and mkfs, which makes a whole file system.
var builders = map[string][]string{
	"ext4img/ext4/layout.InitExtentNode":   {"ext4img/ext4/internal/extent", "ext4img/ext4/internal/inode", "ext4img/ext4/mkfs"},
	"ext4img/ext4/layout.InitXattrBlock":   {"ext4img/ext4/internal/xattr", "ext4img/ext4/mkfs"},
	"ext4img/ext4/layout.PutInodeXattrs":   {"ext4img/ext4/internal/xattr", "ext4img/ext4/mkfs"},
	"(ext4img/ext4/layout.DirFormat).Pack": {"ext4img/ext4/internal/dir", "ext4img/ext4/mkfs"},
}

// TestBuilders checks that only the owner of a kind of object builds one.
func TestBuilders(t *testing.T) {
	p := parseTyped(t)
	for _, pkg := range p.packages {
		if hasAnyPrefix(pkg.path, forTests) || pkg.path == "ext4img/ext4/layout" {
			continue
		}
		for ident, obj := range pkg.info.Uses {
			fn, ok := obj.(*types.Func)
			if !ok {
				continue
			}
			if may, ok := builders[fn.FullName()]; ok && !slices.Contains(may, pkg.path) {
				t.Errorf("%s: %s calls %s: only the owner of such objects builds them: %v; call it", p.fset.Position(ident.Pos()), pkg.path, fn.Name(), may)
			}
		}
	}
}

// TestCalls checks calls by their types, in non-test code of this operating system.
func TestCalls(t *testing.T) {
	p := parseTyped(t)
	rule := calls{t, p.fset, p.scope(t, "ext4img/aio").Lookup("Device").Type().Underlying().(*types.Interface)}
	for _, pkg := range p.packages {
		if hasAnyPrefix(pkg.path, forTests) || writers[pkg.path] && starters[pkg.path] {
			continue
		}
		rule.check(pkg)
	}
}

type calls struct {
	t      *testing.T
	fset   *token.FileSet
	device *types.Interface
}

func (c calls) check(p typed) {
	var queue token.Pos // place at which the package makes a queue of a device
	for expr, sel := range p.info.Selections {
		if sel.Kind() == types.FieldVal {
			continue
		}
		name := sel.Obj().Name()
		onDevice := types.Implements(sel.Recv(), c.device) && !writers[p.path]
		if name == "WriteAt" && onDevice {
			c.t.Errorf("%s: %s writes to a device: metadata changes go through a journal.Handle, file data through package ext4",
				c.fset.Position(expr.Pos()), p.path)
		}
		if name == "Queue" && onDevice {
			queue = expr.Pos()
		}
		if full := sel.Obj().(*types.Func).FullName(); full == "(*ext4img/journal.Journal).Start" && !starters[p.path] {
			c.t.Errorf("%s: %s starts a handle: only package volume does; take h *journal.Handle as the first parameter",
				c.fset.Position(expr.Pos()), p.path)
		}
	}
	// A file of package ext4 accepts requests to write too. But together with a queue of a device, they bypass the
	// file.
	for ident, obj := range p.info.Uses {
		if k, ok := obj.(*types.Const); ok && k.Name() == "Write" && k.Pkg().Path() == "ext4img/aio" && queue.IsValid() {
			c.t.Errorf("%s: %s queues writes to a device (queue made at %s): file data go through package ext4",
				c.fset.Position(ident.Pos()), p.path, c.fset.Position(queue))
		}
	}
}
