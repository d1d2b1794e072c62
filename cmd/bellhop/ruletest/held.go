package ruletest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bellhop/actions"

	"gopkg.in/yaml.v3"

	"bellhop/engine/decide"
	"bellhop/engine/record"
	"bellhop/rules"
)

// holds are all the steps that must be held.
type holds struct {
	node *yaml.Node
	list []expectedHold
}

// An expectedHold is one step that must wait, and what it must render when it is due.
type expectedHold struct {
	expectedStep            // its action can be left out
	until        *yaml.Node // nil: not compared
	at           time.Time
	then         *yaml.Node // nil: it must be sent
	reason       string
}

func (x *expectation) readHold(f *file, n *yaml.Node) {
	doc := f.doc
	h := expectedHold{expectedStep: expectedStep{node: n}}
	before := doc.Errors()
	for _, e := range doc.Entries(n, "a held step", namesOf(HoldKeys(), actions.Kinds())) {
		switch e.Name {
		case "until":
			h.until = e.Value
			h.at, _ = f.moment(e.Value, `"until"`)
		case "then":
			h.then = e.Value
			h.reason, _ = doc.Text(e.Value, `"then"`)
		default:
			h.read(doc, e)
		}
	}
	switch {
	case doc.Errors() > before:
	case h.rule.value == "":
		doc.ErrorAt("missing-key", n, "", `this held step has no "rule", which says whose step is meant`)
	case h.then != nil && h.action.Name != "":
		doc.ErrorAt("then", h.then, "", `"then" says why the step is not sent at its moment, so there is no %s to compare; leave out one of the two`, h.action.Name)
	default:
		x.held.list = append(x.held.list, h)
	}
}

// lookAhead decides about a step that waits as the server will at its moment, with everything as it is now: d gets
// what it then renders or, as its reason, why it comes to nothing. A step whose moment has come does not wait.
func (s *subject) lookAhead(d *record.Delivery, now time.Time, ev *rules.Event, state *decide.Memory) {
	then, at := *d, now
	if d.At.After(now) {
		at = d.At
	}
	_ = decide.Decide(s.set, &then, decide.Origin{Event: ev, State: state}, state, at) // the reason tells of an error
	if d.Request = then.Request; then.State != record.Shadow {
		d.Reason = then.Reason
	}
	switch {
	case d.At.After(now):
	case d.Reason != "":
		d.State = record.Skipped
	default:
		d.State = record.Pending
	}
}

// isHeld says whether the delivery is of a step that waits. Its reason is then why it comes to nothing at its
// moment, "" if it is sent.
func isHeld(d *record.Delivery) bool { return d.State == record.Waiting }

// pairHolds finds what became of each step that is expected to be held; nil is nothing. One without a number is
// the next of its rule, with the action if it names one, that no other entry names by its number.
func (x *expectation) pairHolds(o *outcome) []*record.Delivery {
	if x.held == nil {
		return nil
	}
	out := make([]*record.Delivery, len(x.held.list))
	for i := range x.held.list {
		if h := &x.held.list[i]; h.number > 0 {
			out[i] = o.delivery(h.rule.value, h.number)
		}
	}
	for _, wanted := range []func(*record.Delivery) bool{
		isHeld,
		func(d *record.Delivery) bool { return d.Key != "" }, // it would wait, at another time
	} {
		for i := range x.held.list {
			h := &x.held.list[i]
			for j := range o.deliveries {
				d := &o.deliveries[j]
				if out[i] == nil && h.number == 0 && wanted(d) && d.Rule == h.rule.value &&
					(h.action.Name == "" || d.Action == h.action.Name) && !slices.Contains(out, d) {
					out[i] = d
				}
			}
		}
	}
	return out
}

// compare says how a step that must be held differs from what became of it.
func (h *expectedHold) compare(o *outcome, d *record.Delivery) []Difference {
	where := Difference{Rule: h.rule.value, Step: h.number, Action: h.action.Name}
	if d == nil {
		where.Message = fmt.Sprintf("%s is not held: %s", where.title(), o.absent(h.rule.value, h.number, "such step that waits"))
		return []Difference{where}
	}
	if h.action.Name != "" && d.Action != h.action.Name {
		where.Step, where.Message = d.Step, fmt.Sprintf("%s, step %d, is %s, not %s", d.Rule, d.Step, d.Action, h.action.Name)
		return []Difference{where}
	}
	where.Step, where.Action = d.Step, d.Action
	switch {
	case d.State == record.Skipped:
		where.Message = fmt.Sprintf("%s is not held: it was skipped: %s", where.title(), d.Reason)
		return []Difference{where}
	case !isHeld(d):
		where.Message = fmt.Sprintf("%s is not held: it is sent at once; list it under steps", where.title())
		return []Difference{where}
	}
	var out []Difference
	if h.until != nil && !h.at.Equal(d.At) {
		other := where
		other.Field, other.Message = "until", where.title()+" is held until another time"
		other.Diff = diff(moment(h.at.In(d.At.Location())), moment(d.At))
		out = append(out, other)
	}
	switch {
	case h.then == nil && d.Reason != "":
		where.Message = comesToNothing(where.title(), d)
	case h.then != nil && d.Reason == "":
		where.Field, where.Message = "then", fmt.Sprintf("%s is held until %s, and is sent then", where.title(), moment(d.At))
	case h.then != nil && !strings.Contains(d.Reason, h.reason):
		where.Field, where.Message = "then", fmt.Sprintf("%s is held until %s, but then is not sent for another reason", where.title(), moment(d.At))
		where.Diff = diff(h.reason, d.Reason)
	default:
		return append(out, h.compareFields(where, d)...)
	}
	return append(out, where)
}

// place returns the node of the test file that a difference is about.
func (h *expectedHold) place(d *Difference) *yaml.Node {
	switch d.Field {
	case "until":
		return h.until
	case "then":
		return h.then
	}
	return h.expectedStep.place(d)
}

func comesToNothing(title string, d *record.Delivery) string {
	return fmt.Sprintf("%s is held until %s, but then is not sent: %s", title, moment(d.At), d.Reason)
}

// moment writes a time in the form of test files.
func moment(t time.Time) string {
	text := t.Format(time.RFC3339Nano)
	if read, err := time.Parse(time.RFC3339Nano, text); err != nil || !read.Equal(t) {
		return t.UTC().Format(time.RFC3339Nano) // an old time whose offset has seconds
	}
	return text
}

// holds changes the list of held steps to what happened. A test without a list gets one only if it would fail without
// it.
func (e *editor) holds(x *expectation, o *outcome) {
	isNeeded := x.held != nil || slices.ContainsFunc(x.pair(o), func(d *record.Delivery) bool { return d != nil && isHeld(d) })
	paired := x.pairHolds(o)
	var fresh []*yaml.Node
	used, changed := 0, false
	for i := range o.deliveries {
		d := &o.deliveries[i]
		if !isHeld(d) {
			continue
		}
		isNeeded = isNeeded || d.Reason != ""
		known := false
		for k, p := range paired {
			if h := &x.held.list[k]; p == d && (h.action.Name == "" || h.action.Name == d.Action) {
				e.hold(h, o, d)
				fresh = append(fresh, h.node)
				used++
				known = true
			}
		}
		if !known {
			fresh = append(fresh, hold(o, d))
			changed = true
		}
	}
	switch {
	case !isNeeded, x.held != nil && !changed && used == len(x.held.list):
		return
	}
	var old *yaml.Node
	if x.held != nil {
		old = x.held.node
	}
	e.setList(x, "held", old, fresh)
}

// hold changes one entry to what became of its step.
func (e *editor) hold(h *expectedHold, o *outcome, d *record.Delivery) {
	if (h.then != nil) != (d.Reason != "") {
		e.small = false
		replaceNode(h.node, hold(o, d))
		return
	}
	if h.until != nil && !h.at.Equal(d.At) {
		fresh := timestamp(d.At)
		if quotes := h.until.Style & (yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle); quotes != 0 {
			fresh.Tag, fresh.Style = "!!str", quotes
		}
		e.scalar(h, h.until, fresh)
	}
	if h.then != nil {
		if !strings.Contains(d.Reason, h.reason) {
			e.scalar(h, h.then, reason(d))
		}
		return
	}
	e.fields(&h.expectedStep, d)
}

func (e *editor) scalar(h *expectedHold, old, fresh *yaml.Node) {
	if text, ok := e.inStyle(old, fresh); ok {
		e.replace(old, text)
	} else {
		e.small = false
		if fresh.Style&yaml.LiteralStyle != 0 {
			h.node.Style &^= yaml.FlowStyle
		}
	}
	replaceNode(old, fresh)
}

// hold is an entry that says all of a held step.
func hold(o *outcome, d *record.Delivery) *yaml.Node {
	m := mapping("rule", node(d.Rule))
	several := func(other record.Delivery) bool {
		return other.Rule == d.Rule && isHeld(&other) && other.Step != d.Step
	}
	if slices.ContainsFunc(o.deliveries, several) {
		m.Content = append(m.Content, node("step"), stepNumber(d))
	}
	m.Content = append(m.Content, node("until"), timestamp(d.At))
	if d.Reason != "" {
		m.Content = append(m.Content, node("then"), reason(d))
	} else {
		m.Content = append(m.Content, node(d.Action), fieldsOf(d))
	}
	return m
}

func timestamp(t time.Time) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!timestamp", Value: moment(t)}
}
