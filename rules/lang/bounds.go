package lang

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"

	"bellhop/rules/text"
)

// A linear is a sum of values, each with a factor, and a constant. Times and durations are in seconds.
type linear struct {
	Factors map[string]float64
	Extra   float64
	whole   bool   // apart from the constant, it is a whole number
	limits  []atom // what is always true of the values: an hour is at most 23
}

// epoch is the zero of the time scale. It is close to now, so that seconds keep their fractions.
var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func (p *Prover) Sum(t Term) linear {
	t = p.Expand(t)
	switch n := t.Node.(type) {
	case *ast.IntegerNode:
		return linear{Extra: float64(n.Value), whole: true}
	case *ast.FloatNode:
		return linear{Extra: n.Value, whole: true}
	case *ast.UnaryNode:
		if n.Operator == "-" {
			return p.Sum(Term{n.Node, t.Checker}).times(-1)
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "+":
			return p.Sum(Term{n.Left, t.Checker}).plus(p.Sum(Term{n.Right, t.Checker}))
		case "-":
			return p.Sum(Term{n.Left, t.Checker}).plus(p.Sum(Term{n.Right, t.Checker}).times(-1))
		case "*":
			a, b := p.Sum(Term{n.Left, t.Checker}), p.Sum(Term{n.Right, t.Checker})
			if len(a.Factors) == 0 {
				return b.times(a.Extra)
			}
			if len(b.Factors) == 0 {
				return a.times(b.Extra)
			}
		}
	case *ast.CallNode, *ast.BuiltinNode:
		name, args := CallOf(n)
		if name == "tz" && len(args) == 2 { // the same moment
			return p.Sum(Term{args[0], t.Checker})
		}
		if len(args) == 1 {
			s, ok := p.text(Term{args[0], t.Checker})
			if ok && name == "duration" {
				if d, err := parseDuration(s); err == nil {
					return linear{Extra: d.Seconds()}
				}
			}
			if ok && name == "date" {
				if moment, ok := fixedDate(s, t.Checker.Naive); ok {
					return linear{Extra: moment.Sub(epoch).Seconds()}
				}
			}
		}
	}
	key := t.Node.String()
	out := linear{Factors: map[string]float64{key: 1}, whole: t.typ().Kind == intKind}
	if low, high, ok := rangeOf(t.Node); ok {
		out.limits = append(out.limits, atom{kind: 'd', other: key, bound: -low})
		if !math.IsInf(high, 1) {
			out.limits = append(out.limits, atom{kind: 'd', key: key, bound: high})
		}
	}
	return out
}

// fixedDate reads a text as a time. ok is false if the text is no time, or if its zone depends on the event.
func fixedDate(text string, zone *time.Location) (t time.Time, ok bool) {
	t, err := ParseDate(noZone, text, nil)
	if err == nil && t.Location() == noZone && zone != nil {
		return Clock(shown(t), zone), true
	}
	return t, err == nil && t.Location() != noZone
}

func (l linear) times(k float64) linear {
	out := linear{Extra: l.Extra * k, whole: l.whole && k == math.Trunc(k), limits: l.limits}
	for key, v := range l.Factors {
		if out.Factors == nil {
			out.Factors = map[string]float64{}
		}
		out.Factors[key] = v * k
	}
	return out
}

func (l linear) plus(m linear) linear {
	out := linear{Extra: l.Extra + m.Extra, whole: l.whole && m.whole, limits: slices.Concat(l.limits, m.limits), Factors: map[string]float64{}}
	for _, side := range []linear{l, m} {
		for key, v := range side.Factors {
			if out.Factors[key] += v; out.Factors[key] == 0 {
				delete(out.Factors, key)
			}
		}
	}
	return out
}

// AtMost is the formula for: a is at most b, or with strict, less than b.
func (p *Prover) AtMost(a, b Term, strict bool) *Formula {
	d := p.Sum(a).plus(p.Sum(b).times(-1))
	bound := -d.Extra
	keys := text.SortedKeys(d.Factors)
	at := atom{kind: 'd', bound: bound, strict: strict, whole: d.whole}
	switch {
	case len(keys) == 0:
		return constantly(0 < bound || 0 == bound && !strict)
	case len(keys) == 1:
		factor := d.Factors[keys[0]]
		if at.bound = bound / math.Abs(factor); factor > 0 {
			at.key = keys[0]
		} else {
			at.other = keys[0]
		}
	case len(keys) == 2 && d.Factors[keys[0]]*d.Factors[keys[1]] == -1 && math.Abs(d.Factors[keys[0]]) == 1:
		for _, k := range keys {
			if d.Factors[k] > 0 {
				at.key = k
			} else {
				at.other = k
			}
		}
	default: // the sum, divided by its first factor, is treated as a value of its own
		scale := d.Factors[keys[0]]
		var b strings.Builder
		for _, k := range keys {
			fmt.Fprintf(&b, "%+g*(%s) ", d.Factors[k]/scale, k)
		}
		at.bound, at.whole = bound/math.Abs(scale), false
		if at.key = b.String(); scale < 0 {
			at.key, at.other = "", at.key
		}
	}
	if at.whole {
		at = tightened(at)
	}
	kids := []*Formula{claim(at)}
	for _, l := range d.limits {
		kids = append(kids, claim(l))
	}
	return Both(kids...)
}

// tightened turns a strict bound between whole numbers into one that is not strict.
func tightened(a atom) atom {
	if a.strict {
		a.bound, a.strict = math.Ceil(a.bound)-1, false
	} else {
		a.bound = math.Floor(a.bound)
	}
	return a
}

// closes reports whether the claims about differences can hold together: no cycle through them has a negative sum.
func closes(known []*atom) bool {
	type bound struct {
		set    bool
		w      float64
		strict bool
	}
	names := map[string]int{}
	index := func(k string) int {
		if i, ok := names[k]; ok {
			return i
		}
		names[k] = len(names)
		return len(names) - 1
	}
	index("") // zero
	var edges []*atom
	for _, a := range known {
		if a.kind == 'd' {
			index(a.key)
			index(a.other)
			edges = append(edges, a)
		}
	}
	n := len(names)
	if n > 16 {
		return true
	}
	d := make([]bound, n*n)
	less := func(a, b bound) bool {
		return !b.set || a.w < b.w || a.w == b.w && a.strict && !b.strict
	}
	for _, a := range edges {
		e := bound{true, a.bound, a.strict}
		if at := &d[index(a.key)*n+index(a.other)]; less(e, *at) {
			*at = e
		}
	}
	for k := range n {
		for i := range n {
			for j := range n {
				a, b := d[i*n+k], d[k*n+j]
				if !a.set || !b.set {
					continue
				}
				if sum := (bound{true, a.w + b.w, a.strict || b.strict}); less(sum, d[i*n+j]) {
					d[i*n+j] = sum
				}
			}
		}
	}
	for i := range n {
		if b := d[i*n+i]; b.set && (b.w < 0 || b.w == 0 && b.strict) {
			return false
		}
	}
	return true
}
