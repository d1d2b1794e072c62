package rules

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"gopkg.in/yaml.v3"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// knownFacts holds what is true of every event with a name, see [Names].
var knownFacts = func() map[string]*lang.Formula {
	const status = "appointment.appointmentStatus"
	out := map[string]*lang.Formula{}
	for _, name := range Names() {
		facts := []*lang.Formula{lang.In(name, "on", true), lang.Among("type", true, Create, Update)}
		switch name {
		case Create, Update, Delete:
			facts[1] = lang.Among("type", true, name)
		case Cancelled:
			facts[1] = lang.Both(lang.In(Booked, "on", false), lang.Either(lang.Among("type", true, Delete), lang.Among(status, true, Cancelled)))
		case Booked:
			facts = append(facts, lang.Among(status, false, Cancelled))
		case Confirmed, Showed, NoShow:
			facts = append(facts, lang.Among(status, true, name))
		case Rescheduled:
			facts = append(facts, lang.Either(lang.In("startTime", "changed", true), lang.In("endTime", "changed", true)))
		case Reassigned:
			facts = append(facts, lang.In("assignedUserId", "changed", true))
		}
		out[name] = lang.Both(facts...)
	}
	return out
}()

// factsOf returns what is true of an event with a name, as far as it matters for the condition src.
func factsOf(name, src string) *lang.Formula {
	kids := []*lang.Formula{knownFacts[name]}
	for _, other := range Names() {
		if other == name || !strings.Contains(src, other) {
			continue
		}
		kids = append(kids, lang.Either(lang.In(other, "on", false), knownFacts[other]))
		if other == Create || other == Update || other == Delete {
			kids = append(kids, lang.Either(lang.In(other, "on", true), lang.Among("type", false, other)))
		}
	}
	return lang.Both(kids...)
}

// reach warns about events in `on` for which the condition cannot be true.
func (rule *draft) reach(when lang.Term, on *yaml.Node) {
	p, condition := when.Checker.Prover, rule.when.Yes
	p.Steps = lang.ProverSteps
	if on == nil || len(rule.On) == 0 || !p.Possible(condition) {
		return // reported as never true
	}
	var dead []string
	for _, name := range rule.On {
		if !p.Possible(factsOf(name, rule.when.Source), condition) {
			dead = append(dead, name)
		}
	}
	c := when.Checker
	if len(dead) == len(rule.On) {
		at := falsePart(when.Node, func(o ast.Node) bool {
			return !slices.ContainsFunc(dead, func(name string) bool {
				return p.Possible(factsOf(name, rule.when.Source), p.Claim(c.Term(o), true))
			})
		})
		c.WarnAt(at, "unreachable", "", "with on: %s this is never true, so the rule never applies", strings.Join(rule.On, ", "))
		return
	}
	if on.Kind != yaml.SequenceNode {
		return
	}
	for _, item := range on.Content {
		if item = text.Resolve(item); slices.Contains(dead, item.Value) {
			c.Doc.Warnf("unreachable", c.Doc.At(item), "", `for %s the condition of this rule is never true; it can be left out here`, text.Quote(item.Value))
		}
	}
}

// falsePart returns the first operand of && in n that is never true on its own; n if there is none.
func falsePart(n ast.Node, never func(ast.Node) bool) ast.Node {
	if op := lang.Connective(n); op == "&&" {
		for _, o := range lang.Operands(n, op, nil) {
			if never(o) {
				return o
			}
		}
	}
	return n
}

// doubtMoment warns about an `at` that may be missing or that reads what was printed in another zone, and about one
// at which the rule's condition is never true.
func (s *scope) doubtMoment(c *lang.Checker, at ast.Node) {
	const effect, advice = "this step is not sent", `"when" can ask for it, or ?? give another time`
	if n, name := c.Absences(at, s.asked(), effect, advice).Value(counted(at)); n != nil {
		c.WarnAt(n, "missing-value", "", "%s may be missing, and then %s; %s", name, effect, advice)
	}
	if s.Zone == "" {
		c.DoubtClock(at)
	}
	if s.when.Node != nil {
		s.doubtSending(c, at)
	}
}

// doubtLate warns about a moment that is always over when its event arrives, by more than `late` allows.
func (s *scope) doubtLate(c *lang.Checker, at ast.Node, late time.Duration) {
	moment := lang.NewProver(1).Sum(c.Term(at))
	if len(moment.Factors) != 1 || late < 0 || moment.Extra >= -max(late, punctual).Seconds() {
		return
	}
	for key, factor := range moment.Factors {
		if factor == 1 && (key == "now()" || key == "receivedAt") {
			c.Doc.Warnf("never-sent", c.Whole(), "", "this step is never sent: it is due before its event, which is too late; count from the appointment, such as %s", aMoment)
		}
	}
}

// doubtSending warns if the rule's condition is never true at the step's moment.
func (s *scope) doubtSending(c *lang.Checker, at ast.Node) {
	if s.prover == nil { // one for all steps of a rule, so that a condition that is hard to analyse is not tried with each
		s.prover = lang.NewProver(5)
	}
	p, moment := s.prover, c.Term(at)
	for key := range p.Sum(moment).Factors {
		// In "at", now() is the time of the event; in the condition, it is the time of the step.
		if strings.Contains(key, "now()") || slices.ContainsFunc(s.Lets, func(l lang.Let) bool { return hasName(key, l.Name) }) {
			return
		}
	}
	// When the step is due, its moment has come. An appointment does not end before it starts.
	now := c.Term(&ast.CallNode{Callee: &ast.IdentifierNode{Value: "now"}})
	field := func(name string) lang.Term {
		return c.Term(&ast.MemberNode{Node: &ast.IdentifierNode{Value: "appointment"}, Property: &ast.StringNode{Value: name}})
	}
	then := lang.Both(p.AtMost(moment, now, false), p.AtMost(field("startTime"), field("endTime"), false))
	if condition := p.Claim(s.when, true); p.Possible(condition, then) || !p.Possible(condition) {
		return
	}
	part := falsePart(s.when.Node, func(o ast.Node) bool { return !p.Possible(p.Claim(s.when.Checker.Term(o), true), then) })
	hint := ""
	if full := s.when.Checker.Term(part).Expand(); strings.Contains(full.Checker.Source(full.Node), "now()") {
		hint = "; receivedAt, instead of now(), is when the event came"
	}
	c.Doc.Warnf("never-sent", c.Whole(), "", "this step is never sent: the condition is checked again when the step is due, and %s is never true then%s", s.when.Checker.Source(part), hint)
}

// hasName reports whether a name occurs in an expression, other than as a field.
func hasName(src, name string) bool {
	for i := 0; ; {
		next := strings.Index(src[i:], name)
		if next < 0 {
			return false
		}
		from := i + next
		i = from + len(name)
		before, _ := utf8.DecodeLastRuneInString(src[:from])
		after, _ := utf8.DecodeRuneInString(src[i:])
		inWord := func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
		if !inWord(before) && before != '.' && !inWord(after) {
			return true
		}
	}
}

// counted returns what a duration is added to or subtracted from.
func counted(n ast.Node) ast.Node {
	for {
		b, ok := n.(*ast.BinaryNode)
		if !ok || b.Operator != "+" && b.Operator != "-" {
			return n
		}
		n = b.Left
	}
}
