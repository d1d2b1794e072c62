package rules

import (
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules/lang"
)

// A memo holds what was checked in one file without any finding, so that the same words are checked once. Many rules of
// a folder differ only in a name or two.
type memo struct {
	whens map[string]*checkedWhen
	lets  map[string]*checkedLet
	texts map[textKey]uses
	sends map[string]checkedSend
	steps map[string]checkedStep
	lists map[string][]string
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

// A checkedStep is what is kept of a step that does not wait, by what is written in it.
type checkedStep struct {
	kind *actions.Kind
	key  sendKey
	uses uses
}

// uses are the named values that an expression uses, by index.
type uses []int

func newMemo() *memo {
	return &memo{
		whens: map[string]*checkedWhen{}, lets: map[string]*checkedLet{}, texts: map[textKey]uses{},
		sends: map[string]checkedSend{}, steps: map[string]checkedStep{}, lists: map[string][]string{},
	}
}

// list returns one list for all that are equal.
func (m *memo) list(of []string) []string {
	key := strings.Join(of, ",")
	if m.lists[key] == nil {
		m.lists[key] = of
	}
	return m.lists[key]
}

// A watch notices whether what was checked since it began could be taken for checked elsewhere.
type watch struct {
	s       *scope
	reports int
	used    map[int]bool // before
	unsure  bool         // before
}

// watch begins one.
func (s *scope) watch() watch {
	w := watch{s, s.Doc.Reports(), s.Used, s.unsure}
	s.Used, s.unsure = map[int]bool{}, false
	return w
}

// end returns the named values that were used since. ok is false if there was a finding, or if there was none only
// because of the rule's condition.
func (w watch) end() (used uses, ok bool) {
	s := w.s
	for i := range s.Used {
		used = append(used, i)
	}
	ok = s.Doc.Reports() == w.reports && !s.unsure
	s.Used, s.unsure = w.used, w.unsure || s.unsure
	s.use(used)
	return used, ok
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

// stepKey identifies what is written in a step, and what its names mean. It is "" for a step that waits, which is
// compared with the rule's condition.
func (s *scope) stepKey(n *yaml.Node, number int) string {
	if n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == "at" {
			return ""
		}
	}
	b := make([]byte, 0, 512)
	b = append(b, s.names...)
	b = strconv.AppendInt(b, int64(number), 10)
	return string(appendNode(b, n))
}

// appendNode writes all of a node that is read.
func appendNode(b []byte, n *yaml.Node) []byte {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	b = append(b, byte(n.Kind))
	b = strconv.AppendInt(b, int64(n.Style), 10)
	for _, text := range []string{n.Tag, n.Value, n.Anchor, n.LineComment} {
		b = strconv.AppendInt(append(b, ' '), int64(len(text)), 10)
		b = append(append(b, ' '), text...)
	}
	for _, c := range n.Content {
		b = appendNode(b, c)
	}
	return append(b, 0)
}
