package lang

import (
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

// Truth is what a condition is for one event.
type Truth uint8

const (
	False Truth = iota
	True
	Failed // it could not be evaluated
)

// A Probe is one part of a condition that is evaluated by itself.
type Probe struct {
	Part Part
	// op joins the outcomes of the operands as the engine does: "&&", "||", "!"; "" is evaluated as a whole.
	op       string
	operands []*Probe
	parts    []*Probe // what is shown below; the operands are among them
	truth    bool     // its value, if that is true or false
	untrue   string   // why its value cannot decide: it is neither
	value    bool     // it names a value of the event
}

func (p *Probe) Outcome() Truth {
	switch {
	case p.Part.Error != "":
		return Failed
	case p.truth:
		return True
	}
	return False
}

// Mark finds the parts that made a condition what it is: of "a && b" that is false, each that is false; of
// "a || b", all; of what failed, each that failed. A condition that holds needs no cause.
func (p *Probe) Mark(o Truth) []*Probe {
	if o == True {
		return nil
	}
	return p.causes(o)
}

func (p *Probe) causes(o Truth) []*Probe {
	var out []*Probe
	for _, operand := range p.operands {
		want := o
		if p.op == "!" && o != Failed {
			want = True + False - o
		}
		if operand.Outcome() == want {
			out = append(out, operand.causes(want)...)
		}
	}
	if len(out) == 0 {
		p.Part.Cause = true
		return []*Probe{p}
	}
	return out
}

// Sentence tells one cause: its value and those of what it was made of.
func (p *Probe) Sentence() string {
	text := short(p.Part.Source, 120)
	switch {
	case p.Part.Error != "":
		text += " failed: " + p.Part.Error
	case p.Part.Missing:
		text += " is missing"
	default:
		text += " is " + p.Part.Value
	}
	var values []string
	p.each(func(q *Probe) {
		if q.value && q.Part.Error == "" && len(values) < 3 && q != p {
			values = append(values, q.known())
		}
	})
	if len(values) > 0 {
		text += " (" + strings.Join(values, ", ") + ")"
	}
	return text
}

func (p *Probe) known() string {
	if p.Part.Missing {
		return p.Part.Source + " is missing"
	}
	return p.Part.Source + " is " + p.Part.Value
}

func (p *Probe) each(f func(*Probe)) {
	f(p)
	for _, q := range p.parts {
		q.each(f)
	}
}

// Tree gives the part with those below it.
func (p *Probe) Tree() Part {
	out := p.Part
	for _, q := range p.parts {
		out.Parts = append(out.Parts, q.Tree())
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

// A Prober evaluates the parts of one rule's expressions.
type Prober struct {
	env  *Env
	run  *Machine
	left int // units of work

	named []Let // the named values explained so far

	// of the expression being looked at
	src   string
	known []Let
	place string
	n     int
	decls []*ast.VariableDeclaratorNode // the declarations around the part
}

// NewProber explains with a machine that is ready for a rule.
func NewProber(env *Env, run *Machine) *Prober {
	return &Prober{env: env, run: run, left: explainEffort}
}

// begin readies the prober for an expression and gives its tree.
func (p *Prober) begin(src, place string, lets []Let) (ast.Node, bool) {
	p.src, p.place, p.known, p.n, p.decls = src, place, lets, 0, nil
	return p.checker().parse(parseConfig)
}

// checker gives one that may look at any part of the expression. Every part has a tree of its own checked,
// because compiling changes what it compiles.
func (p *Prober) checker() *Checker {
	r, t := text.Alone(p.src)
	return &Checker{Scope: Scope{Env: p.env, Doc: r, Lets: p.known}, piece: WholeOf(t)}
}

// Lets explains the named values that the machine has, by their names.
func (p *Prober) Lets(names []string) (out []Part) {
	for i, l := range p.run.lets {
		root := p.Whole(l, func() (any, error) { return p.run.LetValue(i) })
		root.Part.Name = names[i]
		out = append(out, root.Tree())
		p.named = append(p.named, Let{Name: names[i], Type: l.Type})
	}
	return out
}

// Whole evaluates an expression, and what it is made of.
func (p *Prober) Whole(of *Program, eval func() (any, error)) *Probe {
	src := of.code.Source().String()
	out := &Probe{Part: Part{Source: strings.TrimSpace(src)}}
	p.spend(func() {
		v, err := eval()
		p.fill(&out.Part, v, err, of.Place)
		out.Part.Missing = err == nil && missing(v)
	}, &out.Part)
	if tree, ok := p.begin(src, of.Place, p.named); ok {
		out.parts = p.below(tree)
	}
	if len(out.parts) == 1 && out.parts[0].Part.Source == out.Part.Source {
		out.parts = out.parts[0].parts
	}
	return out
}

// Untimely marks the innermost parts that are missing, or failed, and so keep a moment from being one.
func (p *Probe) Untimely(absent bool) (found bool) {
	for _, q := range p.parts {
		found = q.Untimely(absent) || found
	}
	if !found && (p.Part.Error != "" || absent && p.Part.Missing) {
		p.Part.Cause, found = true, true
	}
	return found
}

func (p *Prober) Condition(c *Condition) *Probe {
	tree, ok := p.begin(c.Source, c.Whole.Place, c.lets)
	if !ok {
		return &Probe{Part: Part{Source: strings.TrimSpace(c.Source), Error: "this cannot be taken apart"}}
	}
	root := p.clause(tree)
	root.Part.Source = strings.TrimSpace(c.Source)
	return root
}

// clause divides a condition as the engine does.
func (p *Prober) clause(n ast.Node) *Probe {
	out := &Probe{}
	var operands []ast.Node
	out.op, operands = divide(n)
	if out.op == "" || p.n >= maxProbes {
		out = p.probe(n)
		if out.untrue != "" {
			out.Part.Value, out.Part.Error = "", out.untrue
		}
		return out
	}
	p.n++
	out.Part.Source = p.source(n)
	for _, o := range operands {
		operand := p.clause(o)
		if out.op == "!" && operand.Part.Source == out.Part.Source { // a not in b: the operand is not written
			operand.Part.Source = ""
		}
		if operand.op == out.op && out.op != "!" { // a && b && c is one row of three
			out.operands = append(out.operands, operand.operands...)
			continue
		}
		out.operands = append(out.operands, operand)
	}
	out.join()
	for _, o := range out.operands {
		if o.Part.Source == "" {
			out.parts = append(out.parts, o.parts...)
			out.operands = nil
			continue
		}
		out.parts = append(out.parts, o)
	}
	return out
}

// join works out the outcome from those of the operands.
func (p *Probe) join() {
	truth, err := decide(p.op, len(p.operands), func(i int) (bool, error) {
		o := p.operands[i]
		if o.Part.Error != "" {
			return false, errors.New(o.Part.Error)
		}
		return o.truth, nil
	})
	if err != nil {
		p.Part.Error = err.Error()
		return
	}
	p.truth, p.Part.Value = truth, strconv.FormatBool(truth)
}

// probe evaluates one part, and what it is made of.
func (p *Prober) probe(n ast.Node) *Probe {
	p.n++
	out := &Probe{Part: Part{Source: p.source(n)}, value: isValue(n)}
	program := p.compile(n)
	if program == nil {
		out.Part.Error = "this part cannot be evaluated by itself"
		return out
	}
	p.spend(func() {
		v, err := p.run.Eval(program)
		p.fill(&out.Part, v, err, program.Place)
		out.Part.Missing = err == nil && out.value && missing(v)
		truth, isBool := v.(bool)
		if out.truth = truth; err == nil && !isBool {
			out.untrue = notTruth(v).Error()
		}
	}, &out.Part)
	if out.value && !(out.Part.Missing && p.isDeep(n)) {
		return out
	}
	out.parts = p.parts(n)
	if slices.ContainsFunc(out.parts, func(q *Probe) bool { return q.Part.Source == out.Part.Source }) { // a not in b
		var parts []*Probe
		for _, q := range out.parts {
			if q.Part.Source == out.Part.Source {
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
func (p *Prober) spend(f func(), part *Part) {
	if p.left <= 0 {
		part.Error = noEffortLeft
		return
	}
	p.run.Refill()
	f()
	p.left -= maxUnits - max(p.run.units, 0)
}

func (p *Prober) fill(part *Part, v any, err error, place string) {
	if err != nil {
		part.Error = InPlace(err, place)
		return
	}
	part.Value = show(v)
}

// InPlace takes the place away from an error that is shown beside its expression.
func InPlace(err error, place string) string {
	return strings.TrimPrefix(err.Error(), place+": ")
}

// compile makes a program of a part, within the declarations that stand around it. It is nil where the
// part means nothing by itself.
func (p *Prober) compile(n ast.Node) *Program {
	for _, d := range slices.Backward(p.decls) {
		n = &ast.VariableDeclaratorNode{Name: d.Name, Value: d.Value, Expr: n}
	}
	c := p.checker()
	done := c.visit(n)
	if c.bad {
		return nil
	}
	out, err := p.env.assemble(done.node, p.src)
	if err != nil {
		return nil
	}
	out.Type, out.Place = done.Type, p.place
	return out
}

// parts are the probes below a node.
func (p *Prober) parts(n ast.Node) []*Probe {
	var out []*Probe
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
		if functions[n.Name].isPredicate() {
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
func (p *Prober) below(n ast.Node) []*Probe {
	switch n.(type) {
	case *ast.ArrayNode, *ast.MapNode, *ast.PairNode, *ast.SequenceNode:
		return p.parts(n)
	}
	if p.n >= maxProbes || isFixed(n) {
		return nil
	}
	return []*Probe{p.probe(n)}
}

// each shows what the predicate of any, filter and the like gives for the elements, in their order.
func (p *Prober) each(n *ast.BuiltinNode) *Probe {
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
	out := &Probe{Part: Part{Source: p.source(body.Node)}}
	p.spend(func() {
		v, err := p.run.Eval(program)
		p.fill(&out.Part, v, err, program.Place)
		if err == nil {
			out.Part.Value = "for each element: " + out.Part.Value
		}
	}, &out.Part)
	return out
}

func (p *Prober) eval(n ast.Node) (v any, ok bool) {
	program := p.compile(n)
	if program == nil || p.left <= 0 {
		return nil, false
	}
	p.spend(func() {
		var err error
		v, err = p.run.Eval(program)
		ok = err == nil
	}, &Part{})
	return v, ok
}

func (p *Prober) truth(n ast.Node) (holds, known bool) {
	v, ok := p.eval(n)
	holds, isBool := v.(bool)
	return holds, ok && isBool
}

func (p *Prober) absent(n ast.Node) bool {
	v, ok := p.eval(n)
	return ok && missing(v)
}

// source is the text of a node, with the parentheses that its ends belong to.
func (p *Prober) source(n ast.Node) string {
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
func (p *Prober) isDeep(n ast.Node) bool {
	if c, ok := n.(*ast.ChainNode); ok {
		n = c.Node
	}
	m, ok := n.(*ast.MemberNode)
	if !ok {
		return false
	}
	id, ok := m.Node.(*ast.IdentifierNode)
	return !ok || !p.env.Has(id.Value)
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
	if units, _, err := (&Machine{units: maxUnits, bytes: maxBytes}).measure(v); err != nil || units > maxShownUnits {
		return Describe(v) + " too large to be shown"
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return short(fmt.Sprint(v), maxShown)
	}
	return short(b.String(), maxShown)
}
