//go:build !race

// The detector has nothing to find here, and makes the analysis slow.

package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/callgraph/rta"
	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/ssa"
	"golang.org/x/tools/go/ssa/ssautil"
)

// The sizes from which CONTRIBUTING.md must say why a file or a function stays as long as it is.
const (
	longFile     = 800
	longFunction = 80
)

// A house is the source of the module without its tests, with types.
type house struct {
	root     string
	fset     *token.FileSet
	packages []*packages.Package
}

// TestHouse finds what a newcomer would stumble over: functions that nothing calls, exports that no other package uses,
// long files and long functions. It prints them (with -v) and holds them against the lists in CONTRIBUTING.md.
func TestHouse(t *testing.T) {
	if testing.Short() {
		t.Skip("it analyses the whole module")
	}
	t.Parallel()
	h := openHouse(t)
	guide := readGuide(t)
	for _, list := range []struct {
		heading string
		found   map[string]string // a name, and what to print about it
	}{
		{"Dead code", h.dead()},
		{"Unused exports", h.unusedExports()},
		{fmt.Sprintf("Files over %d lines", longFile), h.longFiles(t)},
		{fmt.Sprintf("Functions over %d lines", longFunction), h.longFunctions()},
	} {
		reasons := guide.reasons(list.heading)
		t.Logf("%s: %d", list.heading, len(list.found))
		for _, name := range slices.Sorted(maps.Keys(list.found)) {
			t.Logf("  %s (%s): %s", name, list.found[name], cmp.Or(reasons[name], "NO REASON"))
			if reasons[name] == "" {
				t.Errorf("%s: %s (%s): remove or divide it, or add a line \"- `%s`: why it stays\" under that heading of CONTRIBUTING.md",
					list.heading, name, list.found[name], name)
			}
		}
		for name := range reasons {
			if _, ok := list.found[name]; !ok {
				t.Errorf("%s: CONTRIBUTING.md says why %s stays, but it is not found any more: remove the line", list.heading, name)
			}
		}
	}
}

// TestMapIsComplete holds the list of packages in CONTRIBUTING.md, and the files it names, against those that there are.
func TestMapIsComplete(t *testing.T) {
	t.Parallel()
	loaded, err := packages.Load(&packages.Config{Mode: packages.NeedName, Dir: filepath.Join("..", "..")}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	listed := readGuide(t).reasons("Where things are")
	for _, p := range loaded {
		name := strings.TrimPrefix(p.PkgPath, module)
		if listed[name] == "" {
			t.Errorf("the package %s has no line under \"Where things are\" of CONTRIBUTING.md", name)
		}
		for _, file := range goFile.FindAllString(listed[name], -1) {
			if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(name), file)); err != nil {
				t.Errorf("CONTRIBUTING.md names a file of %s that is not there: %v", name, err)
			}
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("CONTRIBUTING.md describes %s, which is no package", name)
	}
}

func openHouse(t *testing.T) *house {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{root: root, fset: token.NewFileSet()}
	// The types of the modules that this one requires come from the build cache, without their source.
	h.packages, err = packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo |
			packages.NeedImports | packages.NeedDeps | packages.NeedExportFile | packages.NeedModule,
		Dir: root, Fset: h.fset,
	}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	if packages.PrintErrors(h.packages) > 0 {
		t.Fatal("the module does not build")
	}
	// Only tests use it.
	h.packages = slices.DeleteFunc(h.packages, func(p *packages.Package) bool { return strings.HasSuffix(p.PkgPath, "/storetest") })
	return h
}

// place returns the file and the line of a position.
func (h *house) place(pos token.Pos) string {
	at := h.fset.Position(pos)
	return fmt.Sprintf("%s:%d", h.path(at.Filename), at.Line)
}

func (h *house) path(file string) string {
	rel, err := filepath.Rel(h.root, file)
	if err != nil {
		return file
	}
	return filepath.ToSlash(rel)
}

// named returns the name of a declaration as CONTRIBUTING.md spells it: engine/store.(*Store).Open.
func named(pkg *types.Package, decl string) string {
	return strings.TrimPrefix(pkg.Path(), module) + "." + decl
}

// funcName returns the name of a function in its package: New, or (*Store).Open.
func funcName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	recv, star := f.Recv.List[0].Type, ""
	if p, ok := recv.(*ast.StarExpr); ok {
		recv, star = p.X, "*"
	}
	switch generic := recv.(type) {
	case *ast.IndexExpr:
		recv = generic.X
	case *ast.IndexListExpr:
		recv = generic.X
	}
	return fmt.Sprintf("(%s%s).%s", star, recv.(*ast.Ident).Name, f.Name.Name)
}

// functions calls visit for every function with a body.
func (h *house) functions(visit func(p *packages.Package, f *ast.FuncDecl)) {
	for _, p := range h.packages {
		for _, file := range p.Syntax {
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
					visit(p, f)
				}
			}
		}
	}
}

func (h *house) longFiles(t *testing.T) map[string]string {
	found := map[string]string{}
	for _, p := range h.packages {
		for _, file := range p.GoFiles {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(data), "\n"); n > longFile {
				found[h.path(file)] = fmt.Sprintf("%d lines", n)
			}
		}
	}
	return found
}

func (h *house) longFunctions() map[string]string {
	found := map[string]string{}
	h.functions(func(p *packages.Package, f *ast.FuncDecl) {
		if n := h.fset.Position(f.End()).Line - h.fset.Position(f.Pos()).Line + 1; n > longFunction {
			found[named(p.Types, funcName(f))] = fmt.Sprintf("%s, %d lines", h.place(f.Pos()), n)
		}
	})
	return found
}

// dead finds functions that the program cannot reach, tests aside, as golang.org/x/tools/cmd/deadcode does. But it does
// not read the source of other modules, which would take half a minute. Instead, it takes it that they call every function
// whose value is taken.
func (h *house) dead() map[string]string {
	prog, built := ssautil.Packages(h.packages, ssa.InstantiateGenerics)
	prog.Build()
	var roots []*ssa.Function
	for _, p := range built {
		roots = append(roots, p.Func("init"))
		if p.Pkg.Name() == "main" {
			roots = append(roots, p.Func("main"))
		}
	}
	reached := map[token.Pos]bool{} // by position, so that an instance of a generic function counts for it
	for len(roots) > 0 {
		known := map[*ssa.Function]bool{}
		for f := range rta.Analyze(roots, false).Reachable {
			known[f] = true
			reached[f.Pos()] = true
		}
		before := len(roots)
		for f := range known {
			for _, value := range valuesTaken(f) {
				if !known[value] {
					known[value] = true
					roots = append(roots, value)
				}
			}
		}
		if len(roots) == before {
			break
		}
	}
	found := map[string]string{}
	h.functions(func(p *packages.Package, f *ast.FuncDecl) {
		if !reached[f.Name.Pos()] && !isMarker(f) {
			found[named(p.Types, funcName(f))] = h.place(f.Pos())
		}
	})
	return found
}

// isMarker reports whether the function is an unexported method with an empty body, which only marks its type.
func isMarker(f *ast.FuncDecl) bool {
	return f.Recv != nil && len(f.Body.List) == 0 && !f.Name.IsExported()
}

// valuesTaken returns the functions that f uses as values, and does not just call.
func valuesTaken(f *ssa.Function) []*ssa.Function {
	var taken []*ssa.Function
	for _, block := range f.Blocks {
		for _, instruction := range block.Instrs {
			for _, operand := range instruction.Operands(nil) {
				if value, ok := (*operand).(*ssa.Function); ok {
					taken = append(taken, value)
				}
			}
		}
	}
	return taken
}

// unusedExports finds exported declarations that no other package uses, tests aside. A type is used too if it is a part of
// a declaration that is used, or if it is the form of a document, with json tags. A constant is used too if its type is. A
// method is used too if it makes its type fit an interface.
func (h *house) unusedExports() map[string]string {
	used := map[types.Object]bool{}
	var follow func(t types.Type)
	seen := map[types.Type]bool{}
	mark := func(o types.Object) {
		if o = origin(o); !used[o] {
			used[o] = true
			follow(o.Type())
		}
	}
	follow = func(t types.Type) {
		if t == nil || seen[t] {
			return
		}
		seen[t] = true
		switch t := t.(type) {
		case *types.Named:
			mark(t.Origin().Obj())
			for arg := range t.TypeArgs().Types() {
				follow(arg)
			}
			follow(t.Underlying())
		case *types.Alias:
			mark(t.Obj())
			follow(t.Rhs())
		case *types.Struct:
			for f := range t.Fields() {
				if f.Exported() {
					follow(f.Type())
				}
			}
		case *types.Signature:
			follow(t.Params())
			follow(t.Results())
		case *types.Tuple:
			for v := range t.Variables() {
				follow(v.Type())
			}
		case *types.Interface:
			for m := range t.Methods() {
				follow(m.Type())
			}
		case *types.Map:
			follow(t.Key())
			follow(t.Elem())
		case interface{ Elem() types.Type }: // a pointer, slice, array or channel
			follow(t.Elem())
		}
	}
	for _, p := range h.packages {
		for _, o := range p.TypesInfo.Uses {
			if o.Pkg() != nil && o.Pkg() != p.Types {
				mark(o)
			}
		}
	}
	interfaces := h.interfaces()
	found := map[string]string{}
	for _, p := range h.packages {
		for id, o := range p.TypesInfo.Defs {
			if o == nil || !o.Exported() || used[o] {
				continue
			}
			var name string
			switch o := o.(type) {
			case *types.Func:
				recv := o.Signature().Recv()
				if recv == nil {
					name = o.Name()
					break
				}
				if types.IsInterface(recv.Type()) || fits(recv.Type(), o.Name(), interfaces) {
					continue
				}
				name = types.TypeString(recv.Type(), func(*types.Package) string { return "" })
				name, _, _ = strings.Cut(name, "[")
				name = "(" + name + ")." + o.Name()
			case *types.Var, *types.Const, *types.TypeName:
				if o.Parent() != p.Types.Scope() || isDocument(o) || isValueOf(o, used) {
					continue
				}
				name = o.Name()
			default:
				continue
			}
			found[named(p.Types, name)] = h.place(id.Pos())
		}
	}
	return found
}

// isDocument reports whether o is a struct with json tags.
func isDocument(o types.Object) bool {
	if _, ok := o.(*types.TypeName); !ok {
		return false
	}
	s, ok := o.Type().Underlying().(*types.Struct)
	if !ok {
		return false
	}
	for i := range s.NumFields() {
		if strings.Contains(s.Tag(i), `json:"`) {
			return true
		}
	}
	return false
}

// isValueOf reports whether o is a constant of a type that is used.
func isValueOf(o types.Object, used map[types.Object]bool) bool {
	if _, ok := o.(*types.Const); !ok {
		return false
	}
	of, ok := o.Type().(*types.Named)
	return ok && used[of.Obj()]
}

// origin returns the generic declaration of an instance.
func origin(o types.Object) types.Object {
	switch o := o.(type) {
	case *types.Func:
		return o.Origin()
	case *types.Var:
		return o.Origin()
	}
	return o
}

// interfaces returns every interface of the module and of what it imports, by the names of their methods. A generic one is
// nil.
func (h *house) interfaces() map[string][]*types.Interface {
	byMethod := map[string][]*types.Interface{}
	add := func(o types.Object) {
		if _, ok := o.(*types.TypeName); !ok {
			return
		}
		i, ok := o.Type().Underlying().(*types.Interface)
		if !ok {
			return
		}
		generic := false
		if n, ok := o.Type().(*types.Named); ok {
			generic = n.TypeParams().Len() > 0
		}
		for m := range i.Methods() {
			if generic {
				byMethod[m.Name()] = append(byMethod[m.Name()], nil)
			} else {
				byMethod[m.Name()] = append(byMethod[m.Name()], i)
			}
		}
	}
	add(types.Universe.Lookup("error"))
	packages.Visit(h.packages, nil, func(p *packages.Package) {
		if p.Types == nil {
			return
		}
		for _, name := range p.Types.Scope().Names() {
			add(p.Types.Scope().Lookup(name))
		}
	})
	return byMethod
}

// fits reports whether the method makes its type fit an interface, or one of those that package errors has no name for. Of
// a generic interface, only the name of the method is compared.
func fits(recv types.Type, method string, interfaces map[string][]*types.Interface) bool {
	if slices.Contains([]string{"Unwrap", "Is", "As"}, method) {
		return true
	}
	if _, ok := recv.(*types.Pointer); !ok {
		recv = types.NewPointer(recv)
	}
	return slices.ContainsFunc(interfaces[method], func(i *types.Interface) bool { return i == nil || types.Implements(recv, i) })
}

// A guide is the text of CONTRIBUTING.md.
type guide string

func readGuide(t *testing.T) guide {
	data, err := os.ReadFile(filepath.Join("..", "..", "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	return guide(data)
}

// section returns the text below a heading, up to the next one.
func (g guide) section(heading string) string {
	_, rest, ok := strings.Cut(string(g), "# "+heading+"\n")
	if !ok {
		return ""
	}
	text, _, _ := strings.Cut(rest, "\n#")
	return text
}

var goFile = regexp.MustCompile(`\w+\.go\b`)

var reasonLine = regexp.MustCompile("(?m)^- `([^`]+)`: (.+)$")

// reasons returns the lines "- `name`: text" below a heading.
func (g guide) reasons(heading string) map[string]string {
	out := map[string]string{}
	for _, m := range reasonLine.FindAllStringSubmatch(g.section(heading), -1) {
		out[m[1]] = m[2]
	}
	return out
}
