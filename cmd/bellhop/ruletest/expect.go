package ruletest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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

	fires, not           listed[name]
	steps, held, skipped listed[expectedStep]
}

// A listed is the value of one key of `expect`. Its node is nil if the test does not have the key.
type listed[T any] struct {
	node *yaml.Node
	list []T
}

// A name is the name of a rule, with its position.
type name struct {
	value string
	node  *yaml.Node
}

// An expectedStep is an entry of `steps`, `held` or `skipped`.
type expectedStep struct {
	node   *yaml.Node
	rule   name
	number int       // 0: under `skipped` the condition of the rule, else the next step that fits
	action text.Pair // what it renders; it can be left out under `held`, and is never under `skipped`
	fields []expectedField

	until  *yaml.Node // when a held step is sent; nil: not compared
	at     time.Time  // the value of until
	why    *yaml.Node // why it is not sent: the value of `then` or `reason`; nil: not given
	reason string     // the value of why
}

type expectedField struct {
	field actions.Field
	entry text.Pair
	want  any
}

func (x *expectation) read(f *file, n *yaml.Node) {
	if text.IsNull(n) {
		x.null = n
		return
	}
	x.node = n
	_, x.end = f.doc.Range(n)
	for _, e := range f.doc.Entries(n, `"expect"`, namesOf(expectKeys(), nil)) {
		switch e.Name {
		case "fires":
			x.fires = readNames(f.doc, e)
		case "not":
			x.not = readNames(f.doc, e)
		case "steps":
			x.steps = f.readSteps(e, "an expected step", "step", stepKeys(), actions.Kinds())
		case "held":
			x.held = f.readSteps(e, "a held step", "held step", holdKeys(), actions.Kinds())
		case "skipped":
			x.skipped = f.readSteps(e, "a skipped step", "skipped step", skipKeys(), nil)
		}
	}
}

// readNames reads one rule's name or a list of them. Nothing is an empty list.
func readNames(doc *text.Document, e text.Pair) listed[name] {
	out := listed[name]{node: e.Value}
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

func values(names listed[name]) []string {
	out := make([]string, len(names.list))
	for i, n := range names.list {
		out[i] = n.value
	}
	return out
}

// readSteps reads a list of steps. what and short are what people call an entry, and keys and kinds what it can have.
func (f *file) readSteps(e text.Pair, what, short string, keys []rules.Key, kinds []actions.Kind) listed[expectedStep] {
	doc, out := f.doc, listed[expectedStep]{node: e.Value}
	if text.IsNull(e.Value) {
		return out
	}
	for _, n := range doc.Items(e.Value, text.Quote(e.Name)) {
		s, before := expectedStep{node: n}, doc.Errors()
		for _, entry := range doc.Entries(n, what, namesOf(keys, kinds)) {
			s.read(f, entry)
		}
		switch {
		case doc.Errors() > before:
		case s.rule.value == "":
			doc.ErrorAt("missing-key", n, "", `this %s has no "rule", which says whose step is meant`, short)
		case s.why != nil && s.action.Name != "":
			doc.ErrorAt("then", s.why, "", `"then" says why the step is not sent at its moment, so there is no %s to compare; leave out one of the two`, s.action.Name)
		case e.Name == "steps" && s.action.Name == "":
			doc.ErrorAt("missing-key", n, "", "this step has nothing to compare: add %s with what is to be rendered", strings.Join(namesOf(nil, kinds), ", "))
		default:
			out.list = append(out.list, s)
		}
	}
	return out
}

// read reads one entry of a step: a key, or an action with its fields.
func (s *expectedStep) read(f *file, e text.Pair) {
	doc := f.doc
	switch e.Name {
	case "rule":
		s.rule.node = e.Value
		s.rule.value, _ = doc.Text(e.Value, `"rule"`)
	case "step":
		var err error
		if s.number, err = strconv.Atoi(e.Value.Value); e.Value.Kind != yaml.ScalarNode || err != nil || s.number < 1 {
			doc.WrongType(e.Value, `"step"`, "the number of a step, 1 being the first")
		}
	case "until":
		s.until = e.Value
		s.at, _ = f.moment(e.Value, `"until"`)
	case "then", "reason":
		s.why = e.Value
		s.reason, _ = doc.Text(e.Value, text.Quote(e.Name))
	default:
		if s.action.Name != "" {
			doc.ErrorAt("two-actions", e.Key, "", "a step has one action, and this one has %s already", s.action.Name)
			return
		}
		s.action = e
		s.readFields(doc)
	}
}

func (s *expectedStep) readFields(doc *text.Document) {
	if text.IsNull(s.action.Value) {
		return
	}
	kind, _ := actions.Lookup(s.action.Name)
	fields := actions.Fields(kind)
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.Name
	}
	for _, e := range doc.Entries(s.action.Value, text.Quote(s.action.Name), known) {
		f := fields[slices.Index(known, e.Name)]
		s.fields = append(s.fields, expectedField{f, e, expected(f, e.Value)})
	}
}

// checkNames reports rules that the test names and nobody has. That makes the test a broken one.
func (c *testCase) checkNames(doc *text.Document, set *rules.Set) {
	if set == nil {
		return // the rules have mistakes themselves
	}
	known := make([]string, len(set.Rules()))
	for i, r := range set.Rules() {
		known[i] = r.Name
	}
	all := slices.Concat(c.expect.fires.list, c.expect.not.list)
	for _, s := range slices.Concat(c.expect.steps.list, c.expect.held.list, c.expect.skipped.list) {
		all = append(all, s.rule)
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
	for _, n := range x.fires.list {
		if !slices.Contains(u.o.fired, n.value) {
			u.add(n.node, Difference{Rule: n.value, Message: fmt.Sprintf("%s did not fire: %s", n.value, u.o.why(n.value))})
		}
	}
	for _, fired := range u.o.fired {
		if x.fires.node != nil && !slices.Contains(values(x.fires), fired) {
			u.add(x.fires.node, Difference{Rule: fired, Message: fired + " fired, but is not listed"})
		}
	}
	for _, n := range x.not.list {
		if slices.Contains(u.o.fired, n.value) {
			u.add(n.node, Difference{Rule: n.value, Message: n.value + " fired, but must not"})
		}
	}
}

// compareSteps compares the steps that are sent at once and those that are held.
func (x *expectation) compareSteps(u *unmet) {
	tell := func(list []expectedStep, paired []*record.Delivery, held bool) {
		for i, d := range paired {
			s := &list[i]
			u.told[d] = true
			if !slices.Contains(u.o.fired, s.rule.value) && slices.Contains(values(x.fires), s.rule.value) {
				continue // it is reported already that the rule did not fire
			}
			for _, diff := range s.compare(u.o, d, held) {
				u.add(s.place(&diff), diff)
			}
		}
	}
	tell(x.steps.list, x.pair(u.o), false)
	tell(x.held.list, x.pairHolds(u.o), true)
}

// compareSkips compares the steps that must not be sent.
func (x *expectation) compareSkips(u *unmet) {
	for i := range x.skipped.list {
		s := &x.skipped.list[i]
		d := u.o.delivery(s.rule.value, s.number)
		u.told[d] = true
		where := Difference{Rule: s.rule.value, Step: s.number}
		switch {
		case d == nil && s.number == 0:
			where.Message = fmt.Sprintf("%s has no condition that failed on this event; a step that is skipped is listed with its number", s.rule.value)
		case d == nil:
			where.Message = fmt.Sprintf("%s was not skipped: %s", where.title(), u.o.absent(s.rule.value, s.number, ""))
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
	atSkipped, atHeld := cmp.Or(x.skipped.node, x.key), cmp.Or(x.held.node, x.key)
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
		case isHeld(d) && x.held.node != nil:
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

// pair finds what became of each step under `steps`. One without a number is none that waits, if there is another.
func (x *expectation) pair(o *outcome) []*record.Delivery {
	return pair(x.steps.list, o, func(d *record.Delivery) bool { return d.Key == "" || d.State == record.Pending }, func(*record.Delivery) bool { return true })
}

// pair finds what became of each step of a list; nil is nothing. One without a number is the next of its rule, with the
// action if it names one, that no other entry has. wanted says which deliveries come first, which then.
func pair(list []expectedStep, o *outcome, wanted ...func(*record.Delivery) bool) []*record.Delivery {
	out := make([]*record.Delivery, len(list))
	for i := range list {
		if s := &list[i]; s.number > 0 {
			out[i] = o.delivery(s.rule.value, s.number)
		}
	}
	for _, wants := range wanted {
		for i := range list {
			s := &list[i]
			for j := range o.deliveries {
				d := &o.deliveries[j]
				if out[i] == nil && s.number == 0 && wants(d) && d.Rule == s.rule.value &&
					(s.action.Name == "" || d.Action == s.action.Name) && !slices.Contains(out, d) {
					out[i] = d
				}
			}
		}
	}
	return out
}

// compare says how what became of a step differs from what was expected: that it is sent at once, or held.
func (s *expectedStep) compare(o *outcome, d *record.Delivery, held bool) []Difference {
	where := Difference{Rule: s.rule.value, Step: s.number, Action: s.action.Name}
	switch {
	case d == nil && held:
		return where.saying("%s is not held: %s", where.title(), o.absent(s.rule.value, s.number, "such step that waits"))
	case d == nil:
		return where.saying("%s is missing: %s", where.title(), o.absent(s.rule.value, s.number, "step with "+s.action.Name))
	}
	where.Step = d.Step
	if s.action.Name != "" && d.Action != s.action.Name {
		return where.saying("%s, step %d, is %s, not %s", d.Rule, d.Step, d.Action, s.action.Name)
	}
	where.Action = d.Action
	switch skipped := d.State == record.Skipped; {
	case skipped && held:
		return where.saying("%s is not held: it was skipped: %s", where.title(), d.Reason)
	case skipped:
		return where.saying("%s is not sent: %s", where.title(), d.Reason)
	case held && !isHeld(d):
		return where.saying("%s is not held: it is sent at once; list it under steps", where.title())
	case held:
		return s.compareHold(where, d)
	case isHeld(d):
		return where.saying("%s is not sent now: it is held until %s; list it under held", where.title(), moment(d.At))
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
	switch d.Field {
	case "until":
		return s.until
	case "then":
		return s.why
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

// saying returns the difference with a message, as the only one.
func (d Difference) saying(format string, args ...any) []Difference {
	d.Message = fmt.Sprintf(format, args...)
	return []Difference{d}
}
