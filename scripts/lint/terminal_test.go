package lint

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// streams may name standard output and standard error: they hand them on.
var streams = map[string]bool{"env.go": true, "app.go": true, "main.go": true}

// texts are the files that may make text which is not escaped again, because they know every byte of it.
var texts = map[string]bool{"terminal.go": true, "cmd_completion.go": true, "cmd_dump.go": true, "cmd_extents.go": true, "cmd_xattr.go": true}

// printers are the functions of terminal.go that take a format, with the index of that argument.
var printers = map[string]int{"say": 1, "complain": 1, "printText": 1}

// TestTerminal: all text leaves the program through cmd/ext4img/terminal.go. There, text that comes from an image, an
// archive or the host is escaped.
func TestTerminal(t *testing.T) {
	files, fset := source(t)
	for _, f := range files {
		if f.dir != "cmd/ext4img" || f.test {
			continue
		}
		base := strings.TrimPrefix(f.path, f.dir+"/")
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if !streams[base] && isStream(n) {
					t.Errorf("%s: %s: results go out by say, messages by complain, bytes that are no text by rawOutput", fset.Position(n.Pos()), n.Sel.Name)
				}
			case *ast.CallExpr:
				terminalCall(t, fset, base, n)
			}
			return true
		})
	}
}

// isStream reports whether an expression names a stream, or prints to one.
func isStream(n *ast.SelectorExpr) bool {
	switch n.Sel.Name {
	case "Writer", "ErrWriter":
		x, ok := n.X.(*ast.SelectorExpr)
		return ok && x.Sel.Name == "App"
	case "Stdout", "Stderr":
		return isName(n.X, "os")
	case "Print", "Printf", "Println":
		return isName(n.X, "fmt")
	}
	return false
}

func terminalCall(t *testing.T, fset *token.FileSet, base string, n *ast.CallExpr) {
	if len(n.Args) == 0 {
		return
	}
	switch fn := n.Fun.(type) {
	case *ast.SelectorExpr:
		to, ok := n.Args[0].(*ast.CallExpr)
		if ok && (isName(fn.X, "fmt") || isName(fn.X, "io")) && (isName(to.Fun, "rawOutput") || isName(to.Fun, "messages")) && fn.Sel.Name != "Copy" {
			t.Errorf("%s: %s to a stream: use say or complain, which escape", fset.Position(n.Pos()), fn.Sel.Name)
		}
	case *ast.Ident:
		if fn.Name == "ours" && !texts[base] {
			t.Errorf("%s: ours: text that is not escaped; pass the parts to say as arguments, or use painted or quoted", fset.Position(n.Pos()))
		}
		if at, ok := printers[fn.Name]; ok && base != "terminal.go" && len(n.Args) > at && !constantFormat(n.Args[at]) {
			t.Errorf("%s: %s: the format is not a constant: what came from outside is an argument", fset.Position(n.Pos()), fn.Name)
		}
	}
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func constantFormat(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.BinaryExpr:
		return constantFormat(e.X) && constantFormat(e.Y)
	}
	return false
}
