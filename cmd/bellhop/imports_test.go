package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers are the folders with Go code. Each of them can import itself and those after it. testdata has Go code too,
// and only cmd imports it.
var layers = []string{"cmd", "engine", "rules", "actions"}

const module = "bellhop/"

func TestImportsGoOneWay(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == root {
			return nil
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") || d.Name() == "vendor") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		files++
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		imports, err := importsOf(path)
		if err != nil {
			return err
		}
		for _, problem := range misplaced(rel, imports) {
			t.Error(problem)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("only %d Go files were looked at", files)
	}
}

func importsOf(path string) ([]string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, spec := range f.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return list, nil
}

// misplaced returns the problems with a file's path and its imports, as sentences.
func misplaced(path string, imports []string) []string {
	top, _, nested := strings.Cut(path, "/")
	var problems []string
	if top == "testdata" && nested {
		for _, name := range imports {
			if strings.HasPrefix(name, module) {
				problems = append(problems, path+" imports "+name+": testdata imports nothing")
			}
		}
		return problems
	}
	layer := slices.Index(layers, top)
	if layer < 0 || !nested {
		return []string{path + ": Go code belongs below one of " + strings.Join(layers, ", ")}
	}
	for _, name := range imports {
		rest, ours := strings.CutPrefix(name, module)
		if !ours {
			continue
		}
		to, _, _ := strings.Cut(rest, "/")
		if to == "testdata" && top == "cmd" {
			continue
		}
		if slices.Index(layers, to) < layer {
			problems = append(problems, path+" imports "+name+", and imports go "+strings.Join(layers, " → "))
		}
	}
	return problems
}

func TestMisplacedImportsAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, imports string
		want          int
	}{
		{"cmd/bellhop/run.go", "bellhop/engine bellhop/rules/live bellhop/actions bellhop/testdata fmt", 0},
		{"engine/store/store.go", "bellhop/actions bellhop/engine/metrics", 0},
		{"rules/rules.go", "bellhop/actions", 0},
		{"actions/http.go", "net/http", 0},
		{"testdata/testdata.go", "embed", 0},
		{"actions/http.go", "bellhop/rules", 1},
		{"rules/rules.go", "bellhop/engine/store bellhop/cmd/bellhop", 2},
		{"engine/engine.go", "bellhop/testdata", 1},
		{"testdata/testdata.go", "bellhop/rules", 1},
		{"util/util.go", "", 1},
		{"main.go", "", 1},
	} {
		if got := misplaced(c.path, strings.Fields(c.imports)); len(got) != c.want {
			t.Errorf("%s importing %s: %q, want %d problems", c.path, c.imports, got, c.want)
		}
	}
}
