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
	t = t.Expand()
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
			s, ok := Term{args[0], t.Checker}.text()
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
	out := linear{Extra: l.Extra * k, whole: l.whole && k == math.Trunc(k), limits: l.limits, Factors: map[string]float64{}}
	for key, v := range l.Factors {
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
	keys := text.SortedKeys(d.Factors)
	at := atom{kind: 'd', bound: -d.Extra, strict: strict, whole: d.whole}
	if len(keys) == 0 {
		return constantly(0 < at.bound || 0 == at.bound && !strict)
	}
	scale := d.Factors[keys[0]]
	at.key, at.bound = keys[0], at.bound/math.Abs(scale)
	switch {
	case len(keys) == 2 && math.Abs(scale) == 1 && d.Factors[keys[1]] == -scale:
		at.other = keys[1]
	case len(keys) > 1: // the sum, divided by its first factor, is treated as a value of its own
		var b strings.Builder
		for _, k := range keys {
			fmt.Fprintf(&b, "%+g*(%s) ", d.Factors[k]/scale, k)
		}
		at.key, at.whole = b.String(), false
	}
	if scale < 0 {
		at.key, at.other = at.other, at.key
	}
	switch { // a strict bound between whole numbers is turned into one that is not
	case at.whole && strict:
		at.bound, at.strict = math.Ceil(at.bound)-1, false
	case at.whole:
		at.bound = math.Floor(at.bound)
	}
	kids := []*Formula{claim(at)}
	for _, l := range d.limits {
		kids = append(kids, claim(l))
	}
	return Both(kids...)
}

// closes reports whether the claims about differences can hold together: no cycle through them has a negative sum.
func closes(known []*atom) bool {
	const most = 16 // values
	type bound struct {
		w      float64
		strict bool
	}
	less := func(a, b bound) bool { return a.w < b.w || a.w == b.w && a.strict && !b.strict }
	var d [most][most]bound
	for i := range d {
		for j := range d[i] {
			d[i][j].w = math.Inf(1)
		}
	}
	names := map[string]int{"": 0} // zero
	index := func(k string) int {
		if _, ok := names[k]; !ok {
			names[k] = len(names)
		}
		return names[k]
	}
	for _, a := range known {
		if a.kind != 'd' {
			continue
		}
		i, j := index(a.key), index(a.other)
		if len(names) > most {
			return true
		}
		if e := (bound{a.bound, a.strict}); less(e, d[i][j]) {
			d[i][j] = e
		}
	}
	n := len(names)
	for k := range n {
		for i := range n {
			for j := range n {
				a, b := d[i][k], d[k][j]
				if sum := (bound{a.w + b.w, a.strict || b.strict}); less(sum, d[i][j]) {
					d[i][j] = sum
				}
			}
		}
	}
	for i := range n {
		if less(d[i][i], bound{}) {
			return false
		}
	}
	return true
}
