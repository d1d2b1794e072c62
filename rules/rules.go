package rules

import (
	"encoding/json"
	"slices"
	"time"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// Options are what a rule file is compiled with. The zero value works: no connections, UTC.
type Options struct {
	// Connections are the configured connections: name to kind of action ("email", "slack", "http").
	Connections map[string]string
	// Zone is the zone of texts without an offset, and the fallback if a person's zone is unknown. A rule without
	// `timezone` sees each time in its own offset. nil is UTC.
	Zone *time.Location
	// Language is the language of names of days and months that date prints, one of [lang.Languages]; "" is English.
	Language string
}

// A File is one rule file, compiled. It is immutable.
type File struct {
	Path  string // as given to Compile
	Rules []*Rule

	ignores text.Ignores // for findings about several files together
}

// A Rule is one compiled rule. It is immutable and safe for concurrent use.
type Rule struct {
	Name        string
	File        string // the path of its file
	Description string
	On          []string // wire types and derived names, as written
	Enabled     bool     // a disabled rule is checked but never matches
	Shadow      bool     // mode: shadow; match, render and record, but send nothing

	when     *lang.Condition // nil: always
	lets     []namedValue
	programs []*lang.Program // of lets, in order
	steps    []*step
	zone     *time.Location // the zone in which times are seen; nil: their own offset, or the zone of whose
	naive    *time.Location // the zone of texts without an offset; nil is UTC
	language *lang.Language // nil is English
	whose    string         // contact, user or location if times are seen in their zone; "" if the zone is fixed

	nameSpan                         text.Span
	line, column, endLine, endColumn int // of the name
}

type namedValue struct {
	name    string
	program *lang.Program
	src     string // as written
}

// A Match is a rule that applies to an event, or whose condition failed (then Err is set and Steps is empty).
type Match struct {
	Rule  *Rule
	Err   error
	Steps []Step
}

// A Step is one entry of a matching rule's `then`, rendered for one event. A step that waits is only planned;
// [Set.Due] renders it when its moment has come.
type Step struct {
	Number     int    // 1-based
	Action     string // the kind's name
	Connection string // its name in bellhop.yaml; "" if the step uses none
	// Destination identifies where the step goes, so that one slow destination does not delay others: the name of the
	// connection, or what the request's Destination(nil) returns if there is none. A step that waits and whose
	// destination is known only after rendering has the name of its rule.
	Destination string
	Request     json.RawMessage // the rendered request; nil if the step waits
	Skip        string          // why nothing is sent
	Err         error           // why rendering failed; recorded, nothing is sent

	// For a step that waits:
	At    time.Time // when it is due; zero if the step does not wait
	Until time.Time // the last moment at which it is sent, zero if there is none
	Key   string    // identifies it among the steps of its rule by what is written in them, see [SameStep]
}

// Compile parses, type-checks and compiles one rule file. The file is nil if any finding is an error. Findings are
// sorted by position. It never panics, whatever data contains.
func Compile(path string, data []byte, o Options) (*File, []text.Finding) {
	r := text.New(path, "rule file", data, lineKeys())
	rules, ignores := parseSafely(r, o)
	findings := r.Findings()
	if r.Errors() > 0 {
		return nil, findings
	}
	return &File{Path: path, Rules: rules, ignores: ignores}, findings
}

// parseSafely turns a panic of ours, or of the libraries below, into a finding, so that it does not end a server that
// reloads.
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

// lineKeys returns the keys with which lines of a rule file may begin.
func lineKeys() []string { return slices.Concat([]string{"rules"}, ruleKeys, stepKeys, actionNames()) }
