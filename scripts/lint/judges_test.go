package lint

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// TestJudges: tests run programs from outside the project by testimages/judge, where a missing one is reported in the words that
// scripts/dev looks for. They may run themselves, the go command, and the project's own command, which they build and
// call program. How much they do and their seeds they ask of testimages/effort.
func TestJudges(t *testing.T) {
	files, fset := source(t)
	for _, f := range files {
		if !f.test && !strings.HasPrefix(f.dir, "testimages") || f.dir == "testimages/judge" || strings.HasPrefix(f.dir, "scripts") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if name := asksEffort(call); name != "" && f.dir != "testimages/effort" {
				t.Errorf("%s: %s is read by testimages/effort alone: Long, NeedLong, Ops, Seed, CrashStates", fset.Position(n.Pos()), name)
			}
			if name := runsJudge(call); name != "" {
				t.Errorf("%s: exec.%s: use testimages/judge: Run, Feed, Fsck, Debugfs, Mount and others; Command where those do not serve", fset.Position(n.Pos()), name)
			}
			return true
		})
	}
}

// runsJudge gives the name of a function of os/exec that is called to look for a program from outside, or to run it.
func runsJudge(call *ast.CallExpr) string {
	fn, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !isName(fn.X, "exec") {
		return ""
	}
	at := 0
	switch fn.Sel.Name {
	case "LookPath":
		return fn.Sel.Name
	case "CommandContext":
		at = 1
	case "Command":
	default:
		return ""
	}
	if len(call.Args) <= at {
		return fn.Sel.Name
	}
	switch arg := call.Args[at].(type) {
	case *ast.IndexExpr: // os.Args[0]
		if args, ok := arg.X.(*ast.SelectorExpr); ok && isName(args.X, "os") && args.Sel.Name == "Args" {
			return ""
		}
	case *ast.BasicLit:
		if arg.Kind == token.STRING && arg.Value == `"go"` {
			return ""
		}
	case *ast.Ident:
		if arg.Name == "program" {
			return ""
		}
	}
	return fn.Sel.Name
}

// asksEffort gives the variable of the environment that says how much tests do, where a call reads one.
func asksEffort(call *ast.CallExpr) string {
	fn, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !isName(fn.X, "os") || len(call.Args) != 1 || fn.Sel.Name != "Getenv" && fn.Sel.Name != "LookupEnv" {
		return ""
	}
	switch name, _ := call.Args[0].(*ast.BasicLit); {
	case name == nil:
	case name.Value == `"EXT4IMG_LONG"`, name.Value == `"EXT4IMG_OPS"`, name.Value == `"EXT4IMG_SEED"`, name.Value == `"EXT4IMG_CRASH_STATES"`:
		return name.Value
	}
	return ""
}
