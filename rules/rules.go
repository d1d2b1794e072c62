package rules

import (
	"encoding/json"
	"slices"
	"time"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// Options are what a rule file is compiled against. The zero value works: no connections, UTC.
type Options struct {
	// Connections are the configured connections: name to kind of action ("email", "slack", "http").
	Connections map[string]string
	// Zone is where naive texts are read, and where a rule sees times for whom no zone is known. A rule without
	// `timezone` sees each time in its own offset. nil is UTC.
	Zone *time.Location
	// Language is that of names of days and months in what date prints, one of [lang.Languages]; "" is English.
	Language string
}

// A File is one rule file, compiled. It is immutable.
type File struct {
	Path  string // as given to Compile
	Rules []*Rule

	ignores text.Ignores // of what is found in several files together
}

// A Rule is one compiled rule. It is immutable and safe for concurrent use.
type Rule struct {
	Name        string
	File        string // the path of its file
	Description string
	On          []string // wire types and derived names, as written
	Enabled     bool     // a rule that is not is checked, and never matches
	Shadow      bool     // mode: shadow: match, render and record, send nothing

	when     *lang.Condition // nil: always
	lets     []namedValue
	programs []*lang.Program // of the lets
	steps    []*step
	zone     *time.Location // in which times are seen; nil: in their own offset, or in that of whose
	naive    *time.Location // where texts without an offset are read as times; nil is UTC
	language *lang.Language // nil is English
	whose    string         // contact, user or location: times are seen in theirs; "" if it is fixed

	nameSpan                         text.Span
	line, column, endLine, endColumn int // of the name
}

type namedValue struct {
	name    string
	program *lang.Program
	src     string // as written
}

// A Match is a rule that applies to an event, or whose condition failed on it (then Err is set and Steps
// is empty).
type Match struct {
	Rule  *Rule
	Err   error
	Steps []Step
}

// A Step is one entry of a matching rule's `then`, rendered for one event, or planned if it waits: then [Set.Due]
// renders it when its moment has come.
type Step struct {
	Number     int    // 1-based
	Action     string // the kind's name
	Connection string // the name in bellhop.yaml, resolved; "" if it needs none
	// Destination is whom the step goes to, by which one slow destination is kept from delaying others: the
	// connection's name, or without one what the request's Destination(nil) says. It must be filled.
	Destination string
	Request     json.RawMessage // the rendered request; nil of one that waits
	Skip        string          // why nothing is to be sent, such as "unresolved recipient"; "" otherwise
	Err         error           // why rendering failed; recorded, nothing is sent

	// Of a step that waits:
	At    time.Time // when it is due; zero of a step that does not wait
	Until time.Time // the last moment at which it may be sent, zero if there is none
	Key   string    // tells it from the other steps of its rule, by what is written in it and in those, see [SameStep]
}

// Compile parses, type-checks and compiles one rule file. The file is nil if any finding is an error.
// Findings are sorted by position. It never panics, whatever data holds.
func Compile(path string, data []byte, o Options) (*File, []text.Finding) {
	r := text.New(path, "rule file", data, lineKeys())
	rules, ignores := parseSafely(r, o)
	findings := r.Findings()
	if r.Errors() > 0 {
		return nil, findings
	}
	return &File{Path: path, Rules: rules, ignores: ignores}, findings
}

// parseSafely keeps a mistake of ours, or of the libraries below, from taking down a server that reloads.
func parseSafely(r *text.Document, o Options) (rules []*Rule, ignores text.Ignores) {
	defer func() {
		if p := recover(); p != nil {
			rules = nil
			r.Errorf(codeInternal, text.Span{}, "", "this file cannot be read; that is a mistake in Bellhop, please report it together with the file")
		}
	}()
	rules = parse(r, o)
	return rules, r.Silence(codeSameSend)
}

const codeInternal = "internal"

// lineKeys are the keys with which lines of a rule file may begin.
func lineKeys() []string { return slices.Concat([]string{"rules"}, ruleKeys, stepKeys, actionNames()) }
