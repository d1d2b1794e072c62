package rules

import (
	"encoding/json"
	"time"
)

// Options are what a rule file is compiled against. The zero value works: no connections, UTC.
type Options struct {
	// Connections are the configured connections: name to kind of action ("email", "slack", "http").
	Connections map[string]string
	// Zone is where naive texts are read and, in a rule without `timezone`, nothing else. nil is UTC.
	Zone *time.Location
}

// A Finding is one mistake (or doubt) in a rule file, pointed at exactly. Lines and columns are 1-based and
// count characters in the file as the user wrote it; the range from Line:Column up to but not including
// EndLine:EndColumn is what Suggestion replaces.
type Finding struct {
	File       string   `json:"file"`
	Line       int      `json:"line"`
	Column     int      `json:"column"`
	EndLine    int      `json:"endLine"`
	EndColumn  int      `json:"endColumn"`
	Severity   Severity `json:"severity"`
	Code       string   `json:"code"` // a stable word for programs, such as "unknown-key"
	Message    string   `json:"message"`
	Suggestion string   `json:"suggestion"`
}

// Severity says whether a finding keeps its file from being used.
type Severity string

const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// A File is one rule file, compiled. It is immutable.
type File struct {
	Path  string // as given to Compile
	Rules []*Rule
}

// A Rule is one compiled rule. It is immutable and safe for concurrent use.
type Rule struct {
	Name   string
	Shadow bool // mode: shadow: match, render and record, send nothing
	// further fields are unexported
}

// A Set is the rules of a folder, ready to be matched. It is immutable and safe for concurrent use.
type Set struct{}

// A Match is a rule that applies to an event, or whose condition failed on it (then Err is set and Steps
// is empty).
type Match struct {
	Rule  *Rule
	Err   error
	Steps []Step
}

// A Step is one entry of a matching rule's `then`, rendered for one event.
type Step struct {
	Number     int    // 1-based
	Action     string // the kind's name
	Connection string // the name in bellhop.yaml, resolved; "" if it needs none
	// Destination is whom the step goes to, by which one slow destination is kept from delaying others: the
	// connection's name, or without one what the request's Destination(nil) says. It must be filled.
	Destination string
	Request     json.RawMessage // the rendered request
	Skip        string          // why nothing is to be sent, such as "unresolved recipient"; "" otherwise
	Err         error           // why rendering failed; recorded, nothing is sent
}

// Compile parses, type-checks and compiles one rule file. The file is nil if any finding is an error.
// Findings are sorted by position. It never panics, whatever data holds.
func Compile(path string, data []byte, o Options) (*File, []Finding) { panic("not written") }

// NewSet joins files into one set. A rule name that occurs twice is a finding on the later of the two
// files in the given order; the set then lacks that whole file.
func NewSet(files []*File) (*Set, []Finding) { panic("not written") }

// Rules are the set's rules, in file order.
func (s *Set) Rules() []*Rule { panic("not written") }

// Match evaluates the rules that apply to ev and renders their immediate steps. It has no side effects
// and is safe for concurrent use; ev must not change meanwhile.
func (s *Set) Match(ev *Event) []Match { panic("not written") }
