package lang

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

// How a time may be seen, besides in a zone with a name.
const (
	ownZone     = "its own offset"
	unknownZone = ""
)

// seenIn returns the zone in which a time is seen.
func seenIn(t Term, depth int) string {
	t = t.Expand()
	if depth > 50 {
		return unknownZone
	}
	of := func(n ast.Node) string { return seenIn(Term{n, t.Checker}, depth+1) }
	switch n := t.Node.(type) {
	case *ast.BinaryNode:
		if n.Operator == "??" {
			return same(of(n.Left), of(n.Right))
		}
		if t.Checker.Types[n.Left].Type.Kind == DurationKind {
			return of(n.Right)
		}
		return of(n.Left)
	case *ast.ConditionalNode:
		return same(of(n.Exp1), of(n.Exp2))
	}
	name, args := CallOf(t.Node)
	switch {
	case name == "tz" && len(args) == 2:
		return namedZone(Term{args[1], t.Checker})
	case len(args) > 0 && functions[name] != nil && functions[name].keepsZone:
		zone := of(args[0])
		for _, a := range args[1:] {
			if t.Checker.Types[a].Type.Kind == TimeKind {
				zone = same(zone, of(a))
			}
		}
		return zone
	case t.Checker.Zone != "":
		return ruleZone(t.Checker)
	case name == "now":
		return ruleZone(t.Checker)
	case name == "date":
		return unknownZone
	}
	return ownZone
}

func same(a, b string) string {
	if a == b {
		return a
	}
	return unknownZone
}

// namedZone returns the zone that an argument names.
func namedZone(t Term) string {
	t = t.Expand()
	if name, args := CallOf(t.Node); name == "timezone" && len(args) == 1 {
		t.Node = args[0]
		t = t.Expand()
	}
	if s, ok := t.Node.(*ast.StringNode); ok {
		return s.Value
	}
	return "the zone " + t.Node.String()
}

// ruleZone returns the zone in which a rule reads texts, and sees times if it has a zone.
func ruleZone(c *Checker) string {
	if c.Naive == nil {
		return "the " + c.Zone + "'s time zone"
	}
	return c.Naive.String()
}

func isUTC(zone string) bool {
	return slices.Contains([]string{"UTC", "Etc/UTC", "Etc/UCT", "UCT", "Zulu", "Universal", "Etc/Zulu", "Etc/Universal"}, zone) || zone == "GMT" || zone == "Etc/GMT"
}

// changes reports whether the clocks of a zone change. A nil zone is unknown.
func changes(zone *time.Location) bool {
	if zone == nil {
		return true
	}
	_, end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).In(zone).ZoneBounds()
	return !end.IsZero()
}

// printing looks for the first time that is printed into a text without its offset.
type printing struct {
	c      *Checker
	call   ast.Node
	found  ast.Node // the time
	zone   string   // the zone in which it is printed
	layout string
	offset bool // the text contains an offset
	depth  int  // nesting of named values
}

func (f *printing) in(t Term) {
	if t.Node == nil || f.depth > 20 {
		return
	}
	outer := f.c
	f.c = t.Checker
	f.walk(t.Node)
	if f.found == nil {
		f.c = outer
	}
}

// walk looks at the parts of a node before the node.
func (f *printing) walk(n ast.Node) {
	for _, k := range children(n) {
		if k != nil {
			f.walk(k)
		}
	}
	f.look(n)
}

var offsetPart = regexp.MustCompile(`(?:[0-9]|^)(?:Z|[+-][0-9]{2}:?[0-9]{2})$`)

func (f *printing) look(node ast.Node) {
	switch n := node.(type) {
	case *ast.StringNode:
		f.offset = f.offset || offsetPart.MatchString(n.Value) && strings.ContainsAny(n.Value, "Z:")
		return
	case *ast.IdentifierNode:
		if l := f.c.let(n.Value); f.found == nil && l != nil {
			f.depth++
			f.in(l.Term)
			f.depth--
		}
		return
	}
	name, args := CallOf(node)
	if f.found != nil || name != "date" || len(args) < 2 || f.c.Types[args[0]].Type.Kind != TimeKind {
		return
	}
	layout, ok := args[1].(*ast.StringNode)
	if ok && strings.Contains(layout.Value, "07") {
		return
	}
	f.call, f.found, f.zone = node, args[0], seenIn(Term{args[0], f.c}, 0)
	if ok {
		f.layout = layout.Value
	}
}
