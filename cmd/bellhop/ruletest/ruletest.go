// Package ruletest runs the tests that people write beside their rules.
//
// A file such as desk.test.yaml tests the rule file desk.yaml beside it. Without such a namesake it tests all
// the rules of its folder, those in folders below too; `rules:` at its top names other files or folders.
//
//	tests:
//	  - name: a confirmed booking is announced
//	    event: ../events/update-confirmed.json     # a file, relative to this one, or the payload itself
//	    with: { appointment.title: "Check-up" }    # changes to the payload, by the path in it
//	    state: { appointmentStatus: new }          # the appointment before
//	    now: 2026-12-01T09:00:00Z                  # when the event is received
//	    source: hoopai                             # who sends it: hoopai if not given
//	    expect:
//	      fires: [desk-new-booking]                # these rules, and no others
//	      not: [desk-moved]                        # not these, whatever else does
//	      steps:
//	        - rule: desk-new-booking
//	          step: 1                              # needed only where an action occurs twice
//	          slack: { channel: "#front-desk" }    # what is rendered; only what is given is compared
//	      held:
//	        - rule: remind
//	          until: 2026-12-06T10:00:00+05:30     # when it is sent
//	          email: { subject: Tomorrow }         # what is rendered then
//	        - { rule: nudge, until: 2026-12-08 09:00, then: the condition is no longer true }
//	      skipped:
//	        - { rule: confirm, step: 1, reason: unresolved recipient }
//
// The state is the appointment as it was before the event: what it does not say was as the event says, so that
// it names what the event changes and nothing else. It may also be a file, the event that told of the
// appointment first. Without a state the appointment was never seen. `deleted: true` in it says that the
// appointment was deleted, `booked: false` that it has not been announced yet.
//
// now is what now() gives; without it, it is the time that the event itself names. No test looks at the clock.
//
// A step that is not sent is a failure unless `skipped` lists it: with its rule, with its step unless it was
// the condition that failed, and with its reason, of which a part is enough.
//
// A step that waits for its moment is held, and is none of the steps that are sent; one whose moment has passed,
// but which is sent late, is. held lists, if it is given, all that are held, so that `held: []` says that none is.
// Of an entry only what is given is compared: until, which without an offset is in the configured zone, and what
// the step renders at its moment if nothing changes before. A step that will not be sent then, such as one whose
// condition is no longer true at its moment, is a failure unless held lists it with `then` and the reason, of
// which a part is enough. An entry without step is the next held step of its rule, with its action if it names one.
package ruletest

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"bellhop/engine/decide"
	"bellhop/engine/record"
	"bellhop/rules"
	"bellhop/rules/live"
	"bellhop/rules/text"
)

// Options are what tests are run with. The zero value works.
type Options struct {
	// Rules are what the rules under test are compiled against. Its Zone is where naive times are read, too.
	Rules rules.Options
	// Select chooses tests by their names; nil is all.
	Select *regexp.Regexp
}

// A Runner runs test files. It compiles each rule file once, and is for one goroutine.
type Runner struct {
	options  Options
	subjects map[string]*subject
}

// New gives a runner.
func New(o Options) *Runner { return &Runner{options: o, subjects: map[string]*subject{}} }

// A Result is what came of one test file.
type Result struct {
	File     string         `json:"file"`
	Tests    []Test         `json:"tests"`    // those selected, in the order of the file
	Updated  int            `json:"updated"`  // tests whose expectations [Runner.Update] has rewritten
	Findings []text.Finding `json:"findings"` // mistakes in the test file and in the rules that it tests
}

// A Status is what became of a test.
type Status string

// The statuses of tests.
const (
	Passed Status = "passed"
	Failed Status = "failed"
	NotRun Status = "not run" // because of a finding
)

// A Test is one test and what came of it.
type Test struct {
	Name        string       `json:"name"`
	Line        int          `json:"line"` // where it begins in its file
	Column      int          `json:"column"`
	Status      Status       `json:"status"`
	Happened    []string     `json:"happened"` // the names of what the event was taken for
	Fired       []string     `json:"fired"`
	Differences []Difference `json:"differences"`
	Seconds     float64      `json:"seconds"`
}

// A Difference is one expectation that was not met.
type Difference struct {
	Line    int    `json:"line"` // of the expectation
	Column  int    `json:"column"`
	Rule    string `json:"rule"`
	Step    int    `json:"step,omitempty"`
	Action  string `json:"action,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`        // a plain sentence
	Diff    string `json:"diff,omitempty"` // what was expected and what came, line by line, for a field
}

// Run runs the tests of one file. What is wrong with the file is in the result, as is everything else.
func (r *Runner) Run(path string) *Result {
	data, findings := live.Read(filepath.Dir(path), filepath.Base(path))
	if text.HasErrors(findings) {
		for i := range findings {
			findings[i].File = path
			findings[i].Message = strings.ReplaceAll(findings[i].Message, "a rule file", "a test file")
		}
		return &Result{File: path, Tests: []Test{}, Findings: findings}
	}
	return r.run(path, data).result
}

// Check finds what is wrong with a test file, as Run would, without running its tests. data is what the file
// holds, or will once an editor has saved it. What is wrong with the rules that it tests is left out.
func (r *Runner) Check(path string, data []byte) []text.Finding {
	f := r.read(path, data)
	if s, _ := r.subject(f); s.set != nil {
		for _, c := range f.cases {
			c.checkNames(f.doc, s.set)
		}
	}
	return f.doc.Findings()
}

// A trial is one run of a test file, with what rewriting its expectations needs.
type trial struct {
	result *Result
	file   *file
	ran    []ran
}

// ran is one test that was run.
type ran struct {
	c       *testCase
	outcome *outcome
	test    *Test
}

func (r *Runner) run(path string, data []byte) *trial {
	f := r.read(path, data)
	t := &trial{result: &Result{File: path, Tests: []Test{}}, file: f}
	subject, findings := r.subject(f)
	var selected []*testCase
	for _, c := range f.cases {
		if r.options.Select == nil || r.options.Select.MatchString(c.name) {
			selected = append(selected, c)
		}
	}
	if subject.set != nil {
		for _, c := range selected {
			c.checkNames(f.doc, subject.set)
		}
	}
	t.result.Tests = make([]Test, len(selected))
	for i, c := range selected {
		test := &t.result.Tests[i]
		*test = Test{Name: c.name, Line: c.line, Column: c.column, Status: NotRun, Happened: []string{}, Fired: []string{}, Differences: []Difference{}}
		if c.broken || subject.set == nil {
			continue
		}
		started := time.Now()
		o := subject.try(c)
		test.Happened, test.Fired = append(test.Happened, o.event.On...), append(test.Fired, o.fired...)
		test.Differences = append(test.Differences, c.expect.compare(f.doc, o)...)
		if test.Status = Passed; len(test.Differences) > 0 {
			test.Status = Failed
		}
		test.Seconds = time.Since(started).Seconds()
		t.ran = append(t.ran, ran{c, o, test})
	}
	t.result.Findings = append(append([]text.Finding{}, f.doc.Findings()...), findings...)
	return t
}

// A subject is the rules that a test file is about. The set is nil if any of them cannot be used.
type subject struct{ set *rules.Set }

// subject compiles the rules that f tests, once for all the files that test the same ones. The findings are
// errors only, doubts being for check, and are told with the first of those files.
func (r *Runner) subject(f *file) (*subject, []text.Finding) {
	paths, ok := f.underTest()
	if !ok {
		return &subject{}, nil
	}
	key := strings.Join(paths, "\x00")
	if s := r.subjects[key]; s != nil {
		return s, nil
	}
	s := &subject{}
	r.subjects[key] = s
	sources := make([]live.Source, len(paths))
	for i, path := range paths {
		sources[i] = live.Source{Name: path, Path: path}
	}
	loaded := live.Load(sources, r.options.Rules)
	mistakes := loaded.Mistakes()
	if len(mistakes) == 0 {
		s.set = loaded.Set
	}
	return s, mistakes
}

// An outcome is what rules made of a test's event.
type outcome struct {
	set        *rules.Set
	event      *rules.Event
	status     record.Status
	deliveries []record.Delivery
	fired      []string // the rules that apply, in the order of their files
	failed     error    // why nothing can be said
}

// try lets the rules have a test's event, as the server would.
func (s *subject) try(c *testCase) *outcome {
	ev := *c.event
	o := &outcome{set: s.set, event: &ev, status: record.Ignored}
	if !decide.OfAppointment(&ev) {
		return o
	}
	o.status = record.Accepted
	state, stale := decide.Derive(c.state, &ev)
	if stale {
		o.status = record.Stale
		return o
	}
	if o.deliveries, o.failed = decide.Deliveries(s.set, &ev, c.now); o.failed != nil {
		o.failed = fmt.Errorf("match: %w", o.failed)
	}
	for i := range o.deliveries {
		d := &o.deliveries[i]
		if d.Step > 0 && !slices.Contains(o.fired, d.Rule) {
			o.fired = append(o.fired, d.Rule)
		}
		if isHeld(d) {
			s.lookAhead(d, c.now, &ev, &state)
		}
	}
	return o
}

// why says what kept a rule from applying to the event.
func (o *outcome) why(name string) string {
	switch o.status {
	case record.Ignored:
		return "the event names no appointment, so nothing fires"
	case record.Stale:
		return "the event is older than the state, so nothing fires"
	}
	if i := slices.IndexFunc(o.deliveries, func(d record.Delivery) bool { return d.Rule == name && d.Step == 0 }); i >= 0 {
		return o.deliveries[i].Reason
	}
	i := slices.IndexFunc(o.set.Rules(), func(r *rules.Rule) bool { return r.Name == name })
	if i < 0 {
		return "there is no such rule"
	}
	rule := o.set.Rules()[i]
	switch {
	case !rule.Enabled:
		return "it is not enabled"
	case !slices.ContainsFunc(rule.On, func(on string) bool { return slices.Contains(o.event.On, on) }):
		return fmt.Sprintf("it is for %s, but this event is %s", strings.Join(rule.On, ", "), strings.Join(o.event.On, ", "))
	}
	return "its condition is not true"
}

func (o *outcome) delivery(rule string, step int) *record.Delivery {
	for i := range o.deliveries {
		if d := &o.deliveries[i]; d.Rule == rule && d.Step == step {
			return d
		}
	}
	return nil
}
