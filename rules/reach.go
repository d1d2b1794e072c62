package rules

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"gopkg.in/yaml.v3"

	"bellhop/rules/text"
)

// knownFacts are what is true of every event that has a name, see [Names].
var knownFacts = func() map[string]*formula {
	const status = "appointment.appointmentStatus"
	out := map[string]*formula{}
	for _, name := range Names() {
		facts := []*formula{in(name, "on", true), among("type", Create, Update)}
		switch name {
		case Create, Update, Delete:
			facts[1] = among("type", name)
		case Cancelled:
			facts[1] = both(in(Booked, "on", false), either(among("type", Delete), among(status, Cancelled)))
		case Booked:
			facts = append(facts, notAmong(status, Cancelled))
		case Confirmed, Showed, NoShow:
			facts = append(facts, among(status, name))
		case Rescheduled:
			facts = append(facts, either(in("startTime", "changed", true), in("endTime", "changed", true)))
		case Reassigned:
			facts = append(facts, in("assignedUserId", "changed", true))
		}
		out[name] = both(facts...)
	}
	return out
}()

// factsOf is what is true of an event that has a name, as far as src, a condition, asks.
func factsOf(name, src string) *formula {
	kids := []*formula{knownFacts[name]}
	for _, other := range Names() {
		if other == name || !strings.Contains(src, other) {
			continue
		}
		kids = append(kids, either(in(other, "on", false), knownFacts[other]))
		if other == Create || other == Update || other == Delete {
			kids = append(kids, either(in(other, "on", true), notAmong("type", other)))
		}
	}
	return both(kids...)
}

// reach warns about events of `on` for which it cannot be true.
func (rule *Rule) reach(when term, on *yaml.Node) {
	p, condition := when.c.prover, rule.when.yes
	p.steps = proverSteps
	if on == nil || len(rule.On) == 0 || !p.possible(condition) {
		return // reported as never true
	}
	var dead []string
	for _, name := range rule.On {
		if !p.possible(factsOf(name, rule.when.src), condition) {
			dead = append(dead, name)
		}
	}
	c := when.c
	if len(dead) == len(rule.On) {
		at := falsePart(when.node, func(o ast.Node) bool {
			return !slices.ContainsFunc(dead, func(name string) bool { return p.possible(factsOf(name, rule.when.src), p.of(term{o, c}, true)) })
		})
		c.warnAt(at, "unreachable", "", "with on: %s this is never true, so the rule never applies", strings.Join(rule.On, ", "))
		return
	}
	if on.Kind != yaml.SequenceNode {
		return
	}
	for _, item := range on.Content {
		if item = text.Resolve(item); slices.Contains(dead, item.Value) {
			c.doc.Warnf("unreachable", c.doc.At(item), "", `for %s the condition of this rule is never true; it can be left out here`, text.Quote(item.Value))
		}
	}
}

// falsePart is the first of the conditions that && joins in n which is never true by itself; n if none is.
func falsePart(n ast.Node, never func(ast.Node) bool) ast.Node {
	if op := connective(n); op == "&&" {
		for _, o := range operands(n, op, nil) {
			if never(o) {
				return o
			}
		}
	}
	return n
}

// doubtMoment warns about an `at` that may be missing, or that reads what was printed in another zone, and about
// one at which the rule's condition is never true.
func (s *scope) doubtMoment(c *checker, at ast.Node) {
	const effect, advice = "this step is not sent", `"when" can ask for it, or ?? give another time`
	if n, name := c.absences(at, s.asked(), effect, advice).value(counted(at)); n != nil {
		c.warnAt(n, "missing-value", "", "%s may be missing, and then %s; %s", name, effect, advice)
	}
	if s.zone == "" {
		c.doubtClock(at)
	}
	if s.when.node != nil {
		s.doubtSending(c, at)
	}
}

// doubtLate warns about a moment that has always passed when its event comes, by more than the step may be late.
func (s *scope) doubtLate(c *checker, at ast.Node, late time.Duration) {
	moment := newProver(1).linear(term{at, c})
	if len(moment.factors) != 1 || late < 0 || moment.extra >= -max(late, punctual).Seconds() {
		return
	}
	for key, factor := range moment.factors {
		if factor == 1 && (key == "now()" || key == "receivedAt") {
			c.doc.Warnf("never-sent", c.piece.whole(), "", "this step is never sent: it is due before its event, which is too late; count from the appointment, such as %s", aMoment)
		}
	}
}

// doubtSending warns about a step at whose moment the rule's condition is never true.
func (s *scope) doubtSending(c *checker, at ast.Node) {
	if s.prover == nil { // one for all steps of a rule: a condition that is hard to see through is not tried with each
		s.prover = newProver(5)
	}
	p, moment := s.prover, term{at, c}
	for key := range p.linear(moment).factors {
		// now() is in "at" the present of the event, and in the condition that of the moment.
		if strings.Contains(key, "now()") || slices.ContainsFunc(s.lets, func(l letVar) bool { return hasName(key, l.name) }) {
			return
		}
	}
	// When the step is looked at again, its moment has come. An appointment does not end before it starts.
	now := term{&ast.CallNode{Callee: &ast.IdentifierNode{Value: "now"}}, c}
	field := func(name string) term {
		return term{&ast.MemberNode{Node: &ast.IdentifierNode{Value: "appointment"}, Property: &ast.StringNode{Value: name}}, c}
	}
	then := both(p.difference(moment, now, false), p.difference(field("startTime"), field("endTime"), false))
	if condition := p.of(s.when, true); p.possible(condition, then) || !p.possible(condition) {
		return
	}
	part := falsePart(s.when.node, func(o ast.Node) bool { return !p.possible(p.of(term{o, s.when.c}, true), then) })
	hint := ""
	if full := p.expand(term{part, s.when.c}); strings.Contains(full.c.source(full.node), "now()") {
		hint = "; receivedAt, instead of now(), is when the event came"
	}
	c.doc.Warnf("never-sent", c.piece.whole(), "", "this step is never sent: the condition is checked again when the step is due, and %s is never true then%s", s.when.c.source(part), hint)
}

// hasName says whether a name stands in an expression, and not as a field of something.
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

// counted is what a duration is added to, or taken from.
func counted(n ast.Node) ast.Node {
	for {
		b, ok := n.(*ast.BinaryNode)
		if !ok || b.Operator != "+" && b.Operator != "-" {
			return n
		}
		n = b.Left
	}
}
