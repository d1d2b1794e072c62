package rules_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"bellhop/rules"
)

// folder returns n files of m rules each, with different names, calendars and texts.
func folder(n, m int) []rules.Source {
	var out []rules.Source
	for i := range n {
		out = append(out, rules.Source{Path: fmt.Sprintf("f%03d.yaml", i), Data: []byte(strings.ReplaceAll(
			strings.ReplaceAll(manyRules(m), "name: rule ", fmt.Sprintf("name: rule %d-", i)), "New: ", fmt.Sprintf("New in %d: ", i)))})
	}
	return out
}

// Compiling many files gives the same results, in order, as compiling each.
func TestCompileAll(t *testing.T) {
	t.Parallel()
	sources := folder(20, 5)
	sources[7].Data = []byte(rule("on: bookd"))
	sources[8].Data = []byte(rule(`when: appointment.title == "a" && appointment.title == "b"`))
	for i, c := range rules.CompileAll(sources, options()) {
		f, findings := rules.Compile(sources[i].Path, sources[i].Data, options())
		if !reflect.DeepEqual(c.Findings, findings) || (c.File == nil) != (f == nil) || f != nil && (c.File.Path != f.Path || len(c.File.Rules) != len(f.Rules)) {
			t.Errorf("%s: %+v, alone %v", sources[i].Path, c, findings)
		}
		if (len(findings) > 0) != (i == 7 || i == 8) {
			t.Errorf("%s: %v", sources[i].Path, findings)
		}
	}
	if got := rules.CompileAll(nil, options()); len(got) != 0 {
		t.Error(got)
	}
}

// BenchmarkCheck10000 checks 10,000 rules in 100 files, as `bellhop check` does.
func BenchmarkCheck10000(b *testing.B) {
	sources := folder(100, 100)
	b.ReportAllocs()
	for b.Loop() {
		var files []*rules.File
		for i, c := range rules.CompileAll(sources, options()) {
			if c.File == nil || len(c.Findings) > 0 {
				b.Fatal(sources[i].Path, c.Findings)
			}
			files = append(files, c.File)
		}
		set, findings := rules.NewSet(files)
		if len(set.Rules()) != 10_000 {
			b.Fatal(findings)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/check")
}
