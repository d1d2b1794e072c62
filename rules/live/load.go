package live

import (
	"cmp"
	"path/filepath"
	"slices"

	"bellhop/rules"
	"bellhop/rules/text"
)

// A Source is one rule file to load.
type Source struct {
	Name string // its name for people, used in findings
	Path string // where to read it; "" if Data is its content
	Data []byte

	problem trouble // why it is not read
}

// Sources returns the rule files of a folder as [Open] would load them: sorted, with dir in their names. A file that
// cannot be read is among them; loading it says why. For others, see [Options.Also].
func Sources(dir string, others ...string) ([]Source, error) {
	paths, err := Paths(dir, others...)
	sources := make([]Source, len(paths))
	for i, path := range paths {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if sources[i] = (Source{Name: path, Path: path}); i >= maxFiles {
			sources[i].problem = oneTooMany
		}
	}
	return sources, err
}

// A Loaded is rules that were read, compiled and joined once.
type Loaded struct {
	Set      *rules.Set    // of the files without a mistake
	Files    []*rules.File // the same files, in the order of their sources
	Findings []text.Finding
}

// Load reads, compiles and joins rule files without watching them. The findings are in the order of the sources, and
// by position.
func Load(sources []Source, o rules.Options) Loaded {
	var out Loaded
	var readable []rules.Source
	order := make(map[string]int, len(sources))
	for i, s := range sources {
		order[s.Name] = i
		if s.Path != "" && s.problem == (trouble{}) {
			s.Data, s.problem = read(s.Path)
		}
		if s.problem != (trouble{}) {
			out.Findings = append(out.Findings, s.problem.finding(s.Name))
			continue
		}
		readable = append(readable, rules.Source{Path: s.Name, Data: s.Data})
	}
	for _, c := range rules.CompileAll(readable, o) {
		out.Findings = append(out.Findings, c.Findings...)
		if c.File != nil {
			out.Files = append(out.Files, c.File)
		}
	}
	var together []text.Finding
	out.Set, together = rules.NewSet(out.Files)
	out.Findings = append(out.Findings, together...)
	slices.SortStableFunc(out.Findings, func(a, b text.Finding) int {
		return cmp.Or(order[a.File]-order[b.File], a.Line-b.Line, a.Column-b.Column)
	})
	return out
}

// LoadFolder is [Load] for the rule files of a folder. For others, see [Options.Also].
func LoadFolder(o rules.Options, dir string, others ...string) (Loaded, error) {
	sources, err := Sources(dir, others...)
	if err != nil {
		return Loaded{}, err
	}
	return Load(sources, o), nil
}

// Mistakes returns the findings that keep a file out of the set.
func (l *Loaded) Mistakes() []text.Finding {
	return slices.DeleteFunc(slices.Clone(l.Findings), func(f text.Finding) bool { return f.Severity != text.Error })
}
