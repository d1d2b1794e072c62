package rules

import (
	"encoding/json"
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

func (p *probe) outcome() Truth {
	switch {
	case p.part.Error != "":
		return Failed
	case p.truth:
		return True
	}
	return False
}

// mark finds the parts that made a condition what it is: of "a && b" that is false, each that is false; of
// "a || b", all; of what failed, each that failed. A condition that holds needs no cause.
func (p *probe) mark(o Truth) []*probe {
	if o == True {
		return nil
	}
	return p.causes(o)
}

func (p *probe) causes(o Truth) []*probe {
	var out []*probe
	for _, operand := range p.operands {
		want := o
		if p.op == "!" && o != Failed {
			want = True + False - o
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
	env  *environment
	run  *machine
	left int // units of work

	named []letVar // the named values explained so far

	// of the expression being looked at
	src   string
	known []letVar
	place string
	n     int
	decls []*ast.VariableDeclaratorNode // the declarations around the part
}

// newProber explains with a machine that is ready for a rule.
func newProber(env *environment, run *machine) *prober {
	return &prober{env: env, run: run, left: explainEffort}
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
	return &checker{vocabulary: vocabulary{env: p.env, doc: r, lets: p.known}, piece: piece{t, 0, p.src}}
}

// lets explains the named values that the machine has, by their names.
func (p *prober) lets(names []string) (out []Part) {
	for i, l := range p.run.lets {
		root := p.whole(l, func() (any, error) { return p.run.let(i) })
		root.part.Name = names[i]
		out = append(out, root.tree())
		p.named = append(p.named, letVar{name: names[i], typ: l.typ})
	}
	return out
}

// whole evaluates an expression, and what it is made of.
func (p *prober) whole(of *program, eval func() (any, error)) *probe {
	src := of.code.Source().String()
	out := &probe{part: Part{Source: strings.TrimSpace(src)}}
	p.spend(func() {
		v, err := eval()
		p.fill(&out.part, v, err, of.place)
		out.part.Missing = err == nil && missing(v)
	}, &out.part)
	if tree, ok := p.begin(src, of.place, p.named); ok {
		out.parts = p.below(tree)
	}
	if len(out.parts) == 1 && out.parts[0].part.Source == out.part.Source {
		out.parts = out.parts[0].parts
	}
	return out
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
	if out.value && !(out.part.Missing && p.isDeep(n)) {
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
	out, err := p.env.assemble(done.node, p.src)
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
func (p *prober) isDeep(n ast.Node) bool {
	if c, ok := n.(*ast.ChainNode); ok {
		n = c.Node
	}
	m, ok := n.(*ast.MemberNode)
	if !ok {
		return false
	}
	id, ok := m.Node.(*ast.IdentifierNode)
	return !ok || !p.env.has(id.Value)
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
