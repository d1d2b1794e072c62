package rules

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"bellhop/rules/text"
)

// An Explanation says of one rule what it did about an event, and why.
type Explanation struct {
	Rule    string   `json:"rule"`
	File    string   `json:"file"`
	Line    int      `json:"line"`
	Outcome Outcome  `json:"outcome"`
	Reason  string   `json:"reason"` // one sentence
	On      []string `json:"on"`     // the events that the rule is for
	Shadow  bool     `json:"shadow"` // it only watches

	// When is the condition with its parts, nil where the rule has none or it was not looked at.
	When *Part `json:"when,omitempty"`
	// Let are the rule's named values, where its condition was looked at.
	Let []Part `json:"let,omitempty"`
	// Steps are what a rule that fired came to.
	Steps []ExplainedStep `json:"steps,omitempty"`
}

// Outcome is what a rule did about an event.
type Outcome string

const (
	Fired      Outcome = "fired"
	NotTrue    Outcome = "not-true"    // its condition is false
	Failing    Outcome = "failed"      // its condition could not be evaluated
	OtherEvent Outcome = "other-event" // it is for other events
	Disabled   Outcome = "disabled"
)

// A Part is an expression of a rule, or a part of one, with its value for one event.
type Part struct {
	Name    string `json:"name,omitempty"`    // of a named value
	Source  string `json:"source"`            // as written
	Value   string `json:"value"`             // for people; "" if there is an error
	Missing bool   `json:"missing,omitempty"` // the event does not have it: nothing, an empty text, no time
	Error   string `json:"error,omitempty"`   // why it has no value
	// Cause is set on the parts of a condition that made it what it is, and of a moment that keep it from being one.
	Cause bool   `json:"cause,omitempty"`
	Parts []Part `json:"parts,omitempty"`
}

// An ExplainedStep is a step of a rule that fired: what is sent, or why nothing is.
type ExplainedStep struct {
	Step        int             `json:"step"`
	Action      string          `json:"action"`
	Connection  string          `json:"connection,omitempty"`
	Destination string          `json:"destination,omitempty"`
	Request     json.RawMessage `json:"request,omitempty"`
	Skip        string          `json:"skip,omitempty"`
	Error       string          `json:"error,omitempty"`

	// Of a step that waits: until when, in the rule's zone if it has one. The request is then what it comes to at
	// that moment if nothing changes before, and Then why it comes to nothing. Where Skip or Error say that the
	// step is not even held, they are of the event.
	At   time.Time `json:"at,omitzero"`
	Then string    `json:"then,omitempty"`
	// Moment is the expression of its `at` with its parts. What keeps it from having a time is marked as the cause.
	Moment *Part `json:"moment,omitempty"`
}

// What an explanation may be.
const (
	maxProbes     = 200          // parts of one condition or named value
	maxShown      = 200          // characters of a value
	maxShownUnits = 100_000      // what printing a list or a map may cost
	explainEffort = 4 * maxUnits // what evaluating the parts of one rule may cost
	maxElementsOf = 20           // elements of a list for which a predicate is shown
	noEffortLeft  = "not evaluated: looking at every part of this rule takes too much work"
	missingValue  = "nothing"
)

// Explain says of every rule of the set, in file order, what Match does with it for ev and now, and why. Whether a rule fires is decided by what Match itself runs; the
// parts are evaluated besides, each by itself, so that one that failed hides no other.
func (s *Set) Explain(ev *Event, now time.Time) []Explanation {
	candidates := s.candidates(ev)
	out := make([]Explanation, 0, len(s.rules))
	for i, rule := range s.rules {
		_, applies := slices.BinarySearch(candidates, i)
		out = append(out, explain(rule, ev, now, applies))
	}
	return out
}

// ExplainRule is Explain for the rule with a name. ok is false if there is none.
func (s *Set) ExplainRule(ev *Event, now time.Time, name string) (e Explanation, ok bool) {
	i := slices.IndexFunc(s.rules, func(r *Rule) bool { return r.Name == name })
	if i < 0 {
		return Explanation{}, false
	}
	_, applies := slices.BinarySearch(s.candidates(ev), i)
	return explain(s.rules[i], ev, now, applies), true
}

func explain(rule *Rule, ev *Event, now time.Time, applies bool) Explanation {
	out := Explanation{Rule: rule.Name, File: rule.File, Line: rule.line, On: rule.On, Shadow: rule.Shadow}
	switch {
	case !rule.Enabled:
		out.Outcome, out.Reason = Disabled, "the rule is switched off (enabled: false)"
		return out
	case !applies:
		out.Outcome, out.Reason = OtherEvent, "the rule is for "+wordList(rule.On)+", but this event is "+wordList(ev.On)
		return out
	}
	r := newRun(ev, now)
	r.start(rule)
	out.Outcome, out.Reason = Fired, "the rule has no condition"
	yes, failed := r.applies()
	switch {
	case failed != nil:
		out.Outcome = Failing
	case !yes:
		out.Outcome = NotTrue
	}
	if out.Outcome == Fired {
		for _, st := range rule.steps {
			out.Steps = append(out.Steps, explained(st, r, now))
		}
	}

	p := &prober{run: newRun(ev, now), left: explainEffort}
	p.run.start(rule)
	var known []letVar
	out.Let, known = p.lets(rule)
	for i := range out.Steps {
		if w := rule.steps[i].wait; w != nil {
			out.Steps[i].Moment = p.moment(w, known, &out.Steps[i])
		}
	}
	if rule.when == nil {
		return out
	}
	root := p.condition(rule.when)
	if got := root.outcome(); got != out.Outcome {
		// Only a condition that is stopped for its work can differ here, for its parts have more of it each.
		root.part.Value, root.part.Error = "", ""
		if failed == nil {
			root.part.Value = strconv.FormatBool(out.Outcome == Fired)
		}
	}
	if failed != nil {
		root.part.Error = inPlace(failed, rule.when.whole.place)
	}
	causes := root.mark(out.Outcome)
	part := root.tree()
	out.When = &part
	out.Reason = reason(out.Outcome, causes, root.part.Error)
	return out
}

func explained(st *step, r *run, now time.Time) ExplainedStep {
	var s Step
	var then string
	if st.wait == nil {
		s = st.render(r)
	} else {
		if s = st.plan(r, now); s.Err == nil && s.Skip == "" {
			due := st.due(r.rule, Held{Planned: now, At: s.At}, r.ev, later(s.At, now))
			s.Request, s.Destination = due.Request, due.Destination
			if then = due.Skip; due.Err != nil {
				then = due.Err.Error()
			}
		}
		if s.Request == nil { // the queue's word for it says nothing to people
			s.Destination = cmp.Or(st.connection, st.to)
		}
	}
	if zone := r.zone; zone != nil && !s.At.IsZero() {
		s.At = s.At.In(zone)
	}
	out := ExplainedStep{
		At: s.At, Then: then,
		Step: s.Number, Action: s.Action, Connection: s.Connection, Destination: s.Destination, Request: s.Request, Skip: s.Skip,
	}
	if s.Err != nil {
		out.Error = s.Err.Error()
	}
	return out
}

// wordList is "a", "a and b", "a, b and c".
func wordList(words []string) string {
	switch n := len(words); n {
	case 0:
		return "none that a rule can be for"
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
}

// reason tells in a sentence what the marked parts are.
func reason(o Outcome, causes []*probe, failed string) string {
	if o == Fired {
		return "its condition is true"
	}
	var said []string
	for i, c := range causes {
		if i == 3 {
			said = append(said, fmt.Sprintf("and %d more", len(causes)-i))
			break
		}
		said = append(said, c.sentence())
	}
	switch text := strings.Join(said, "; "); {
	case text != "":
		return text
	case o == Failing:
		return "its condition could not be evaluated: " + failed
	default:
		return "its condition is false"
	}
}

// A probe is one part of a condition that is evaluated by itself.
type probe struct {
	part Part
	// op joins the outcomes of the operands as the engine does: "&&", "||", "!"; "" is evaluated as a whole.
	op       string
	operands []*probe
	parts    []*probe // what is shown below; the operands are among them
	truth    bool     // its value, if that is true or false
	untrue   string   // why its value cannot decide: it is neither
	value    bool     // it names a value of the event
}

func (p *probe) outcome() Outcome {
	switch {
	case p.part.Error != "":
		return Failing
	case p.truth:
		return Fired
	}
	return NotTrue
}

// mark finds the parts that made a condition what it is: of "a && b" that is false, each that is false; of
// "a || b", all; of what failed, each that failed. A condition that holds needs no cause.
func (p *probe) mark(o Outcome) []*probe {
	if o == Fired {
		return nil
	}
	return p.causes(o)
}

func (p *probe) causes(o Outcome) []*probe {
	var out []*probe
	for _, operand := range p.operands {
		want := o
		if p.op == "!" && o != Failing {
			want = map[Outcome]Outcome{Fired: NotTrue, NotTrue: Fired}[o]
		}
		if operand.outcome() == want {
			out = append(out, operand.causes(want)...)
		}
	}
	if len(out) == 0 {
		p.part.Cause = true
		return []*probe{p}
	}
	return out
}

// sentence tells one cause: its value and those of what it was made of.
func (p *probe) sentence() string {
	text := short(p.part.Source, 120)
	switch {
	case p.part.Error != "":
		text += " failed: " + p.part.Error
	case p.part.Missing:
		text += " is missing"
	default:
		text += " is " + p.part.Value
	}
	var values []string
	p.each(func(q *probe) {
		if q.value && q.part.Error == "" && len(values) < 3 && q != p {
			values = append(values, q.known())
		}
	})
	if len(values) > 0 {
		text += " (" + strings.Join(values, ", ") + ")"
	}
	return text
}

func (p *probe) known() string {
	if p.part.Missing {
		return p.part.Source + " is missing"
	}
	return p.part.Source + " is " + p.part.Value
}

func (p *probe) each(f func(*probe)) {
	f(p)
	for _, q := range p.parts {
		q.each(f)
	}
}

// tree gives the part with those below it.
func (p *probe) tree() Part {
	out := p.part
	for _, q := range p.parts {
		out.Parts = append(out.Parts, q.tree())
	}
	return out
}

func short(text string, n int) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) > n {
		return string([]rune(text)[:n-1]) + "…"
	}
	return text
}

// A prober evaluates the parts of one rule's expressions.
type prober struct {
	run  *run
	left int // units of work

	// of the expression being looked at
	src   string
	known []letVar
	place string
	n     int
	decls []*ast.VariableDeclaratorNode // the declarations around the part
}

// begin readies the prober for an expression and gives its tree.
func (p *prober) begin(src, place string, lets []letVar) (ast.Node, bool) {
	p.src, p.place, p.known, p.n, p.decls = src, place, lets, 0, nil
	return p.checker().parse(parseConfig)
}

// checker gives one that may look at any part of the expression. Every part has a tree of its own checked,
// because compiling changes what it compiles.
func (p *prober) checker() *checker {
	r, t := text.Alone(p.src)
	return &checker{env: world, report: r, piece: piece{t, 0, p.src}, lets: p.known}
}

func (p *prober) lets(rule *Rule) (out []Part, known []letVar) {
	for i, l := range rule.lets {
		part, probes := p.whole(l.program, known, func() (any, error) { return p.run.let(i) })
		part.Name = l.name
		for _, q := range probes {
			part.Parts = append(part.Parts, q.tree())
		}
		out = append(out, part)
		known = append(known, letVar{l.name, l.program.typ})
	}
	return out, known
}

// whole evaluates an expression, and what it is made of.
func (p *prober) whole(of *program, known []letVar, eval func() (any, error)) (part Part, below []*probe) {
	src := of.code.Source().String()
	part.Source = strings.TrimSpace(src)
	p.spend(func() {
		v, err := eval()
		p.fill(&part, v, err, of.place)
		part.Missing = err == nil && missing(v)
	}, &part)
	if tree, ok := p.begin(src, of.place, known); ok {
		below = p.below(tree)
	}
	if len(below) == 1 && below[0].part.Source == part.Source {
		below = below[0].parts
	}
	return part, below
}

// moment tells what the time is made of for which a step waits.
func (p *prober) moment(w *wait, known []letVar, step *ExplainedStep) *Part {
	part, below := p.whole(w.program, known, func() (any, error) {
		at, err := w.moment(p.run)
		return at, errors.Unwrap(err) // without the word that says where it is
	})
	absent := step.Skip == noMoment
	if absent { // what is counted from no time is none
		part.Value, part.Missing = "", true
	}
	root := &probe{part: part, parts: below}
	if step.At.IsZero() {
		root.untimely(absent)
	}
	out := root.tree()
	return &out
}

// untimely marks the innermost parts that are missing, or failed, and so keep a moment from being one.
func (p *probe) untimely(absent bool) (found bool) {
	for _, q := range p.parts {
		found = q.untimely(absent) || found
	}
	if !found && (p.part.Error != "" || absent && p.part.Missing) {
		p.part.Cause, found = true, true
	}
	return found
}

func (p *prober) condition(c *condition) *probe {
	tree, ok := p.begin(c.src, c.whole.place, c.lets)
	if !ok {
		return &probe{part: Part{Source: strings.TrimSpace(c.src), Error: "this cannot be taken apart"}}
	}
	root := p.clause(tree)
	root.part.Source = strings.TrimSpace(c.src)
	return root
}

// clause divides a condition as the engine does.
func (p *prober) clause(n ast.Node) *probe {
	out := &probe{}
	var operands []ast.Node
	out.op, operands = divide(n)
	if out.op == "" || p.n >= maxProbes {
		out = p.probe(n)
		if out.untrue != "" {
			out.part.Value, out.part.Error = "", out.untrue
		}
		return out
	}
	p.n++
	out.part.Source = p.source(n)
	for _, o := range operands {
		operand := p.clause(o)
		if out.op == "!" && operand.part.Source == out.part.Source { // a not in b: the operand is not written
			operand.part.Source = ""
		}
		if operand.op == out.op && out.op != "!" { // a && b && c is one row of three
			out.operands = append(out.operands, operand.operands...)
			continue
		}
		out.operands = append(out.operands, operand)
	}
	out.join()
	for _, o := range out.operands {
		if o.part.Source == "" {
			out.parts = append(out.parts, o.parts...)
			out.operands = nil
			continue
		}
		out.parts = append(out.parts, o)
	}
	return out
}

// join works out the outcome from those of the operands: a && b is false when either is, whatever the other
// raises, and a || b true when either is.
func (p *probe) join() {
	decisive := p.op == "||"
	failed := ""
	for _, o := range p.operands {
		switch {
		case o.part.Error != "":
			if failed == "" {
				failed = o.part.Error
			}
		case p.op == "!":
			p.truth = !o.truth
			p.part.Value = strconv.FormatBool(p.truth)
		case o.truth == decisive:
			p.truth, p.part.Value = decisive, strconv.FormatBool(decisive)
			return
		}
	}
	if failed != "" {
		p.part.Error = failed
		return
	}
	if p.op != "!" {
		p.truth, p.part.Value = !decisive, strconv.FormatBool(!decisive)
	}
}

// probe evaluates one part, and what it is made of.
func (p *prober) probe(n ast.Node) *probe {
	p.n++
	out := &probe{part: Part{Source: p.source(n)}, value: isValue(n)}
	program := p.compile(n)
	if program == nil {
		out.part.Error = "this part cannot be evaluated by itself"
		return out
	}
	p.spend(func() {
		v, err := p.run.eval(program)
		p.fill(&out.part, v, err, program.place)
		out.part.Missing = err == nil && out.value && missing(v)
		truth, isBool := v.(bool)
		if out.truth = truth; err == nil && !isBool {
			out.untrue = notTruth(v).Error()
		}
	}, &out.part)
	if out.value && !(out.part.Missing && isDeep(n)) {
		return out
	}
	out.parts = p.parts(n)
	if slices.ContainsFunc(out.parts, func(q *probe) bool { return q.part.Source == out.part.Source }) { // a not in b
		var parts []*probe
		for _, q := range out.parts {
			if q.part.Source == out.part.Source {
				parts = append(parts, q.parts...)
			} else {
				parts = append(parts, q)
			}
		}
		out.parts = parts
	}
	return out
}

// spend does something that costs work, if there is any left to do it with.
func (p *prober) spend(f func(), part *Part) {
	if p.left <= 0 {
		part.Error = noEffortLeft
		return
	}
	p.run.refill()
	f()
	p.left -= maxUnits - max(p.run.units, 0)
}

func (p *prober) fill(part *Part, v any, err error, place string) {
	if err != nil {
		part.Error = inPlace(err, place)
		return
	}
	part.Value = show(v)
}

// inPlace takes the place away from an error that is shown beside its expression.
func inPlace(err error, place string) string {
	return strings.TrimPrefix(err.Error(), place+": ")
}

// compile makes a program of a part, within the declarations that stand around it. It is nil where the
// part means nothing by itself.
func (p *prober) compile(n ast.Node) *program {
	for _, d := range slices.Backward(p.decls) {
		n = &ast.VariableDeclaratorNode{Name: d.Name, Value: d.Value, Expr: n}
	}
	c := p.checker()
	done := c.visit(n)
	if c.bad {
		return nil
	}
	out, err := world.assemble(done.node, p.src)
	if err != nil {
		return nil
	}
	out.typ, out.place = done.typ, p.place
	return out
}

// parts are the probes below a node.
func (p *prober) parts(n ast.Node) []*probe {
	var out []*probe
	add := func(nodes ...ast.Node) {
		for _, k := range nodes {
			if k != nil {
				out = append(out, p.below(k)...)
			}
		}
	}
	switch n := n.(type) {
	case *ast.VariableDeclaratorNode:
		add(n.Value)
		p.decls = append(p.decls, n)
		add(n.Expr)
		p.decls = p.decls[:len(p.decls)-1]
	case *ast.ConditionalNode: // of the two branches, the one that counts
		add(n.Cond)
		if holds, known := p.truth(n.Cond); known && holds {
			add(n.Exp1)
		} else if known {
			add(n.Exp2)
		}
	case *ast.BinaryNode:
		add(n.Left)
		if n.Operator == "??" && !p.absent(n.Left) {
			break
		}
		add(n.Right)
	case *ast.BuiltinNode:
		if _, ok := predicates[n.Name]; ok {
			add(n.Arguments[0])
			if each := p.each(n); each != nil {
				out = append(out, each)
			}
			break
		}
		add(n.Arguments...)
	case *ast.CallNode:
		if m, ok := n.Callee.(*ast.MemberNode); ok {
			add(m.Node)
		}
		add(n.Arguments...)
	case *ast.ChainNode:
		return p.parts(n.Node)
	case *ast.MemberNode:
		add(n.Node, n.Property)
	default:
		add(children(n)...)
	}
	return out
}

// below is a probe of n, or where n is nothing to be shown, those of what it is made of.
func (p *prober) below(n ast.Node) []*probe {
	switch n.(type) {
	case *ast.ArrayNode, *ast.MapNode, *ast.PairNode, *ast.SequenceNode:
		return p.parts(n)
	}
	if p.n >= maxProbes || isFixed(n) {
		return nil
	}
	return []*probe{p.probe(n)}
}

// each shows what the predicate of any, filter and the like gives for the elements, in their order.
func (p *prober) each(n *ast.BuiltinNode) *probe {
	if n.Name == "reduce" || len(n.Arguments) < 2 || p.n >= maxProbes {
		return nil
	}
	body, ok := n.Arguments[1].(*ast.PredicateNode)
	if !ok {
		return nil
	}
	loop := &ast.BuiltinNode{Name: "map", Arguments: []ast.Node{
		&ast.CallNode{Callee: &ast.IdentifierNode{Value: "take"}, Arguments: []ast.Node{n.Arguments[0], &ast.IntegerNode{Value: maxElementsOf}}},
		&ast.PredicateNode{Node: body.Node},
	}}
	program := p.compile(loop)
	if program == nil {
		return nil
	}
	p.n++
	out := &probe{part: Part{Source: p.source(body.Node)}}
	p.spend(func() {
		v, err := p.run.eval(program)
		p.fill(&out.part, v, err, program.place)
		if err == nil {
			out.part.Value = "for each element: " + out.part.Value
		}
	}, &out.part)
	return out
}

func (p *prober) eval(n ast.Node) (v any, ok bool) {
	program := p.compile(n)
	if program == nil || p.left <= 0 {
		return nil, false
	}
	p.spend(func() {
		var err error
		v, err = p.run.eval(program)
		ok = err == nil
	}, &Part{})
	return v, ok
}

func (p *prober) truth(n ast.Node) (holds, known bool) {
	v, ok := p.eval(n)
	holds, isBool := v.(bool)
	return holds, ok && isBool
}

func (p *prober) absent(n ast.Node) bool {
	v, ok := p.eval(n)
	return ok && missing(v)
}

// source is the text of a node, with the parentheses that its ends belong to.
func (p *prober) source(n ast.Node) string {
	from, to := p.checker().extent(n)
	runes := []rune(p.src)
	from, to = min(max(from, 0), len(runes)), min(max(to, 0), len(runes))
	depth, least := 0, 0
	var quote rune
	for i := from; i < to; i++ {
		switch c := runes[i]; {
		case quote != 0:
			if c == '\\' && quote != '`' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
			least = min(least, depth)
		}
	}
	for open := -least; open > 0; open-- {
		i := from - 1
		for i >= 0 && runes[i] != '(' {
			i--
		}
		if i < 0 {
			break
		}
		from = i
	}
	for open := depth - least; open > 0; open-- {
		i := to
		for i < len(runes) && runes[i] != ')' {
			i++
		}
		if i == len(runes) {
			break
		}
		to = i + 1
	}
	return strings.TrimSpace(string(runes[from:to]))
}

// isValue says whether n names a value of the event, however deep: appointment.title, raw.a["b"].
func isValue(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ChainNode:
		return isValue(n.Node)
	case *ast.IdentifierNode:
		return true
	case *ast.MemberNode:
		return isValue(n.Node) && isFixed(n.Property)
	}
	return false
}

// isDeep says whether what n is a field of may itself be missing.
func isDeep(n ast.Node) bool {
	if c, ok := n.(*ast.ChainNode); ok {
		n = c.Node
	}
	m, ok := n.(*ast.MemberNode)
	if !ok {
		return false
	}
	id, ok := m.Node.(*ast.IdentifierNode)
	return !ok || !world.has(id.Value)
}

// isFixed says whether n is the same for every event.
func isFixed(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IdentifierNode, *ast.PointerNode:
		return false
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			return id.Value != "now" && !slices.ContainsFunc(n.Arguments, func(a ast.Node) bool { return !isFixed(a) })
		}
	case *ast.BuiltinNode:
		if n.Name == "now" {
			return false
		}
	}
	return !slices.ContainsFunc(children(n), func(k ast.Node) bool { return k != nil && !isFixed(k) })
}

// show prints a value for people, on one line.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return missingValue
	case string:
		return text.Quote(short(v, maxShown))
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		if v.IsZero() {
			return "no time"
		}
		return v.Format(time.RFC3339)
	case time.Duration:
		return v.String()
	case *time.Location:
		return v.String()
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	if units, _, err := (&machine{units: maxUnits, bytes: maxBytes}).measure(v); err != nil || units > maxShownUnits {
		return describe(v) + " too large to be shown"
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return short(fmt.Sprint(v), maxShown)
	}
	return short(b.String(), maxShown)
}
