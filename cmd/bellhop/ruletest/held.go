package ruletest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"bellhop/engine/decide"
	"bellhop/engine/record"
	"bellhop/rules"
)

// lookAhead decides about a step that waits as the server will at its moment, with everything as it is now: d gets
// what it then renders or, as its reason, why it comes to nothing. A step whose moment has come does not wait.
func lookAhead(set *rules.Set, d *record.Delivery, now time.Time, ev *rules.Event, state *decide.Memory) {
	then, at := *d, now
	if d.At.After(now) {
		at = d.At
	}
	from := decide.Origin{Event: ev, State: state}
	if then.Opens.IsZero() {
		_ = decide.Decide(set, &then, from, state, at) // the reason tells of an error
	} else {
		_ = decide.Opened(set, &then, from) // likewise
	}
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

// pairHolds finds what became of each step under `held`: one that is held, or one that would be at another time.
func (x *expectation) pairHolds(o *outcome) []*record.Delivery {
	return pair(x.held.list, o, isHeld, func(d *record.Delivery) bool { return d.Key != "" })
}

// compareHold says how a step that is held differs from what was expected. where is the step.
func (s *expectedStep) compareHold(where Difference, d *record.Delivery) []Difference {
	var out []Difference
	if s.until != nil && !s.at.Equal(d.At) {
		other := where
		other.Field, other.Message = "until", where.title()+" is held until another time"
		other.Diff = diff(moment(s.at.In(d.At.Location())), moment(d.At))
		out = append(out, other)
	}
	switch {
	case s.why == nil && d.Reason != "":
		where.Message = comesToNothing(where.title(), d)
	case s.why != nil && d.Reason == "":
		where.Field, where.Message = "then", fmt.Sprintf("%s is held until %s, and is sent then", where.title(), moment(d.At))
	case s.why != nil && !strings.Contains(d.Reason, s.reason):
		where.Field, where.Message = "then", fmt.Sprintf("%s is held until %s, but then is not sent for another reason", where.title(), moment(d.At))
		where.Diff = diff(s.reason, d.Reason)
	default:
		return append(out, s.compareFields(where, d)...)
	}
	return append(out, where)
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
	isNeeded := x.held.node != nil ||
		slices.ContainsFunc(x.pair(o), func(d *record.Delivery) bool { return d != nil && isHeld(d) }) ||
		slices.ContainsFunc(o.deliveries, func(d record.Delivery) bool { return isHeld(&d) && d.Reason != "" })
	if !isNeeded {
		return
	}
	paired := x.pairHolds(o)
	e.list(x, "held", x.held, o, func(d *record.Delivery) (known []*yaml.Node) {
		for i, p := range paired {
			if h := &x.held.list[i]; p == d && (h.action.Name == "" || h.action.Name == d.Action) {
				e.hold(h, o, d)
				known = append(known, h.node)
			}
		}
		return known
	})
}

// hold changes one entry to what became of its step.
func (e *editor) hold(h *expectedStep, o *outcome, d *record.Delivery) {
	if (h.why != nil) != (d.Reason != "") {
		e.small = false
		replaceNode(h.node, entry(o, d))
		return
	}
	if h.until != nil && !h.at.Equal(d.At) {
		fresh := timestamp(d.At)
		if quotes := h.until.Style & (yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle); quotes != 0 {
			fresh.Tag, fresh.Style = "!!str", quotes
		}
		e.change(h.until, fresh, h.node)
	}
	if h.why != nil {
		if !strings.Contains(d.Reason, h.reason) {
			e.change(h.why, reason(d), h.node)
		}
		return
	}
	e.fields(h, d)
}

func timestamp(t time.Time) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!timestamp", Value: moment(t)}
}
