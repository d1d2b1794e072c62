package rules

import (
	"strings"

	"bellhop/rules/lang"
)

// A memo holds what was checked in one file without any finding, so that the same words are checked once. Many rules of
// a folder differ only in a name or two.
type memo struct {
	whens map[string]*checkedWhen
	lets  map[string]*checkedLet
	texts map[textKey]uses
	sends map[string]checkedSend
}

// A checkedWhen is a condition, for rules with the same events and named values.
type checkedWhen struct {
	condition *lang.Condition
	term      lang.Term
	uses      uses
}

// A checkedLet is a named value, below the same other ones.
type checkedLet struct {
	key     string
	program *lang.Program
	let     lang.Let // without its name
	uses    uses
	clean   bool // there was no finding when it was compiled
}

// A textKey identifies a text with {{ }} and all that checking it depends on.
type textKey struct {
	names, text, escape string
	recipient           bool
}

// A checkedSend is what is known of a request by what is written in it.
type checkedSend struct{ connection, to string }

// uses are the named values that an expression uses, by index.
type uses []int

func newMemo() *memo {
	return &memo{whens: map[string]*checkedWhen{}, lets: map[string]*checkedLet{}, texts: map[textKey]uses{}, sends: map[string]checkedSend{}}
}

// A watch notices whether what was checked since it began could be taken for checked elsewhere.
type watch struct {
	s       *scope
	reports int
	used    map[int]bool // before
}

// watch begins one.
func (s *scope) watch() watch {
	w := watch{s, s.Doc.Reports(), s.Used}
	s.Used, s.unsure = map[int]bool{}, false
	return w
}

// end returns the named values that were used since. ok is false if there was a finding, or if there was none only
// because of the rule's condition.
func (w watch) end() (used uses, ok bool) {
	for i := range w.s.Used {
		used = append(used, i)
	}
	w.s.Used = w.used
	w.s.use(used)
	return used, w.s.Doc.Reports() == w.reports && !w.s.unsure
}

// use notes that named values are used.
func (s *scope) use(list uses) {
	for _, i := range list {
		s.Used[i] = true
	}
}

// name adds a named value to what identifies the names that expressions can use.
func (s *scope) name(name, written string) {
	var b strings.Builder
	b.Grow(len(s.names) + len(name) + len(written) + 2)
	b.WriteString(s.names)
	b.WriteString(name)
	b.WriteByte('=')
	b.WriteString(written)
	b.WriteByte(0)
	s.names = b.String()
}
