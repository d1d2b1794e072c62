package rules

import (
	"slices"
	"time"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// A Set is the rules of a folder, ready to be matched. It is immutable and safe for concurrent use.
type Set struct {
	rules []*Rule
	index *index
	names map[string]int // rule name to index
}

// NewSet joins files into one set. A rule name that occurs twice is an error in the later of the two files, in the
// given order; the set then lacks that whole file. Steps that send the same for the same event are warnings and stay
// in the set. The findings are sorted by file, in the given order, and position.
func NewSet(files []*File) (*Set, []text.Finding) {
	s := &Set{names: map[string]int{}}
	var findings []text.Finding
	owner := map[string]*File{}
	line := map[string]int{}
	for _, f := range files {
		taken := false
		for _, rule := range f.Rules {
			other, ok := owner[rule.Name]
			if !ok {
				continue
			}
			taken = true
			findings = append(findings, text.Finding{
				File: f.Path, Line: rule.line, Column: rule.column, EndLine: rule.endLine, EndColumn: rule.endColumn,
				Severity: text.Error, Code: "duplicate-rule",
				Message: "there is another rule named " + text.Quote(rule.Name) + ", in " + other.Path + ":" + lang.Print(line[rule.Name]),
			})
		}
		if taken {
			continue
		}
		for _, rule := range f.Rules {
			owner[rule.Name], line[rule.Name] = f, rule.line
			s.rules = append(s.rules, rule)
		}
	}
	same := sameSends(s.rules)
	for _, f := range files {
		same = f.ignores.Silence(same)
	}
	findings = append(findings, same...)
	sortByFile(findings, files)
	for i, rule := range s.rules {
		s.names[rule.Name] = i
	}
	s.index = newIndex(s.rules, func(r *Rule) []lang.Need { return r.needs })
	return s, findings
}

// sortByFile sorts findings by file, in the order of files, and by position.
func sortByFile(findings []text.Finding, files []*File) {
	order := make(map[string]int, len(files))
	for i, f := range files {
		order[f.Path] = i
	}
	text.Sort(findings)
	slices.SortStableFunc(findings, func(a, b text.Finding) int { return order[a.File] - order[b.File] })
}

// Rules returns the set's rules, in file order.
func (s *Set) Rules() []*Rule { return s.rules }

// Match evaluates the rules that apply to ev, with now as the value of now(), and renders their immediate steps. For
// waiting steps it computes when they are due. It has no side effects and is safe for concurrent use; ev must not
// change meanwhile. Matches are in the order of the rules, each rule once, however many of its event names fit.
func (s *Set) Match(ev *Event, now time.Time) []Match {
	candidates := s.index.candidates(ev)
	if len(candidates) == 0 {
		return nil
	}
	r := newRun(ev, now)
	if len(candidates) > 1 {
		r.known = make(map[conditionID]bool, min(len(candidates), 64))
	}
	var out []Match
	for _, i := range candidates {
		rule := s.rules[i]
		r.start(rule)
		yes, err := r.applies()
		if err != nil {
			out = append(out, Match{Rule: rule, Err: err})
		}
		if !yes || err != nil {
			continue
		}
		m := Match{Rule: rule, Steps: make([]Step, len(r.body.steps))}
		for j, st := range r.body.steps {
			if st.wait != nil {
				m.Steps[j] = st.plan(r, now)
			} else {
				m.Steps[j] = st.render(r)
			}
		}
		out = append(out, m)
	}
	return out
}
