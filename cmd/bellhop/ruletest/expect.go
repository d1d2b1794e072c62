package ruletest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/engine/record"
	"bellhop/rules"
	"bellhop/rules/text"
)

// An expectation is what a test expects of its event.
type expectation struct {
	key, node *yaml.Node // nil if the test has no `expect`; node is also nil if its value is null
	end       int        // where the node ends, as an offset in the file
	null      *yaml.Node // the value, if it is null

	fires   *names
	not     *names
	steps   []expectedStep
	held    *holds
	skipped *skips
}

// names are rules that a test names, with their positions.
type names struct {
	node *yaml.Node
	list []name
}

type name struct {
	value string
	node  *yaml.Node
}

// An expectedStep says what one step must render.
type expectedStep struct {
	node   *yaml.Node
	rule   name
	number int // 0: the next of its rule with the action
	action text.Pair
	kind   actions.Kind
	fields []expectedField
}

type expectedField struct {
	field actions.Field
	entry text.Pair
	want  any
}

// skips are all the steps that must not be sent.
type skips struct {
	node *yaml.Node
	list []expectedSkip
}

type expectedSkip struct {
	node   *yaml.Node
	rule   name
	step   int // 0: the rule's condition
	reason string
}

func (x *expectation) read(f *file, n *yaml.Node) {
	doc := f.doc
	if text.IsNull(n) {
		x.null = n
		return
	}
	x.node = n
	_, x.end = doc.Range(n)
	items := func(e text.Pair) []*yaml.Node {
		if text.IsNull(e.Value) {
			return nil
		}
		return doc.Items(e.Value, text.Quote(e.Name))
	}
	for _, e := range doc.Entries(n, `"expect"`, namesOf(ExpectKeys(), nil)) {
		switch e.Name {
		case "fires":
			x.fires = readNames(doc, e)
		case "not":
			x.not = readNames(doc, e)
		case "steps":
			for _, item := range items(e) {
				x.readStep(doc, item)
			}
		case "held":
			x.held = &holds{node: e.Value}
			for _, item := range items(e) {
				x.readHold(f, item)
			}
		case "skipped":
			x.skipped = &skips{node: e.Value}
			for _, item := range items(e) {
				x.readSkip(doc, item)
			}
		}
	}
}

// readNames reads one rule's name or a list of them. Nothing is an empty list.
func readNames(doc *text.Document, e text.Pair) *names {
	out := &names{node: e.Value}
	items := []*yaml.Node{e.Value}
	switch {
	case text.IsNull(e.Value):
		return out
	case e.Value.Kind == yaml.SequenceNode:
		items = doc.Items(e.Value, text.Quote(e.Name))
	}
	for _, item := range items {
		if text, ok := doc.Text(item, text.Quote(e.Name)); ok {
			out.list = append(out.list, name{text, item})
		}
	}
	return out
}

func (n *names) values() []string {
	out := make([]string, len(n.list))
	for i := range n.list {
		out[i] = n.list[i].value
	}
	return out
}

func actionNames() []string {
	var out []string
	for _, k := range actions.Kinds() {
		out = append(out, k.Name)
	}
	return out
}

func (x *expectation) readStep(doc *text.Document, n *yaml.Node) {
	s := expectedStep{node: n}
	before := doc.Errors()
	for _, e := range doc.Entries(n, "an expected step", namesOf(StepKeys(), actions.Kinds())) {
		s.read(doc, e)
	}
	switch {
	case doc.Errors() > before:
	case s.rule.value == "":
		doc.ErrorAt("missing-key", n, "", `this step has no "rule", which says whose step is meant`)
	case s.action.Name == "":
		doc.ErrorAt("missing-key", n, "", "this step has nothing to compare: add %s with what is to be rendered", strings.Join(actionNames(), ", "))
	default:
		x.steps = append(x.steps, s)
	}
}

// read reads one entry: whose step it is, or an action with its fields.
func (s *expectedStep) read(doc *text.Document, e text.Pair) {
	switch e.Name {
	case "rule":
		s.rule, _ = readRule(doc, e)
	case "step":
		s.number = readNumber(doc, e)
	default:
		if s.action.Name != "" {
			doc.ErrorAt("two-actions", e.Key, "", "a step has one action, and this one has %s already", s.action.Name)
			return
		}
		s.action = e
		s.readFields(doc)
	}
}

func readRule(doc *text.Document, e text.Pair) (name, bool) {
	text, ok := doc.Text(e.Value, `"rule"`)
	return name{text, e.Value}, ok
}

func readNumber(doc *text.Document, e text.Pair) int {
	i, err := strconv.Atoi(e.Value.Value)
	if e.Value.Kind != yaml.ScalarNode || err != nil || i < 1 {
		doc.WrongType(e.Value, `"step"`, "the number of a step, 1 being the first")
		return 0
	}
	return i
}

func (s *expectedStep) readFields(doc *text.Document) {
	s.kind, _ = actions.Lookup(s.action.Name)
	if text.IsNull(s.action.Value) {
		return
	}
	fields := actions.Fields(s.kind)
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.Name
	}
	for _, e := range doc.Entries(s.action.Value, text.Quote(s.action.Name), known) {
		f := fields[slices.Index(known, e.Name)]
		s.fields = append(s.fields, expectedField{f, e, expected(f, e.Value)})
	}
}

func (x *expectation) readSkip(doc *text.Document, n *yaml.Node) {
	s := expectedSkip{node: n}
	before := doc.Errors()
	for _, e := range doc.Entries(n, "a skipped step", namesOf(SkipKeys(), nil)) {
		switch e.Name {
		case "rule":
			s.rule, _ = readRule(doc, e)
		case "step":
			s.step = readNumber(doc, e)
		case "reason":
			s.reason, _ = doc.Text(e.Value, `"reason"`)
		}
	}
	if s.rule.value == "" && doc.Errors() == before {
		doc.ErrorAt("missing-key", n, "", `this skipped step has no "rule", which says whose step is meant`)
	}
	if doc.Errors() == before {
		x.skipped.list = append(x.skipped.list, s)
	}
}

// checkNames reports rules that the test names and nobody has. That makes the test a broken one.
func (c *testCase) checkNames(doc *text.Document, set *rules.Set) {
	known := make([]string, len(set.Rules()))
	for i, r := range set.Rules() {
		known[i] = r.Name
	}
	var all []name
	for _, list := range []*names{c.expect.fires, c.expect.not} {
		if list != nil {
			all = append(all, list.list...)
		}
	}
	for i := range c.expect.steps {
		all = append(all, c.expect.steps[i].rule)
	}
	if c.expect.held != nil {
		for i := range c.expect.held.list {
			all = append(all, c.expect.held.list[i].rule)
		}
	}
	if c.expect.skipped != nil {
		for i := range c.expect.skipped.list {
			all = append(all, c.expect.skipped.list[i].rule)
		}
	}
	for _, n := range all {
		if slices.Contains(known, n.value) {
			continue
		}
		c.broken = true
		near := text.Closest(n.value, known)
		doc.ErrorAt("unknown-rule", n.node, near, "there is no rule %s among those tested%s", text.Quote(n.value), text.DidYouMean(near))
	}
}

// unmet collects the differences from an expectation.
type unmet struct {
	doc  *text.Document
	o    *outcome
	list []Difference
	told map[*record.Delivery]bool // of which an expectation speaks
}

func (u *unmet) add(at *yaml.Node, d Difference) {
	if at != nil {
		d.Line, d.Column = u.doc.Position(at)
	}
	u.list = append(u.list, d)
}

// compare says what of the expectation was not met.
func (x *expectation) compare(doc *text.Document, o *outcome) []Difference {
	u := &unmet{doc: doc, o: o, told: map[*record.Delivery]bool{}}
	switch {
	case x.node == nil || len(x.node.Content) == 0:
		u.add(x.key, Difference{Message: "this test expects nothing yet; bellhop test --update writes down what happens"})
	case o.failed != nil:
		u.add(x.key, Difference{Message: o.failed.Error()})
	default:
		x.compareRules(u)
		x.compareSteps(u)
		x.compareSkips(u)
		x.compareOthers(u)
	}
	return u.list
}

// compareRules compares which rules fire.
func (x *expectation) compareRules(u *unmet) {
	if x.fires != nil {
		for _, n := range x.fires.list {
			if !slices.Contains(u.o.fired, n.value) {
				u.add(n.node, Difference{Rule: n.value, Message: fmt.Sprintf("%s did not fire: %s", n.value, u.o.why(n.value))})
			}
		}
		for _, fired := range u.o.fired {
			if !slices.Contains(x.fires.values(), fired) {
				u.add(x.fires.node, Difference{Rule: fired, Message: fired + " fired, but is not listed"})
			}
		}
	}
	if x.not != nil {
		for _, n := range x.not.list {
			if slices.Contains(u.o.fired, n.value) {
				u.add(n.node, Difference{Rule: n.value, Message: n.value + " fired, but must not"})
			}
		}
	}
}

// compareSteps compares the steps that are sent at once and those that are held.
func (x *expectation) compareSteps(u *unmet) {
	toldOf := func(rule string) bool { // whether it is reported already that it did not fire
		return x.fires != nil && !slices.Contains(u.o.fired, rule) && slices.Contains(x.fires.values(), rule)
	}
	for i, d := range x.pair(u.o) {
		s := &x.steps[i]
		u.told[d] = true
		if toldOf(s.rule.value) {
			continue
		}
		for _, diff := range s.compare(u.o, d) {
			u.add(s.place(&diff), diff)
		}
	}
	for i, d := range x.pairHolds(u.o) {
		h := &x.held.list[i]
		u.told[d] = true
		if toldOf(h.rule.value) {
			continue
		}
		for _, diff := range h.compare(u.o, d) {
			u.add(h.place(&diff), diff)
		}
	}
}

// compareSkips compares the steps that must not be sent.
func (x *expectation) compareSkips(u *unmet) {
	if x.skipped == nil {
		return
	}
	for i := range x.skipped.list {
		s := &x.skipped.list[i]
		d := u.o.delivery(s.rule.value, s.step)
		u.told[d] = true
		where := Difference{Rule: s.rule.value, Step: s.step}
		switch {
		case d == nil && s.step == 0:
			where.Message = fmt.Sprintf("%s has no condition that failed on this event; a step that is skipped is listed with its number", s.rule.value)
		case d == nil:
			where.Message = fmt.Sprintf("%s was not skipped: %s", where.title(), u.o.absent(s.rule.value, s.step, ""))
		case isHeld(d):
			where.Message = fmt.Sprintf("%s was not skipped: it is held until %s; list it under held", where.title(), moment(d.At))
		case d.State != record.Skipped:
			where.Message = where.title() + " was not skipped"
		case !strings.Contains(d.Reason, s.reason):
			where.Message = where.title() + " was skipped for another reason"
			where.Diff = diff(s.reason, d.Reason)
		default:
			continue
		}
		u.add(s.node, where)
	}
}

// compareOthers reports steps without an entry that need one: skipped steps, held steps that will not be sent, and, if
// `held` is given, all held steps.
func (x *expectation) compareOthers(u *unmet) {
	atSkipped, atHeld := x.key, x.key
	if x.skipped != nil {
		atSkipped = x.skipped.node
	}
	if x.held != nil {
		atHeld = x.held.node
	}
	for i := range u.o.deliveries {
		d := &u.o.deliveries[i]
		if u.told[d] {
			continue
		}
		where := Difference{Rule: d.Rule, Step: d.Step, Action: d.Action}
		switch {
		case d.State == record.Skipped:
			where.Message = fmt.Sprintf("%s was skipped: %s", where.title(), d.Reason)
			u.add(atSkipped, where)
		case isHeld(d) && d.Reason != "":
			where.Message = comesToNothing(where.title(), d)
			u.add(atHeld, where)
		case isHeld(d) && x.held != nil:
			where.Message = fmt.Sprintf("%s is held until %s, but is not listed", where.title(), moment(d.At))
			u.add(atHeld, where)
		}
	}
}

// absent says why there is no delivery of a step. If number is 0, the step was looked for by what describes; another
// entry can have taken it.
func (o *outcome) absent(rule string, number int, what string) string {
	switch {
	case !slices.Contains(o.fired, rule):
		return "the rule did not fire: " + o.why(rule)
	case number > 0:
		return fmt.Sprintf("the rule has no step %d", number)
	}
	return "the rule has no (other) " + what
}

// pair finds what became of each expected step; nil is nothing. One without a number is none that waits, if
// there is another.
func (x *expectation) pair(o *outcome) []*record.Delivery {
	out := make([]*record.Delivery, len(x.steps))
	for i := range x.steps {
		s := &x.steps[i]
		if s.number > 0 {
			out[i] = o.delivery(s.rule.value, s.number)
			continue
		}
		for j := range o.deliveries {
			d := &o.deliveries[j]
			if d.Rule != s.rule.value || d.Action != s.action.Name || slices.Contains(out[:i], d) {
				continue
			}
			if waits := d.Key != "" && d.State != record.Pending; !waits {
				out[i] = d
				break
			} else if out[i] == nil {
				out[i] = d
			}
		}
	}
	return out
}

// compare says how what is to be sent differs from what was expected.
func (s *expectedStep) compare(o *outcome, d *record.Delivery) []Difference {
	where := Difference{Rule: s.rule.value, Step: s.number, Action: s.action.Name}
	if d == nil {
		where.Message = fmt.Sprintf("%s is missing: %s", where.title(), o.absent(s.rule.value, s.number, "step with "+s.action.Name))
		return []Difference{where}
	}
	where.Step = d.Step
	switch {
	case d.Action != s.action.Name:
		where.Message = fmt.Sprintf("%s, step %d, is %s, not %s", d.Rule, d.Step, d.Action, s.action.Name)
		return []Difference{where}
	case d.State == record.Skipped:
		where.Message = fmt.Sprintf("%s is not sent: %s", where.title(), d.Reason)
		return []Difference{where}
	case isHeld(d):
		where.Message = fmt.Sprintf("%s is not sent now: it is held until %s; list it under held", where.title(), moment(d.At))
		return []Difference{where}
	}
	return s.compareFields(where, d)
}

// compareFields says how the fields that are given differ from what is rendered. where is the step.
func (s *expectedStep) compareFields(where Difference, d *record.Delivery) []Difference {
	request := rendered(d)
	var out []Difference
	for _, f := range s.fields {
		got := request[f.field.Name]
		if same(f.want, got) {
			continue
		}
		where.Field = f.field.Name
		where.Message = fmt.Sprintf("%s: %s differs", where.title(), f.field.Name)
		where.Diff = diff(written(f.want), written(got))
		out = append(out, where)
	}
	return out
}

// place returns the node of the test file that a difference is about.
func (s *expectedStep) place(d *Difference) *yaml.Node {
	for _, f := range s.fields {
		if f.field.Name == d.Field {
			return f.entry.Value
		}
	}
	return s.rule.node
}

// rendered is what a step sends, by its fields.
func rendered(d *record.Delivery) map[string]any {
	var request map[string]any
	_ = decode(d.Request, &request) // rules render an object; without a request, there are no fields
	return request
}

// title returns the rule, step and action that a difference is about.
func (d Difference) title() string {
	switch {
	case d.Step > 0 && d.Action != "":
		return fmt.Sprintf("%s, step %d (%s)", d.Rule, d.Step, d.Action)
	case d.Step > 0:
		return fmt.Sprintf("%s, step %d", d.Rule, d.Step)
	case d.Action != "":
		return fmt.Sprintf("%s (%s)", d.Rule, d.Action)
	}
	return d.Rule
}
