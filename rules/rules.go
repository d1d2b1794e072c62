package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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
	// Hours are the configured hours, by name.
	Hours map[string]*Hours
	// LocationFile compiles a file if it is in the folder of locations; ok is false for another one. nil means that there are
	// no such files.
	LocationFile func(path string, data []byte) (f *File, findings []text.Finding, ok bool)

	only []forLocation // what the file that is read is for
}

// Identity identifies all that the options mean for a file.
func (o Options) Identity() string {
	zone := ""
	if o.Zone != nil {
		zone = o.Zone.String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%q %q", zone, o.Language)
	for _, name := range text.SortedKeys(o.Connections) {
		fmt.Fprintf(&b, " %q %q", name, o.Connections[name])
	}
	for _, name := range text.SortedKeys(o.Hours) {
		b.WriteString(" " + o.Hours[name].identity())
	}
	return b.String()
}

// A File is one rule file, compiled. It is immutable.
type File struct {
	Path  string // as given to Compile
	Rules []*Rule

	people   *Directory    // what the file says of people; nil if nothing
	listed   []listed      // the ids in it
	only     []forLocation // the locations that its rules are for; none is all
	borrowed []borrowed    // the connections that these must have
	location *LocationFile // what it says of a location of its own; nil for another file
	ignores  text.Ignores  // for findings about several files together
}

// People returns how many people, calendars and locations the file describes.
func (f *File) People() int { return len(f.listed) }

// A Rule is one compiled rule. It is immutable and safe for concurrent use. It keeps what many rules need to be searched
// and compared; the rest is made when it is needed, see [body].
type Rule struct {
	Name        string
	File        string // the path of its file
	Description string
	On          []string // wire types and derived names, as written
	Enabled     bool     // a disabled rule is checked but never matches
	Shadow      bool     // mode: shadow; match, render and record, but send nothing

	only      []string    // the names or ids of the locations that it is for; none is all
	needs     []lang.Need // of its condition, for the index
	asks      lang.Asks   // what its condition asks for; empty if it has none
	cancelled bool        // it asks for appointments that are cancelled, and for no others
	sends     []sendKey   // of its steps, in order

	line, column, endLine, endColumn int // of the name
	text                             written
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
	// Opens is when the hours of the step open, if they are closed and it would be sent now; zero otherwise. Nothing else is
	// known of it then.
	Opens time.Time
	// Wants is what has to be looked up before the step can be decided, planned or rendered: [Set.Due] or [Set.Render] does
	// that then. It is nil if nothing has to be.
	Wants *lang.Unknown

	// For a step that waits:
	At    time.Time // when it is due; zero if the step does not wait
	Until time.Time // the last moment at which it is sent, zero if there is none
	Key   string    // identifies it among the steps of its rule by what is written in them, see [SameStep]
}

// Compile parses, type-checks and compiles one rule file. The file is nil if any finding is an error. Findings are
// sorted by position. It never panics, whatever data contains. The file keeps data, which must not change.
func Compile(path string, data []byte, o Options) (*File, []text.Finding) {
	if o.LocationFile != nil {
		if f, findings, ok := o.LocationFile(path, data); ok {
			return f, findings
		}
	}
	r := text.New(path, ruleFile, data, lineKeys())
	var drafts []*draft
	var people Directory
	var listed []listed
	var ignores text.Ignores
	parseSafely(r, func() {
		drafts, listed, o.only = parse(r, o, &people, false)
		ignores = r.Silence(codeSameSend)
	})
	findings := r.Findings()
	if r.Errors() > 0 {
		return nil, findings
	}
	f := newFile(r, drafts, &fileText{path: path, data: data, o: o}, ignores)
	if f.listed = listed; listed != nil {
		f.people = &people
	}
	f.only = o.only
	for _, d := range drafts {
		f.borrowed = append(f.borrowed, d.borrowed...)
	}
	return f, findings
}

// newFile returns the file of drafts without a mistake.
func newFile(r *text.Document, drafts []*draft, in *fileText, ignores text.Ignores) *File {
	f := &File{Path: in.path, Rules: make([]*Rule, len(drafts)), ignores: ignores}
	var lines []text.Lines
	if len(drafts) > 0 {
		lines = r.Elements(drafts[0].list)
	}
	for i, d := range drafts {
		f.Rules[i] = d.Rule
		for _, only := range in.o.only {
			d.only = append(d.only, only.Name)
		}
		d.summarise()
		d.text.in = in
		if lines != nil {
			d.text.lines = lines[i]
		}
	}
	if lines == nil {
		in.rules = f.Rules
	}
	return f
}

// summarise keeps in the rule what is needed of its body to search and to compare many rules.
func (d *draft) summarise() {
	rule := d.Rule
	rule.needs = forNeeds(rule.only)
	if d.when != nil {
		rule.needs, rule.asks = slices.Concat(rule.needs, d.when.Needs), d.when.Yes.AllAsks()
		statuses, _ := d.when.Yes.Asks("appointment.appointmentStatus")
		rule.cancelled = slices.Equal(statuses, []string{Cancelled})
	}
	rule.sends = make([]sendKey, len(d.steps))
	for i, st := range d.steps {
		rule.sends[i] = st.sendKey
	}
}

// parseSafely turns a panic of ours, or of the libraries below, into a finding, so that it does not end a server that
// reloads.
func parseSafely(r *text.Document, parse func()) {
	defer func() {
		if p := recover(); p != nil {
			r.Errorf(codeInternal, text.Span{}, "", "this file cannot be read; that is a mistake in Bellhop, please report it together with the file")
		}
	}()
	parse()
}

const ruleFile = "rule file"

const codeInternal = "internal"

// lineKeys returns the keys with which lines of a rule file may begin.
func lineKeys() []string { return slices.Concat([]string{"rules"}, ruleKeys, stepKeys, actionNames()) }
