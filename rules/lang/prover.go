package lang

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// A Prover tells whether a condition can ever be true. It knows which values exclude each other (a text is not
// another text, a time before now is not after now). It gives up rather than be wrong or slow, and then calls the
// condition possible: its answers are only for warnings.
type Prover struct {
	Steps int // steps that are left
	atoms map[atomKey]*Formula
	ran   bool // the conditions were evaluated without an error, so what they compare was not nil
}

// ProverSteps limits the work for one expression.
const ProverSteps = 4000

// NewProver returns a prover with times the usual number of steps.
func NewProver(times int) *Prover { return &Prover{Steps: times * ProverSteps} }

// impossible reports that the formulas cannot be true together. It is false also if that is too hard to tell.
func impossible(formulas ...*Formula) bool { return !NewProver(1).Possible(formulas...) }

// A Term is a node of an expression as it was written, with what is known of its types.
type Term struct {
	Node    ast.Node
	Checker *Checker
}

type atomKey struct {
	node     ast.Node
	positive bool
}

// Claim returns the formula of a condition or, if positive is false, of its opposite.
func (p *Prover) Claim(t Term, positive bool) *Formula {
	if p.atoms == nil {
		p.atoms = map[atomKey]*Formula{}
	}
	key := atomKey{t.Node, positive}
	if f, ok := p.atoms[key]; ok {
		return f
	}
	f := p.build(t, positive)
	p.atoms[key] = f
	return f
}

func (p *Prover) build(t Term, positive bool) *Formula {
	t = t.Expand()
	sub := func(n ast.Node, positive bool) *Formula { return p.Claim(Term{n, t.Checker}, positive) }
	switch n := t.Node.(type) {
	case *ast.BoolNode:
		return constantly(n.Value == positive)
	case *ast.UnaryNode:
		if operatorOf(n) == "!" {
			return sub(n.Node, !positive)
		}
	case *ast.ConditionalNode:
		yes := Both(sub(n.Cond, true), sub(n.Exp1, positive))
		return Either(yes, Both(sub(n.Cond, false), sub(n.Exp2, positive)))
	case *ast.BinaryNode:
		l, r := Term{n.Left, t.Checker}.Expand(), Term{n.Right, t.Checker}.Expand()
		switch op := operatorOf(n); op {
		case "&&", "||":
			return connected((op == "&&") == positive, sub(n.Left, positive), sub(n.Right, positive))
		case "==", "!=":
			return p.equal(l, r, (op == "==") == positive)
		case "<", "<=", ">", ">=":
			return p.order(n, l, r, positive)
		case "in":
			return p.member(l, r, positive)
		case "contains", "startsWith", "endsWith":
			if f := part(op, l, r, positive); f != nil {
				return f
			}
		case "matches":
			if s, ok := r.text(); ok && positive {
				if re, err := compilePattern(s); err == nil && !re.re.MatchString("") {
					return Both(truly(t.Node.String(), true), oneOf(l.Node.String(), false, "nil", `""`))
				}
			}
		}
	}
	return truly(t.Node.String(), positive)
}

// part is the formula for a text that contains another, or begins or ends with it; nil if nothing is known.
func part(op string, l, r Term, positive bool) *Formula {
	s, ok := r.text()
	if !ok || s == "" {
		return nil
	}
	if wrongCase(l, s) {
		return constantly(!positive)
	}
	if c, ok := l.text(); ok {
		return constantly(holdsPart(op, c, s) == positive)
	}
	if of, fallback, ok := l.defaulted(); ok {
		if text, err := strconv.Unquote(fallback); err == nil && !holdsPart(op, text, s) {
			l = of
		}
	}
	if !l.typ().Is(TextKind) {
		return nil
	}
	return claim(atom{kind: 'p', key: l.Node.String(), op: op, text: s, positive: positive})
}

// Expand replaces a named value by its expression.
func (t Term) Expand() Term {
	for range 20 {
		switch n := t.Node.(type) {
		case *ast.ChainNode:
			t.Node = n.Node
			continue
		case *ast.IdentifierNode:
			if l := t.Checker.let(n.Value); l != nil && l.Term.Node != nil {
				t = l.Term
				continue
			}
		}
		break
	}
	return t
}

func (t Term) typ() Type { return t.Checker.Types[t.Node].Type } // [Any] if the node was not checked

func (t Term) text() (string, bool) {
	s, ok := t.Expand().Node.(*ast.StringNode)
	if !ok {
		return "", false
	}
	return s.Value, true
}

// value returns a constant as a text that differs for every value.
func (t Term) value() (string, bool) {
	switch n := t.Expand().Node.(type) {
	case *ast.StringNode:
		return strconv.Quote(n.Value), true
	case *ast.BoolNode:
		return strconv.FormatBool(n.Value), true
	case *ast.NilNode:
		return "nil", true
	case *ast.IntegerNode:
		return strconv.FormatFloat(float64(n.Value), 'g', -1, 64), true
	case *ast.FloatNode:
		return strconv.FormatFloat(n.Value, 'g', -1, 64), true
	}
	return "", false
}

func (p *Prover) equal(l, r Term, positive bool) *Formula {
	if _, ok := l.value(); ok {
		l, r = r, l
	}
	if b, ok := r.Node.(*ast.BoolNode); ok && l.typ().Kind == BoolKind && !l.typ().missing {
		return p.Claim(l, b.Value == positive)
	}
	if f := p.among(l, []Term{r}, positive); f != nil {
		return f
	}
	if amount(l.typ()) && amount(r.typ()) {
		return p.same(l, r, positive)
	}
	a, b := l.Node.String(), r.Node.String()
	if a == b && !l.typ().Open() {
		return constantly(positive)
	}
	return truly(min(a, b)+" == "+max(a, b), positive)
}

// among is the formula for a value that is one of some constants; nil if they are not all constant.
func (p *Prover) among(l Term, list []Term, positive bool) *Formula {
	var set []string
	var kids []*Formula // for numbers, times and durations
	for _, e := range list {
		v, ok := e.value()
		if !ok {
			return nil
		}
		if s, isText := e.text(); isText && wrongCase(l, s) || v == "nil" && neverNil(l.typ()) {
			continue
		}
		set = append(set, v)
		if amount(l.typ()) && amount(e.typ()) {
			kids = append(kids, p.same(l, e, positive))
		}
	}
	of, fallback, hasDefault := l.defaulted()
	if v, ok := l.value(); ok {
		return constantly(slices.Contains(set, v) == positive)
	}
	switch {
	case len(set) == 0:
		return constantly(!positive)
	case len(kids) == len(set):
		return connected(!positive, kids...)
	case !hasDefault:
		of = l
	case slices.Contains(set, fallback):
		set = append(set, "nil", `""`) // the missing values that the default stands for
	}
	return oneOf(of.Node.String(), positive, set...)
}

// neverNil reports whether a value is never nil, whatever the event holds.
func neverNil(t Type) bool {
	return !t.missing && (amount(t) || t.Kind == BoolKind || t.Kind == TextKind || t.Kind == listKind)
}

func amount(t Type) bool {
	return !t.missing && (t.Number() || t.Kind == TimeKind || t.Kind == DurationKind)
}

// wrongCase reports a comparison of lower( ) with capitals, or of upper( ) with small letters.
func wrongCase(t Term, s string) bool {
	return isCallOf(t.Node, "lower") && strings.ToLower(s) != s || isCallOf(t.Node, "upper") && strings.ToUpper(s) != s
}

var (
	mirrored = map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<="} // a < b is b > a
	opposite = map[string]string{"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
)

func (p *Prover) order(n *ast.BinaryNode, l, r Term, positive bool) *Formula {
	op, lt, rt := n.Operator, l.typ(), r.typ()
	if !positive {
		op = opposite[op]
	}
	if amount(lt) && amount(rt) {
		if op[0] == '>' {
			l, r = r, l
		}
		return p.AtMost(l, r, len(op) == 1)
	}
	if !lt.missing && !rt.missing && lt.Kind == TextKind && rt.Kind == TextKind {
		a, aConst := l.text()
		b, bConst := r.text()
		switch {
		case aConst && bConst:
			return constantly(holdsOrder(op, a, b))
		case aConst:
			return claim(atom{kind: 'o', key: r.Node.String(), op: mirrored[op], text: a, positive: true})
		case bConst:
			return claim(atom{kind: 'o', key: l.Node.String(), op: op, text: b, positive: true})
		}
	}
	// If a value is missing, neither the comparison nor its opposite is true.
	return Both(truly(n.String(), positive), p.there(l), p.there(r))
}

// there says that a value is not nil, because a comparison with it did not fail.
func (p *Prover) there(t Term) *Formula {
	if !p.ran || !t.typ().missing {
		return always
	}
	return oneOf(t.Node.String(), false, "nil")
}

// defaulted returns the left side of ??, and its default: x ?? "none" equals "none" if x does, or if x is missing.
func (t Term) defaulted() (of Term, fallback string, ok bool) {
	b, ok := t.Node.(*ast.BinaryNode)
	if !ok || b.Operator != "??" {
		return t, "", false
	}
	fallback, ok = Term{b.Right, t.Checker}.value()
	return Term{b.Left, t.Checker}.Expand(), fallback, ok
}

// elements returns the elements of a list that is written out.
func (t Term) elements() (out []Term, ok bool) {
	list, ok := t.Node.(*ast.ArrayNode)
	if ok {
		for _, e := range list.Nodes {
			out = append(out, Term{e, t.Checker})
		}
	}
	return out, ok
}

func (p *Prover) member(l, r Term, positive bool) *Formula {
	if elements, ok := r.elements(); ok {
		if f := p.among(l, elements, positive); f != nil {
			return f
		}
	}
	if n, ok := r.Node.(*ast.BinaryNode); ok && n.Operator == ".." && l.typ().Kind == intKind {
		low, high := Term{n.Left, r.Checker}, Term{n.Right, r.Checker}
		return connected(positive, p.upTo(low, l, positive), p.upTo(l, high, positive))
	}
	return truly(l.Node.String()+" in "+r.Node.String(), positive)
}

// upTo says that a is at most b, or that it is not; same says that two amounts are equal, or that they are not.
func (p *Prover) upTo(a, b Term, positive bool) *Formula {
	if positive {
		return p.AtMost(a, b, false)
	}
	return p.AtMost(b, a, true)
}

func (p *Prover) same(a, b Term, positive bool) *Formula {
	return connected(positive, p.upTo(a, b, positive), p.upTo(b, a, positive))
}

func holdsPart(op, s, part string) bool {
	switch op {
	case "startsWith":
		return strings.HasPrefix(s, part)
	case "endsWith":
		return strings.HasSuffix(s, part)
	}
	return strings.Contains(s, part)
}

func holdsOrder(op, a, b string) bool {
	switch c := cmp.Compare(a, b); op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	default:
		return c >= 0
	}
}

// Possible reports whether all of the formulas can be true together. It is true also if that is too hard to tell.
func (p *Prover) Possible(formulas ...*Formula) bool {
	return p.search(slices.Clone(formulas), nil)
}

// search tries to make all of todo true together with known, which is consistent. It owns the array of todo. Both can
// share their arrays beyond their ends with calls that have returned.
func (p *Prover) search(todo []*Formula, known []*atom) bool {
	for len(todo) > 0 {
		if p.Steps--; p.Steps < 0 {
			return true
		}
		f := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		switch f.op {
		case 't':
		case 'f':
			return false
		case '&':
			todo = append(todo, f.kids...)
		case 'a':
			known = append(known, f.atom)
			if !p.consistent(known) {
				return false
			}
		case '|':
			// Alternatives are tried last: most of them are impossible by then.
			if i := slices.IndexFunc(todo, func(f *Formula) bool { return f.op != '|' }); i >= 0 {
				next := todo[i]
				todo[i] = f
				todo = append(todo, next)
				continue
			}
			return slices.ContainsFunc(f.kids, func(k *Formula) bool {
				return p.search(append(slices.Clone(todo), k), known)
			})
		}
	}
	return true
}

// consistent reports whether the claims can all hold. All but the last are known to.
func (p *Prover) consistent(known []*atom) bool {
	last := known[len(known)-1]
	p.Steps -= len(known) / 8
	if last.kind == 'd' {
		return closes(known)
	}
	var same []*atom
	for _, a := range known {
		if a.key == last.key && a.kind != 'd' {
			same = append(same, a)
		}
	}
	if len(same) == 1 {
		return true
	}
	if last.kind == 'b' {
		return !slices.ContainsFunc(same, func(a *atom) bool { return a.kind == 'b' && a.positive != last.positive })
	}
	return p.textPossible(same)
}

// textPossible reports whether one value can be everything that is claimed of it.
func (p *Prover) textPossible(claims []*atom) bool {
	var only []string // nil if it can be anything
	for _, a := range claims {
		if a.kind == 's' && a.positive {
			p.Steps -= len(a.set) / 4
			if only == nil {
				only = append([]string{}, a.set...)
			}
			only = slices.DeleteFunc(only, func(v string) bool { return !slices.Contains(a.set, v) })
		}
	}
	if only != nil {
		only = slices.DeleteFunc(only, func(v string) bool {
			text, err := strconv.Unquote(v)
			return slices.ContainsFunc(claims, func(a *atom) bool {
				switch a.kind {
				case 's':
					return !a.positive && slices.Contains(a.set, v)
				case 'p':
					return (err == nil && holdsPart(a.op, text, a.text)) != a.positive // only texts have parts
				case 'o':
					return err == nil && !holdsOrder(a.op, text, a.text)
				}
				return false
			})
		})
		return len(only) > 0
	}
	for i, a := range claims {
		for _, b := range claims[i+1:] {
			if a.kind == 'p' && b.kind == 'p' && excludes(a, b) || a.kind == 'o' && b.kind == 'o' && (apart(a, b) || apart(b, a)) {
				return false
			}
		}
	}
	return true
}

// excludes reports whether two claims about parts of one text contradict each other.
func excludes(a, b *atom) bool {
	switch {
	case a.positive && b.positive:
		return a.op == b.op && a.op != "contains" && !holdsPart(a.op, a.text, b.text) && !holdsPart(a.op, b.text, a.text)
	case a.positive:
		return (a.op == b.op || b.op == "contains") && holdsPart(b.op, a.text, b.text)
	case b.positive:
		return excludes(b, a)
	}
	return false
}

// apart reports whether a is an upper bound below the lower bound b.
func apart(a, b *atom) bool {
	return a.op[0] == '<' && b.op[0] == '>' && (a.text < b.text || a.text == b.text && (a.op == "<" || b.op == ">"))
}
