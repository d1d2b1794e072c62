// Package ruletest runs the tests that people write for their rules.
//
// README.md shows a test file under "Testing rules", and keys.go says what each key means. A file such as desk.test.yaml
// tests the rule file desk.yaml in the same folder. If there is no such file, it tests all rules of its folder and of the
// folders below. `rules:` at its top names other files or folders instead. Tests never use the clock.
//
// A step that is not sent is a failure unless `skipped` lists it. If `held` is given, it must list all steps that wait. A
// held step that will not be sent is a failure unless `held` lists it with `then` and a part of the reason.
package ruletest

import (
	"errors"
	"fmt"
	"io/fs"
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

// Options are the options of a [Runner]. The zero value works.
type Options struct {
	// Rules are the options for compiling the tested rules. Its Zone is also for times without an offset in tests.
	Rules rules.Options
	// Folders are the folders of people and of locations, which may be missing.
	Folders []string
	// Select selects tests by their names; nil selects all.
	Select *regexp.Regexp
}

// A Runner runs test files. It compiles the rules only once for all test files that test the same rule files. It is not
// safe for concurrent use.
type Runner struct {
	options Options
	sets    map[string]*rules.Set // the rules of the files under test, by their paths; nil: they cannot be used
}

// New returns a runner.
func New(o Options) *Runner { return &Runner{options: o, sets: map[string]*rules.Set{}} }

// A Result is the result of one test file.
type Result struct {
	File     string         `json:"file"`
	Tests    []Test         `json:"tests"`    // those selected, in the order of the file
	Updated  int            `json:"updated"`  // tests whose expectations [Runner.Update] has rewritten
	Findings []text.Finding `json:"findings"` // mistakes in the test file and in the rules that it tests
}

// A Status says whether a test passed.
type Status string

// The statuses of tests.
const (
	Passed Status = "passed"
	Failed Status = "failed"
	NotRun Status = "not run" // because of a finding
)

// A Test is one test and its result.
type Test struct {
	Name        string       `json:"name"`
	Line        int          `json:"line"` // where it begins in its file
	Column      int          `json:"column"`
	Status      Status       `json:"status"`
	Happened    []string     `json:"happened"` // what happened, such as booked, as for `on`
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
	Diff    string `json:"diff,omitempty"` // for a field: the expected and the actual value, line by line
}

// Run runs the tests of one file. Mistakes in the file are among the findings of the result.
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
	set, _ := r.set(f)
	for _, c := range f.cases {
		c.checkNames(f.doc, set)
	}
	return f.doc.Findings()
}

// A trial is one run of a test file, with the data for rewriting its expectations.
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
	set, findings := r.set(f)
	var selected []*testCase
	for _, c := range f.cases {
		if r.options.Select == nil || r.options.Select.MatchString(c.name) {
			c.checkNames(f.doc, set)
			selected = append(selected, c)
		}
	}
	t.result.Tests = make([]Test, len(selected))
	for i, c := range selected {
		test := &t.result.Tests[i]
		*test = Test{Name: c.name, Line: c.line, Column: c.column, Status: NotRun, Happened: []string{}, Fired: []string{}, Differences: []Difference{}}
		if c.broken || set == nil {
			continue
		}
		started := time.Now()
		o := try(set, c)
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

// set compiles the rules that f tests, once for all the files that test the same ones. It is nil if one of their files
// cannot be used. The findings are errors only, because warnings are for check, and are told with the first of the
// files.
func (r *Runner) set(f *file) (*rules.Set, []text.Finding) {
	paths, ok := f.underTest()
	if !ok {
		return nil, nil
	}
	key := strings.Join(paths, "\x00")
	if set, ok := r.sets[key]; ok {
		return set, nil
	}
	sources := make([]live.Source, len(paths))
	for i, path := range paths {
		sources[i] = live.Source{Name: path, Path: path}
	}
	for _, folder := range r.options.Folders {
		more, err := live.Sources(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, []text.Finding{text.AtStart(folder, "unreadable", err.Error())}
		}
		sources = append(sources, more...)
	}
	loaded := live.Load(sources, r.options.Rules)
	mistakes := loaded.Mistakes()
	if len(mistakes) > 0 {
		loaded.Set = nil
	}
	r.sets[key] = loaded.Set
	return loaded.Set, mistakes
}

// An outcome is what the rules made of the event of a test.
type outcome struct {
	set        *rules.Set
	event      *rules.Event
	status     record.Status
	deliveries []record.Delivery
	fired      []string // the rules that apply, in the order of their files
	failed     error    // the error of running the rules, if they could not be run
}

// try runs the rules on the event of a test, as the server would.
func try(set *rules.Set, c *testCase) *outcome {
	ev := *c.event
	o := &outcome{set: set, event: &ev, status: record.Ignored}
	if !decide.OfAppointment(&ev) {
		return o
	}
	o.status = record.Accepted
	state, stale := decide.Derive(c.state, &ev)
	if stale {
		o.status = record.Stale
		return o
	}
	if o.deliveries, o.failed = decide.Deliveries(set, &ev, c.now); o.failed != nil {
		o.failed = fmt.Errorf("match: %w", o.failed)
	}
	for i := range o.deliveries {
		d := &o.deliveries[i]
		if d.Step > 0 && !slices.Contains(o.fired, d.Rule) {
			o.fired = append(o.fired, d.Rule)
		}
		if !d.Opens.IsZero() { // for a test, a step that waits for its hours is like another one that waits
			d.State, d.At = record.Waiting, d.Opens
		}
		if isHeld(d) {
			lookAhead(set, d, c.now, &ev, &state)
		}
	}
	return o
}

// why says why a rule did not apply to the event.
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
