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
	call   Term // of date; without a node if there is none
	offset bool // the text contains an offset
}

var offsetPart = regexp.MustCompile(`(?:[0-9]|^)(?:Z|[+-][0-9]{2}:?[0-9]{2})$`)

// look looks at the parts of a node before the node. depth is the nesting of named values.
func (f *printing) look(t Term, depth int) {
	if t.Node == nil || depth > 20 {
		return
	}
	for _, k := range children(t.Node) {
		f.look(Term{k, t.Checker}, depth)
	}
	switch n := t.Node.(type) {
	case *ast.StringNode:
		f.offset = f.offset || offsetPart.MatchString(n.Value) && strings.ContainsAny(n.Value, "Z:")
	case *ast.IdentifierNode:
		if l := t.Checker.let(n.Value); l != nil && f.call.Node == nil {
			f.look(l.Term, depth+1)
		}
	}
	name, args := CallOf(t.Node)
	if f.call.Node != nil || name != "date" || len(args) < 2 || t.Checker.Types[args[0]].Type.Kind != TimeKind {
		return
	}
	if layout := writtenText(args, 1); layout == nil || !strings.Contains(layout.Value, "07") {
		f.call = t
	}
}
