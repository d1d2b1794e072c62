package lang

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
	"github.com/expr-lang/expr/parser/lexer"

	"bellhop/rules/text"
)

// A Part is an expression of a rule, or a part of one, with its value for one event.
type Part struct {
	Name    string `json:"name,omitempty"`    // the name, if it is a named value
	Source  string `json:"source"`            // as written
	Value   string `json:"value"`             // for people; "" if Error is set
	Missing bool   `json:"missing,omitempty"` // the event lacks it: nil, an empty text, a zero time
	Error   string `json:"error,omitempty"`   // why there is no value
	// Cause marks the parts that made a condition false or failing, or that keep a moment from having a time.
	Cause bool    `json:"cause,omitempty"`
	Parts []*Part `json:"parts,omitempty"` // including the operands

	// op joins the operands as in the engine: "&&", "||" or "!". If it is "", the part is evaluated as a whole.
	op       string
	operands []*Part
	truth    bool   // its value, if that is a boolean
	untrue   string // why its value cannot decide: it is not a boolean
	value    bool   // it is a value of the event
}

// The limits of an explanation.
const (
	maxProbes     = 200          // parts shown of one condition or named value
	maxShown      = 200          // characters of a value
	maxShownUnits = 100_000      // units for printing a list or a map
	explainEffort = 4 * maxUnits // units for evaluating the parts of one rule
	maxElementsOf = 20           // elements for which the value of a predicate is shown
	noEffortLeft  = "not evaluated: looking at every part of this rule takes too much work"
	notAlone      = "this part cannot be evaluated by itself"
	missingValue  = "nothing"
)

// Truth is the result of a condition for one event.
type Truth uint8

const (
	False Truth = iota
	True
	Failed // it could not be evaluated
)

func (p *Part) Outcome() Truth {
	switch {
	case p.Error != "":
		return Failed
	case p.truth:
		return True
	}
	return False
}

// Mark finds the parts that made the condition what it is: for "a && b" that is false, each operand that is false;
// for "a || b", all operands; for a condition that failed, each operand that failed. A condition that is true needs
// no cause.
func (p *Part) Mark(o Truth) []*Part {
	if o == True {
		return nil
	}
	return p.causes(o)
}

func (p *Part) causes(o Truth) []*Part {
	var out []*Part
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
		p.Cause = true
		return []*Part{p}
	}
	return out
}

// Sentence describes one cause: its value, and the values it was made of.
func (p *Part) Sentence() string {
	var values []string
	p.each(func(q *Part) {
		if q.value && q.Error == "" && len(values) < 3 && q != p {
			values = append(values, q.said())
		}
	})
	if len(values) > 0 {
		return p.said() + " (" + strings.Join(values, ", ") + ")"
	}
	return p.said()
}

func (p *Part) said() string {
	source := short(p.Source, 120)
	switch {
	case p.Error != "":
		return source + " failed: " + p.Error
	case p.Missing:
		return source + " is missing"
	}
	return source + " is " + p.Value
}

// each calls f for the probe and all probes below it.
func (p *Part) each(f func(*Part)) {
	f(p)
	for _, q := range p.Parts {
		q.each(f)
	}
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
	left int // units of work left

	named []Let // the named values explained so far

	// The expression that is being explained:
	src   string
	known []Let
	place string
	n     int
	decls []*ast.VariableDeclaratorNode // the local declarations around the part
}

// NewProber returns a prober that uses a machine which is ready for a rule.
func NewProber(env *Env, run *Machine) *Prober {
	return &Prober{env: env, run: run, left: explainEffort}
}

// begin prepares the prober for an expression that was compiled before, and returns its tree.
func (p *Prober) begin(src, place string, lets []Let) ast.Node {
	p.src, p.place, p.known, p.n, p.decls = src, place, lets, 0, nil
	return p.checker().parse()
}

// checker returns a checker for any part of the expression. Every part is checked in a tree of its own, because
// compiling changes the tree.
func (p *Prober) checker() *Checker { return again(p.env, p.src, p.known) }

// Lets explains the named values of the machine. names are their names.
func (p *Prober) Lets(names []string) (out []Part) {
	for i, l := range p.run.lets {
		root := p.Whole(l, func() (any, error) { return p.run.LetValue(i) })
		root.Name = names[i]
		out = append(out, *root)
		p.named = append(p.named, Let{Name: names[i], Type: l.Type})
	}
	return out
}

// Whole evaluates an expression and its parts.
func (p *Prober) Whole(of *Program, eval func() (any, error)) *Part {
	src := of.code.Source().String()
	out := &Part{Source: strings.TrimSpace(src)}
	tree := p.begin(src, of.Place, p.named)
	v, ok := p.spend(out, eval)
	out.Missing = ok && missing(v)
	out.Parts = p.below(tree)
	if len(out.Parts) == 1 && out.Parts[0].Source == out.Source {
		out.Parts = out.Parts[0].Parts
	}
	return out
}

// Untimely marks the innermost parts that are missing or failed, and so keep a moment from having a time.
func (p *Part) Untimely(absent bool) (found bool) {
	for _, q := range p.Parts {
		found = q.Untimely(absent) || found
	}
	if !found && (p.Error != "" || absent && p.Missing) {
		p.Cause, found = true, true
	}
	return found
}

func (p *Prober) Condition(c *Condition) *Part {
	root := p.clause(p.begin(c.Source, c.Place, c.lets))
	root.Source = strings.TrimSpace(c.Source)
	return root
}

// clause divides a condition as the engine does.
func (p *Prober) clause(n ast.Node) *Part {
	op, operands := divide(n)
	if op == "" || p.n >= maxProbes {
		out := p.probe(n)
		if out.untrue != "" {
			out.Value, out.Error = "", out.untrue
		}
		return out
	}
	p.n++
	out := &Part{op: op, Source: p.source(n)}
	for _, o := range operands {
		operand := p.clause(o)
		if operand.op == op && op != "!" { // a && b && c is one row of three
			out.operands = append(out.operands, operand.operands...)
		} else {
			out.operands = append(out.operands, operand)
		}
	}
	out.join()
	out.Parts = out.operands
	if o := out.operands[0]; op == "!" && o.Source == out.Source { // the operand of a not in b has no text of its own
		out.Parts, out.operands = o.Parts, nil
	}
	return out
}

// join computes the result from those of the operands.
func (p *Part) join() {
	truth, err := decide(p.op, len(p.operands), func(i int) (bool, error) {
		o := p.operands[i]
		if o.Error != "" {
			return false, errors.New(o.Error)
		}
		return o.truth, nil
	})
	if err != nil {
		p.Error = err.Error()
		return
	}
	p.truth, p.Value = truth, strconv.FormatBool(truth)
}

// probe evaluates one part, and its own parts.
func (p *Prober) probe(n ast.Node) *Part {
	p.n++
	out := &Part{Source: p.source(n), value: isValue(n)}
	v, ok := p.value(out, n)
	if out.Error == notAlone {
		return out
	}
	out.Missing = ok && out.value && missing(v)
	truth, isBool := v.(bool)
	if out.truth = truth; ok && !isBool {
		out.untrue = notTruth(v).Error()
	}
	if out.value && !(out.Missing && p.isDeep(n)) {
		return out
	}
	for _, q := range p.parts(n) {
		if q.Source == out.Source { // as in a not in b
			out.Parts = append(out.Parts, q.Parts...)
		} else {
			out.Parts = append(out.Parts, q)
		}
	}
	return out
}

// spend evaluates a part, if any work is left to spend. ok is false if there is no value.
func (p *Prober) spend(part *Part, eval func() (any, error)) (v any, ok bool) {
	if p.left <= 0 {
		part.Error = noEffortLeft
		return nil, false
	}
	p.run.Refill()
	v, err := eval()
	p.left -= maxUnits - max(p.run.units, 0)
	if err != nil {
		part.Error = InPlace(err, p.place)
		return nil, false
	}
	part.Value = show(v)
	return v, true
}

// InPlace removes the place from an error that is shown next to its expression.
func InPlace(err error, place string) string {
	return strings.TrimPrefix(err.Error(), place+": ")
}

// value evaluates a node, inside the local declarations around it. ok is false if it has no value.
func (p *Prober) value(part *Part, n ast.Node) (v any, ok bool) {
	for _, d := range slices.Backward(p.decls) {
		n = &ast.VariableDeclaratorNode{Name: d.Name, Value: d.Value, Expr: n}
	}
	c := p.checker()
	program := c.program(n, p.place, c.assemble)
	if program == nil {
		part.Error = notAlone
		return nil, false
	}
	return p.spend(part, func() (any, error) { return p.run.Eval(program) })
}

// parts returns the probes of the nodes below a node.
func (p *Prober) parts(n ast.Node) []*Part {
	var out []*Part
	add := func(nodes ...ast.Node) {
		for _, k := range nodes {
			out = append(out, p.below(k)...)
		}
	}
	switch n := n.(type) {
	case *ast.VariableDeclaratorNode:
		add(n.Value)
		p.decls = append(p.decls, n)
		add(n.Expr)
		p.decls = p.decls[:len(p.decls)-1]
	case *ast.ConditionalNode: // only the branch that is used
		add(n.Cond)
		switch holds, _ := p.value(&Part{}, n.Cond); holds {
		case true:
			add(n.Exp1)
		case false:
			add(n.Exp2)
		}
	case *ast.BinaryNode:
		add(n.Left)
		if n.Operator == "??" {
			if v, ok := p.value(&Part{}, n.Left); !ok || !missing(v) {
				break
			}
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
	default:
		add(children(n)...)
	}
	return out
}

// below returns a probe of n, or if n itself is not shown, those of its parts.
func (p *Prober) below(n ast.Node) []*Part {
	switch n.(type) {
	case *ast.ArrayNode, *ast.MapNode, *ast.PairNode, *ast.SequenceNode:
		return p.parts(n)
	}
	if p.n >= maxProbes || isFixed(n) {
		return nil
	}
	return []*Part{p.probe(n)}
}

// each shows the value of a predicate for the first elements of its list.
func (p *Prober) each(n *ast.BuiltinNode) *Part {
	if n.Name == "reduce" || len(n.Arguments) < 2 || p.n >= maxProbes {
		return nil
	}
	body := n.Arguments[1].(*ast.PredicateNode)
	loop := &ast.BuiltinNode{Name: "map", Arguments: []ast.Node{
		&ast.CallNode{Callee: &ast.IdentifierNode{Value: "take"}, Arguments: []ast.Node{n.Arguments[0], &ast.IntegerNode{Value: maxElementsOf}}},
		&ast.PredicateNode{Node: body.Node},
	}}
	out := &Part{Source: p.source(body.Node)}
	if _, ok := p.value(out, loop); ok {
		out.Value = "for each element: " + out.Value
	}
	if out.Error == notAlone {
		return nil
	}
	p.n++
	return out
}

// source returns the text of a node, with the parentheses that belong to it.
func (p *Prober) source(n ast.Node) string {
	c := p.checker()
	from, to := c.extent(n)
	depth, least := 0, 0
	tokens, _ := c.lex() // it was parsed before
	for _, t := range tokens {
		switch {
		case t.From < from || t.To > to:
		case t.Is(lexer.Bracket, "("):
			depth++
		case t.Is(lexer.Bracket, ")"):
			depth--
			least = min(least, depth)
		}
	}
	from, to = byteOffset(p.src, from), byteOffset(p.src, to)
	for open := -least; open > 0; open-- {
		if i := strings.LastIndexByte(p.src[:from], '('); i >= 0 {
			from = i
		}
	}
	for open := depth - least; open > 0; open-- {
		to += strings.IndexByte(p.src[to:], ')') + 1
	}
	return strings.TrimSpace(p.src[from:to])
}

// isValue reports whether n is a value of the event, however deep: appointment.title, raw.a["b"].
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

// isDeep reports whether n is a field of something that may itself be missing.
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

// isFixed reports whether n is the same for every event.
func isFixed(n ast.Node) bool {
	switch n.(type) {
	case *ast.IdentifierNode, *ast.PointerNode:
		return false
	}
	below := children(n)
	if name, args := CallOf(n); name == "now" {
		return false
	} else if name != "" {
		below = args
	}
	return !slices.ContainsFunc(below, func(k ast.Node) bool { return !isFixed(k) })
}

// show returns a value for people, on one line.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return missingValue
	case string:
		return text.Quote(short(v, maxShown))
	case time.Duration:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool, int, time.Time, *time.Location:
		return cmp.Or(Print(v), "no time")
	}
	if _, err := (&Machine{units: maxShownUnits}).measure(v); err != nil {
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
