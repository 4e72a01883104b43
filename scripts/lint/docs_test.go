package lint

import (
	"go/ast"
	"strings"
	"testing"
)

// TestDocumented finds exported identifiers without a comment. A comment on a group of constants or variables, or at
// the end of a line of the group, is enough.
func TestDocumented(t *testing.T) {
	files, fset := source(t)
	for _, f := range files {
		if f.test || strings.HasPrefix(f.dir, "scripts") {
			continue
		}
		for _, decl := range f.ast.Decls {
			for _, id := range undocumented(decl) {
				t.Errorf("%s: %s has no comment: say what it gives, in which units, with which errors", fset.Position(id.Pos()), id.Name)
			}
		}
	}
}

// undocumented gives the exported names of a declaration that no comment explains.
func undocumented(decl ast.Decl) (out []*ast.Ident) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			out = append(out, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					out = append(out, s.Name)
				}
			case *ast.ValueSpec:
				for _, id := range s.Names {
					if id.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						out = append(out, id)
					}
				}
			}
		}
	}
	return out
}

// exportedReceiver tells whether a function has no receiver, or one of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if g, ok := typ.(*ast.IndexExpr); ok {
		typ = g.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}
