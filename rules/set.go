package rules

import (
	"hash/maphash"
	"slices"
	"strconv"
	"time"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// A Set is the rules of a folder, ready to be matched. It is immutable and safe for concurrent use.
type Set struct {
	files []*File // without those that were left out
	rules []*Rule
	index *index

	names table      // the hashes of the names
	asked table      // every test that any condition needs
	alike table      // the first half of the key of each step that is sent
	same  []sameSend // see sameSends

	directory *Directory               // what the files say of people
	locations map[string]*LocationFile // by their ids
}

// NewSet joins files into one set. A rule name that occurs twice is an error in the later of the two files, in the
// given order; the set then lacks that whole file. Steps that send the same for the same event are warnings and stay
// in the set. The findings are sorted by file, in the given order, and position.
func NewSet(files []*File) (*Set, []text.Finding) {
	return (&Set{index: &index{}, directory: &Directory{}}).Changed(files)
}

// Changed returns what [NewSet] returns, and takes less time for files that are in this set.
func (s *Set) Changed(files []*File) (*Set, []text.Finding) {
	is := &Set{}
	var findings []text.Finding
	is.directory, is.files, findings = joinDirectories(files)
	var mistakes []text.Finding
	is.files, is.locations, mistakes = joinLocations(is.files, is.directory, s)
	findings = append(findings, mistakes...)
	moved, added := is.place(s)
	if is.collide() {
		var collisions []text.Finding
		is.files, collisions = withoutCollisions(is.files)
		findings = append(findings, collisions...)
		moved, added = is.place(s)
	}
	var asked, alike []entry
	for _, i := range added {
		rule := is.rules[i]
		if !rule.Enabled {
			continue
		}
		for _, need := range rule.needs {
			for _, a := range need {
				asked = append(asked, entry{uint64(a.Key()), i})
			}
		}
		for _, key := range rule.sent() {
			alike = append(alike, entry{key.high, i})
		}
	}
	is.asked, is.alike = s.asked.changed(moved, asked), s.alike.changed(moved, alike)
	is.index = s.index.changed(moved, is.rules, added, &is.asked)
	is.same = is.sameSends(s, moved, added)
	same := make([]text.Finding, len(is.same))
	for i, found := range is.same {
		same[i] = found.finding
	}
	for _, f := range files {
		same = f.ignores.Silence(same)
	}
	findings = append(findings, same...)
	sortByFile(findings, files)
	return is, findings
}

// place puts the rules of the files in their order. It returns where the rules of another set are now, and the indexes of
// those that are not in the other set.
func (s *Set) place(was *Set) (moved moves, added []int32) {
	n := 0
	for _, f := range s.files {
		n += len(f.Rules)
	}
	s.rules = make([]*Rule, 0, n)
	begin := make(map[*File]int32, len(s.files))
	for _, f := range s.files {
		begin[f] = int32(len(s.rules))
		s.rules = append(s.rules, f.Rules...)
	}
	moved = make(moves, len(was.rules))
	there := make(map[*File]bool, len(was.files))
	i := 0
	for _, f := range was.files {
		to, kept := begin[f]
		there[f] = true
		for range f.Rules {
			if moved[i] = -1; kept {
				moved[i] = to
				to++
			}
			i++
		}
	}
	for _, f := range s.files {
		if !there[f] {
			for k := range f.Rules {
				added = append(added, begin[f]+int32(k))
			}
		}
	}
	names := make([]entry, len(added))
	for k, i := range added {
		names[k] = entry{hashOf(s.rules[i].Name), i}
	}
	s.names = was.names.changed(moved, names)
	return moved, added
}

var nameSeed = maphash.MakeSeed()

func hashOf(name string) uint64 { return maphash.String(nameSeed, name) }

// named returns the rule with a name, nil if there is none.
func (s *Set) named(name string) *Rule {
	for _, i := range s.names.of(hashOf(name)) {
		if s.rules[i].Name == name {
			return s.rules[i]
		}
	}
	return nil
}

// collide reports whether two rules have one name.
func (s *Set) collide() bool {
	for i := 1; i < len(s.names.keys); i++ {
		for k := i; k > 0 && s.names.keys[k-1] == s.names.keys[i]; k-- {
			if s.rules[s.names.rules[k-1]].Name == s.rules[s.names.rules[i]].Name {
				return true
			}
		}
	}
	return false
}

// withoutCollisions leaves out the files with a rule whose name an earlier one has, and says so.
func withoutCollisions(files []*File) (without []*File, findings []text.Finding) {
	owner := map[string]*Rule{}
	for _, f := range files {
		taken := false
		for _, rule := range f.Rules {
			other := owner[rule.Name]
			if other == nil {
				continue
			}
			taken = true
			findings = append(findings, text.Finding{
				File: f.Path, Line: rule.line, Column: rule.column, EndLine: rule.endLine, EndColumn: rule.endColumn,
				Severity: text.Error, Code: "duplicate-rule",
				Message: "there is another rule named " + text.Quote(rule.Name) + ", in " + other.File + ":" + strconv.Itoa(other.line),
			})
		}
		if taken {
			continue
		}
		without = append(without, f)
		for _, rule := range f.Rules {
			owner[rule.Name] = rule
		}
	}
	return without, findings
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
	ev = s.know(ev)
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
		unknown, open := lang.UnknownIn(err)
		if err != nil && !open {
			out = append(out, Match{Rule: rule, Err: err})
		}
		if !yes && !open {
			continue
		}
		m := Match{Rule: rule, Steps: make([]Step, len(r.body.steps))}
		for j, st := range r.body.steps {
			switch {
			case st.wait != nil: // its condition is looked at again when it is due
				m.Steps[j] = st.plan(r, now)
			case open:
				m.Steps[j] = st.wants(r, unknown)
			default:
				m.Steps[j] = st.render(r)
			}
		}
		out = append(out, m)
	}
	return out
}
