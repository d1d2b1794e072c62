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
	t = p.Expand(t)
	join := func(and bool, kids ...*Formula) *Formula {
		if and == positive {
			return Both(kids...)
		}
		return Either(kids...)
	}
	sub := func(n ast.Node, positive bool) *Formula { return p.Claim(Term{n, t.Checker}, positive) }
	switch n := t.Node.(type) {
	case *ast.BoolNode:
		if n.Value == positive {
			return always
		}
		return never
	case *ast.UnaryNode:
		if operatorOf(n) == "!" {
			return sub(n.Node, !positive)
		}
	case *ast.ConditionalNode:
		yes := Both(sub(n.Cond, true), sub(n.Exp1, positive))
		return Either(yes, Both(sub(n.Cond, false), sub(n.Exp2, positive)))
	case *ast.BinaryNode:
		switch operatorOf(n) {
		case "&&":
			return join(true, sub(n.Left, positive), sub(n.Right, positive))
		case "||":
			return join(false, sub(n.Left, positive), sub(n.Right, positive))
		case "==":
			return p.equal(t, n.Left, n.Right, positive)
		case "!=":
			return p.equal(t, n.Left, n.Right, !positive)
		case "<", "<=", ">", ">=":
			return p.order(t, n, positive)
		case "in":
			return p.member(t, n, positive)
		case "contains", "startsWith", "endsWith":
			if s, ok := p.text(Term{n.Right, t.Checker}); ok && s != "" {
				left := p.Expand(Term{n.Left, t.Checker})
				if wrongCase(left, s) {
					return constantly(!positive)
				}
				if c, ok := p.text(left); ok {
					return constantly(holdsPart(n.Operator, c, s) == positive)
				}
				if of, fallback, ok := p.defaulted(left); ok {
					if text, err := strconv.Unquote(fallback); err == nil && !holdsPart(n.Operator, text, s) {
						left = of
					}
				}
				if k := left.typ(); k.Kind == TextKind || k.Kind == AnyKind {
					return claim(atom{kind: 'p', key: left.Node.String(), op: n.Operator, text: s, positive: positive})
				}
			}
		case "matches":
			if s, ok := p.text(Term{n.Right, t.Checker}); ok && positive {
				if re, err := compilePattern(s); err == nil && !re.re.MatchString("") {
					left := p.Expand(Term{n.Left, t.Checker}).Node.String()
					return Both(claim(atom{kind: 'b', key: t.Node.String(), positive: true}), claim(atom{kind: 's', key: left, set: []string{"nil", `""`}}))
				}
			}
		}
	}
	return claim(atom{kind: 'b', key: t.Node.String(), positive: positive})
}

// Expand replaces a named value by its expression.
func (p *Prover) Expand(t Term) Term {
	for range 20 {
		switch n := t.Node.(type) {
		case *ast.ChainNode:
			t.Node = n.Node
			continue
		case *ast.IdentifierNode:
			i := slices.IndexFunc(t.Checker.Lets, func(l Let) bool { return l.Name == n.Value })
			if i >= 0 && t.Checker.Lets[i].Term.Node != nil {
				t = t.Checker.Lets[i].Term
				continue
			}
		}
		break
	}
	return t
}

func (t Term) typ() Type {
	if done, ok := t.Checker.Types[t.Node]; ok {
		return done.Type
	}
	return Any
}

func (p *Prover) text(t Term) (string, bool) {
	s, ok := p.Expand(t).Node.(*ast.StringNode)
	if !ok {
		return "", false
	}
	return s.Value, true
}

// value returns a constant as a text that differs for every value.
func (p *Prover) value(t Term) (string, bool) {
	switch n := p.Expand(t).Node.(type) {
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

func (p *Prover) equal(t Term, left, right ast.Node, positive bool) *Formula {
	l, r := p.Expand(Term{left, t.Checker}), p.Expand(Term{right, t.Checker})
	lv, lConst := p.value(l)
	rv, rConst := p.value(r)
	if lConst && !rConst {
		l, r, lv, rv, lConst, rConst = r, l, rv, lv, rConst, lConst
	}
	if rConst && rv == "nil" && neverNil(l.typ()) && !lConst {
		return constantly(!positive)
	}
	switch {
	case lConst && rConst:
		return constantly((lv == rv) == positive)
	case amount(l.typ()) && amount(r.typ()):
		if positive {
			return Both(p.AtMost(l, r, false), p.AtMost(r, l, false))
		}
		return Either(p.AtMost(l, r, true), p.AtMost(r, l, true))
	case rConst && (rv == "true" || rv == "false") && l.typ().Kind == BoolKind && !l.typ().missing:
		return p.Claim(l, (rv == "true") == positive)
	case rConst:
		if s, ok := p.text(r); ok && wrongCase(l, s) {
			return constantly(!positive)
		}
		if of, fallback, ok := p.defaulted(l); ok {
			return claim(atom{kind: 's', key: of.Node.String(), set: withMissing([]string{rv}, fallback), positive: positive})
		}
		return claim(atom{kind: 's', key: l.Node.String(), set: []string{rv}, positive: positive})
	}
	a, b := l.Node.String(), r.Node.String()
	if a == b && !l.typ().Open() {
		return constantly(positive)
	}
	return claim(atom{kind: 'b', key: min(a, b) + " == " + max(a, b), positive: positive})
}

// neverNil reports whether a value is never nil, whatever the event holds.
func neverNil(t Type) bool {
	if t.missing {
		return false
	}
	switch t.Kind {
	case BoolKind, intKind, floatKind, TextKind, TimeKind, DurationKind, listKind:
		return true
	}
	return false
}

func amount(t Type) bool {
	return !t.missing && (t.Number() || t.Kind == TimeKind || t.Kind == DurationKind)
}

// wrongCase reports a comparison of lower( ) with capitals, or of upper( ) with small letters.
func wrongCase(t Term, s string) bool {
	name := ""
	switch n := t.Node.(type) {
	case *ast.BuiltinNode:
		name = n.Name
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			name = id.Value
		}
	}
	return name == "lower" && strings.ToLower(s) != s || name == "upper" && strings.ToUpper(s) != s
}

func (p *Prover) order(t Term, n *ast.BinaryNode, positive bool) *Formula {
	l, r := p.Expand(Term{n.Left, t.Checker}), p.Expand(Term{n.Right, t.Checker})
	op := n.Operator
	lt, rt := l.typ(), r.typ()
	if amount(lt) && amount(rt) {
		if !positive {
			op = map[string]string{"<": ">=", "<=": ">", ">": "<=", ">=": "<"}[op]
		}
		if op[0] == '>' {
			l, r = r, l
		}
		return p.AtMost(l, r, len(op) == 1)
	}
	if neverNil(lt) && neverNil(rt) && lt.Kind == TextKind && rt.Kind == TextKind {
		if !positive {
			op = map[string]string{"<": ">=", "<=": ">", ">": "<=", ">=": "<"}[op]
		}
		ls, lConst := p.text(l)
		rs, rConst := p.text(r)
		if lConst && !rConst {
			l, rs, rConst = r, ls, true
			op = map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<="}[op]
		} else if lConst {
			return constantly(holdsOrder(op, ls, rs))
		}
		if rConst {
			return claim(atom{kind: 'o', key: l.Node.String(), op: op, text: rs, positive: true})
		}
	}
	// If a value is missing, neither the comparison nor its opposite is true.
	return Both(claim(atom{kind: 'b', key: n.String(), positive: positive}), p.there(l), p.there(r))
}

// there says that a value is not nil, because a comparison with it did not fail.
func (p *Prover) there(t Term) *Formula {
	if !p.ran || !t.typ().missing {
		return always
	}
	return claim(atom{kind: 's', key: t.Node.String(), set: []string{"nil"}})
}

// defaulted returns the left side of ??, and its default: x ?? "none" equals "none" if x does, or if x is missing.
func (p *Prover) defaulted(t Term) (of Term, fallback string, ok bool) {
	b, ok := t.Node.(*ast.BinaryNode)
	if !ok || b.Operator != "??" {
		return t, "", false
	}
	fallback, ok = p.value(Term{b.Right, t.Checker})
	return p.Expand(Term{b.Left, t.Checker}), fallback, ok
}

// withMissing returns the set, and if the default is in it, also the missing values that it stands for.
func withMissing(set []string, fallback string) []string {
	if slices.Contains(set, fallback) {
		return append(set[:len(set):len(set)], "nil", `""`)
	}
	return set
}

func (p *Prover) member(t Term, n *ast.BinaryNode, positive bool) *Formula {
	l, r := p.Expand(Term{n.Left, t.Checker}), p.Expand(Term{n.Right, t.Checker})
	switch list := r.Node.(type) {
	case *ast.ArrayNode:
		var set []string
		for _, e := range list.Nodes {
			v, ok := p.value(Term{e, r.Checker})
			if !ok {
				return claim(atom{kind: 'b', key: l.Node.String() + " in " + r.Node.String(), positive: positive})
			}
			if s, isText := p.text(Term{e, r.Checker}); isText && wrongCase(l, s) {
				continue
			}
			set = append(set, v)
		}
		if lv, ok := p.value(l); ok {
			return constantly(slices.Contains(set, lv) == positive)
		}
		if len(set) == 0 {
			return constantly(!positive)
		}
		if amount(l.typ()) {
			var kids []*Formula
			for _, e := range list.Nodes {
				kids = append(kids, p.equal(Term{n, r.Checker}, l.Node, e, positive))
			}
			if positive {
				return Either(kids...)
			}
			return Both(kids...)
		}
		if of, fallback, ok := p.defaulted(l); ok {
			return claim(atom{kind: 's', key: of.Node.String(), set: withMissing(set, fallback), positive: positive})
		}
		return claim(atom{kind: 's', key: l.Node.String(), set: set, positive: positive})
	case *ast.BinaryNode:
		if list.Operator == ".." && l.typ().Kind == intKind {
			low, high := Term{list.Left, r.Checker}, Term{list.Right, r.Checker}
			if positive {
				return Both(p.AtMost(low, l, false), p.AtMost(l, high, false))
			}
			return Either(p.AtMost(l, low, true), p.AtMost(high, l, true))
		}
	}
	return claim(atom{kind: 'b', key: l.Node.String() + " in " + r.Node.String(), positive: positive})
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
	var only []string
	finite := false
	for _, a := range claims {
		if a.kind == 's' && a.positive {
			p.Steps -= len(a.set) / 4
			if !finite {
				only, finite = slices.Clone(a.set), true
			} else {
				only = slices.DeleteFunc(only, func(v string) bool { return !slices.Contains(a.set, v) })
			}
		}
	}
	if finite {
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
		if a.op == b.op && a.op == "startsWith" {
			return !strings.HasPrefix(a.text, b.text) && !strings.HasPrefix(b.text, a.text)
		}
		return a.op == b.op && a.op == "endsWith" && !strings.HasSuffix(a.text, b.text) && !strings.HasSuffix(b.text, a.text)
	case a.positive:
		return (a.op == b.op || b.op == "contains") && holdsPart(b.op, a.text, b.text)
	case b.positive:
		return excludes(b, a)
	}
	return false
}

// apart reports whether a is an upper bound below the lower bound b.
func apart(a, b *atom) bool {
	if a.op[0] != '<' || b.op[0] != '>' {
		return false
	}
	return a.text < b.text || a.text == b.text && (a.op == "<" || b.op == ">")
}
