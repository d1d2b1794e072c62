package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"bellhop/engine/explain"
	"bellhop/engine/record"
	"bellhop/rules"
	"bellhop/rules/lang"
)

// What explain prints.

func (p *program) printAnswer(a *explain.Answer, all bool) {
	p.field("event", a.Event)
	p.field("type", a.Type)
	p.field("happened", strings.Join(a.On, ", "))
	p.field("changed", strings.Join(a.Changed, ", "))
	p.field("now", zoned(a.Now))
	p.printProblems(a.Problems)
	switch a.Status {
	case record.Stale:
		p.printf("\nThe event is stale: it is older than what is known of its appointment, so no rule sees it.\n")
		return
	case record.Ignored:
		p.printf("\nThe event is ignored: rules are not for its type, or it names no appointment.\n")
		return
	}
	switch {
	case a.Note != "":
		p.printf("%s %s\n", p.stdout.paint("33", "note:"), clean(a.Note))
	case a.Versions == explain.Recorded:
		p.printf("%s\n", p.stdout.dim("The rules have changed since; these are the versions that were in force then."))
	}
	others := 0
	for i := range a.Rules {
		e := &a.Rules[i]
		if e.Outcome == rules.OtherEvent && !all {
			others++
			continue
		}
		p.printExplanation(e, a.Now)
	}
	switch {
	case len(a.Rules) == 0:
		p.printf("\nThere are no rules.\n")
	case others > 0:
		p.printf("\n%s\n", p.stdout.dim(count(others, "rule")+" for other events; --all shows them too."))
	}
}

var outcomeWords = map[rules.Outcome]struct{ colour, words string }{
	rules.Fired:      {"32", "fires"},
	rules.NotTrue:    {"33", "does not fire"},
	rules.Failing:    {"31", "fails"},
	rules.Open:       {"36", "may fire"},
	rules.OtherEvent: {"2", "is not asked"},
	rules.Disabled:   {"2", "is off"},
}

func (p *program) printExplanation(e *rules.Explanation, now time.Time) {
	o := outcomeWords[e.Outcome]
	p.printf("\n%s %s %s\n", p.stdout.bold(clean(oneLine(e.Rule))), p.stdout.paint(o.colour, o.words), p.stdout.dim(clean(fmt.Sprintf("(%s:%d)", e.File, e.Line))))
	p.printf("  %s\n", clean(oneLine(e.Reason)))
	if e.When != nil {
		p.printf("  %s\n", p.stdout.dim("when"))
		p.printPart(e.When, 4)
	}
	if len(e.Let) > 0 {
		p.printf("  %s\n", p.stdout.dim("let"))
		for i := range e.Let {
			p.printPart(&e.Let[i], 4)
		}
	}
	for i := range e.Steps {
		p.printExplainedStep(&e.Steps[i], e.Shadow, now)
	}
}

func (p *program) printExplainedStep(s *rules.ExplainedStep, shadow bool, now time.Time) {
	text := s.Action
	if to := cmp.Or(s.Connection, s.Destination); to != "" {
		text += " through " + to
	}
	held, then, end := s.At.After(now) && s.Skip == "", ", then ", ""
	why := cmp.Or(s.Skip, s.Then)
	nothing := s.Error != "" || why != ""
	switch {
	case s.Error != "":
		end = p.stdout.paint("31", "nothing is sent: "+clean(oneLine(s.Error)))
	case why != "":
		then, end = ", but then ", p.stdout.paint("33", "nothing is sent: "+clean(oneLine(why)))
	case shadow:
		end = p.stdout.paint("33", "only recorded, because the rule is in shadow mode")
	case held:
		end = "sent, if nothing changes before:"
	case !s.At.IsZero():
		end = "sent at once, because it was due at " + moment(s.At)
	}
	if held {
		text += ": held until " + moment(s.At) + then + end
	} else if end != "" {
		text += ": " + end
	}
	p.printf("  step %d: %s\n", s.Step, text)
	if s.Moment != nil {
		p.printf("    %s\n", p.stdout.dim("at"))
		p.printPart(s.Moment, 6)
	}
	if !nothing {
		p.printRequest(s.Request, "    ")
	}
}

// moment returns a time with its day of the week, in the time's own zone.
func moment(t time.Time) string {
	layout := "Mon 2 Jan 2006 15:04 -07:00"
	if t.Second() != 0 {
		layout = "Mon 2 Jan 2006 15:04:05 -07:00"
	}
	return t.Format(layout)
}

// printPart prints an expression, its value, and below it what it is made of. What made the condition what it
// is has an arrow.
func (p *program) printPart(part *lang.Part, margin int) {
	arrow, source := "  ", short(strings.Join(strings.Fields(part.Source), " "), 100)
	if part.Name != "" {
		source = part.Name + ": " + source
	}
	if part.Cause {
		arrow, source = p.stdout.paint("33", "→ "), p.stdout.bold(source)
	}
	value := clean(part.Value)
	switch {
	case part.Error != "":
		value = p.stdout.paint("31", "error: "+clean(oneLine(part.Error)))
	case part.Missing:
		value = p.stdout.paint("33", "missing")
	case value == "false":
		value = p.stdout.paint("33", value)
	case value == "true":
		value = p.stdout.paint("32", value)
	}
	p.printf("%s%s%s = %s\n", strings.Repeat(" ", margin-2), arrow, source, value)
	for i := range part.Parts {
		p.printPart(part.Parts[i], margin+2)
	}
}
