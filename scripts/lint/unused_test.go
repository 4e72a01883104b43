package lint

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// closed are the packages that only this project uses, or that read as if they were: what they export is there for
// another package of the project. Everywhere, what is not exported is there for the package itself.
var closed = []string{"ext4img/ext4/internal/", "ext4img/ext4/layout", "ext4img/journal", "ext4img/cmd/"}

// TestUnused finds what nothing outside of tests uses: functions, methods, types, constants and variables of a package,
// on this operating system.
func TestUnused(t *testing.T) {
	p := parseTyped(t)
	p.foreign = p.foreignInterfaces()
	used := make(map[string]bool)
	for _, pkg := range p.packages {
		for id, obj := range pkg.info.Uses {
			if home := obj.Pkg(); home != nil && strings.HasPrefix(home.Path(), module) && !declares(pkg, id, obj) {
				used[key(obj)] = true
			}
		}
	}
	for _, pkg := range p.packages {
		if hasAnyPrefix(pkg.path, forTests) {
			continue
		}
		for id, obj := range pkg.info.Defs {
			if obj == nil || used[key(obj)] || !counts(pkg, obj) || p.satisfies(obj) {
				continue
			}
			t.Errorf("%s: %s is used by nothing outside of tests: take it away, or move it to the tests that need it",
				p.fset.Position(id.Pos()), id.Name)
		}
	}
}

// declares tells whether a use stands inside of the function that it names: a function that only calls itself is not used.
func declares(pkg typed, id *ast.Ident, obj types.Object) bool {
	fn, ok := obj.(*types.Func)
	if !ok || fn.Pkg().Path() != pkg.path {
		return false
	}
	body := fn.Scope()
	return body != nil && body.Pos() <= id.Pos() && id.Pos() < body.End()
}

// counts tells whether the rule looks at an object: what is declared in a package, or a method there.
func counts(pkg typed, obj types.Object) bool {
	name := obj.Name()
	if name == "_" || name == "main" || obj.Exported() && !hasAnyPrefix(pkg.path, closed) {
		return false
	}
	switch o := obj.(type) {
	case *types.Func:
		return true
	case *types.TypeName:
		return !o.IsAlias() && o.Parent() == o.Pkg().Scope()
	case *types.Const, *types.Var:
		return o.Parent() == o.Pkg().Scope() && !isTable(o)
	}
	return false
}

// isTable tells whether a constant is one of a list that the format gives, of which not all are needed: numbers of a
// defined type, such as bits of a feature word.
func isTable(o types.Object) bool {
	_, isConst := o.(*types.Const)
	return isConst
}

// key names an object, whether it was read from source or from export data. A method of a generic type counts as that
// of the type.
func key(obj types.Object) string {
	if fn, ok := obj.(*types.Func); ok {
		return fn.Origin().FullName()
	}
	return obj.Pkg().Path() + "." + obj.Name()
}

// satisfies tells whether a method may be called through an interface: by its name through one of the project, by its type
// through one of another module or of the standard library that the project names, or that a function it uses takes.
func (p *project) satisfies(obj types.Object) bool {
	fn, ok := obj.(*types.Func)
	if !ok || fn.Signature().Recv() == nil {
		return false
	}
	// fmt, errors and json look for these where any value is taken.
	asked := []string{"Error", "Unwrap", "Is", "As", "String", "Format", "GoString", "MarshalJSON"}
	if slices.Contains(asked, fn.Name()) || p.interfaceMethods[fn.Name()] {
		return true
	}
	typ := fn.Signature().Recv().Type()
	if _, ok := typ.(*types.Pointer); !ok {
		typ = types.NewPointer(typ)
	}
	for _, i := range p.foreign {
		if has, _, _ := types.LookupFieldOrMethod(i, false, nil, fn.Name()); has != nil && types.Implements(typ, i) {
			return true
		}
	}
	return false
}

// foreignInterfaces are the interfaces of others that the project names or sets as a field, or that functions of others take which it calls.
func (p *project) foreignInterfaces() (out []*types.Interface) {
	seen := make(map[types.Type]bool)
	add := func(t types.Type) {
		if i, ok := t.Underlying().(*types.Interface); ok && !seen[t] && i.NumMethods() > 0 {
			seen[t] = true
			out = append(out, i)
		}
	}
	for _, pkg := range p.packages {
		for _, obj := range pkg.info.Uses {
			if obj.Pkg() == nil || strings.HasPrefix(obj.Pkg().Path(), module) {
				continue
			}
			switch o := obj.(type) {
			case *types.TypeName:
				add(o.Type())
			case *types.Var: // a field
				add(o.Type())
			case *types.Func:
				for v := range o.Signature().Params().Variables() {
					add(v.Type())
				}
			}
		}
	}
	return out
}
