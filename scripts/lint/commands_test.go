package lint

import (
	"go/ast"
	"strings"
	"testing"
)

// contexts may mention cli.Context: they define the commands, run them, and hold what parse functions share.
var contexts = map[string]bool{"app.go": true, "env.go": true, "parse.go": true}

// TestCommands: a command is a file cmd_NAME.go of cmd/ext4img, and only a command is; its flags are looked up in its parse
// function and nowhere else.
func TestCommands(t *testing.T) {
	files, fset := source(t)
	for _, f := range files {
		if f.dir != "cmd/ext4img" || f.test {
			continue
		}
		base := strings.TrimPrefix(f.path, f.dir+"/")
		commands := 0
		for _, decl := range f.ast.Decls {
			fn, _ := decl.(*ast.FuncDecl)
			if fn != nil && returnsCommand(fn) {
				commands++
			}
			if contexts[base] || fn != nil && strings.HasPrefix(fn.Name.Name, "parse") {
				continue
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Context" && isName(sel.X, "cli") {
					t.Errorf("%s: cli.Context outside of a parse function: parse flags and arguments into an options struct, and pass "+
						"that and the env on", fset.Position(n.Pos()))
				}
				return true
			})
		}
		switch named := strings.HasPrefix(base, "cmd_"); {
		case named && commands != 1:
			t.Errorf("%s: %d functions return a *cli.Command, want 1: a command is a file cmd_NAME.go; what commands share stands in "+
				"files named after what they own", f.path, commands)
		case !named && commands > 0 && !contexts[base]:
			t.Errorf("%s: a command: it is a file cmd_NAME.go", f.path)
		}
	}
}

// returnsCommand tells whether the one result of a function is a *cli.Command.
func returnsCommand(fn *ast.FuncDecl) bool {
	if fn.Type.Results == nil || len(fn.Type.Results.List) != 1 {
		return false
	}
	star, ok := fn.Type.Results.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	sel, ok := star.X.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Command" && isName(sel.X, "cli")
}
