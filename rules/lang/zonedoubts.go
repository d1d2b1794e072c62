package lang

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

// What is doubtful about zones: a Z that is printed as a letter, a time that is read in another zone than it was printed
// in, days that are counted as 24 hours.

// The zones in which a time may be seen besides those with a name.
const (
	ownZone     = "its own offset"
	unknownZone = ""
)

// seenIn says in which zone a time is seen.
func seenIn(t Term, depth int) string {
	t = new(Prover).Expand(t)
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

// namedZone is the zone that an argument names.
func namedZone(t Term) string {
	t = new(Prover).Expand(t)
	if name, args := CallOf(t.Node); name == "timezone" && len(args) == 1 {
		t.Node = args[0]
		t = new(Prover).Expand(t)
	}
	if s, ok := t.Node.(*ast.StringNode); ok {
		return s.Value
	}
	return "the zone " + t.Node.String()
}

// ruleZone is the zone in which a rule reads texts, and sees times if it has a zone.
func ruleZone(c *Checker) string {
	if c.Naive == nil {
		return "the " + c.Zone + "'s time zone"
	}
	return c.Naive.String()
}

// zones doubts a call of date.
func (d *doubter) zones(n ast.Node, args []ast.Node) {
	if len(args) == 0 {
		return
	}
	c := d.c
	var layout *ast.StringNode
	if len(args) > 1 {
		layout, _ = args[1].(*ast.StringNode)
	}
	switch c.Types[args[0]].Type.Kind {
	case TimeKind:
		if layout == nil || !letterZ.MatchString(layout.Value) {
			return
		}
		if zone := seenIn(Term{args[0], c}, 0); zone != unknownZone && !isUTC(zone) {
			of := args[0]
			if name, inner := CallOf(of); name == "tz" && len(inner) == 2 {
				of = inner[0]
			}
			s := "tz(" + c.Source(of) + ", " + quoteLike(c.Source(layout), "UTC") + ")"
			c.WarnAt(args[0], "time-zone", s, "the Z at the end of the layout means UTC, but this prints the time in %s; print %s", zone, s)
		}
	case TextKind, AnyKind:
		if layout != nil && letterZ.MatchString(layout.Value) && len(args) == 2 && !isUTC(ruleZone(c)) {
			s := quoteLike(c.Source(layout), letterZ.ReplaceAllString(layout.Value, "${1}Z07:00"))
			c.WarnAt(layout, "time-zone", s, "this Z is only a letter, and the text is read as a time in %s; an offset, Z too, is read with %s", ruleZone(c), s)
			return
		}
		d.reread(n, args)
	}
}

// letterZ finds a Z after digits that is no part of Z07:00 and its like, which print an offset.
var letterZ = regexp.MustCompile(`([0-9])Z$`)

func isUTC(zone string) bool {
	return slices.Contains([]string{"UTC", "Etc/UTC", "Etc/UCT", "UCT", "Zulu", "Universal", "Etc/Zulu", "Etc/Universal"}, zone) || zone == "GMT" || zone == "Etc/GMT"
}

// reread doubts a text that is read as a time, and in which a time was printed without its offset.
func (d *doubter) reread(n ast.Node, args []ast.Node) {
	c := d.c
	reads := ruleZone(c)
	if len(args) > 2 {
		reads = namedZone(Term{args[2], c})
	}
	f := &printing{}
	if f.in(Term{args[0], c}); f.found == nil || f.offset {
		return
	}
	switch {
	case f.zone == unknownZone:
	case f.zone == ownZone:
		if len(args) < 3 {
			c.WarnAt(n, "time-zone", "", "this reads in the configured time zone what was printed in the appointment's own; set timezone: in the rule to say whose")
		}
	case f.zone != reads:
		c.WarnAt(n, "time-zone", "", "this reads in %s what was printed in %s; write a time of the day as clock(%s, \"09:00\")", reads, f.zone, f.c.Source(f.found))
	default:
		d.longDay(n, args, f)
	}
}

var clockPart = regexp.MustCompile(`^[ T]([0-9]{2}:[0-9]{2})(:00)?$`)

// longDay doubts a day that is found by adding 24 hours.
func (d *doubter) longDay(n ast.Node, args []ast.Node, f *printing) {
	sum, ok := f.found.(*ast.BinaryNode)
	if !ok || sum.Operator != "+" && sum.Operator != "-" || f.layout != "2006-01-02" || !changes(d.c.Naive) {
		return
	}
	moment, by := sum.Left, sum.Right
	if f.c.Types[moment].Type.Kind == DurationKind {
		moment, by = by, moment
	}
	name, of := CallOf(by)
	if name != "duration" || len(of) != 1 {
		return
	}
	text, ok := of[0].(*ast.StringNode)
	if !ok {
		return
	}
	amount, err := parseDuration(text.Value)
	days := int(amount / (24 * time.Hour))
	if err != nil || days == 0 || amount%(24*time.Hour) != 0 {
		return
	}
	if sum.Operator == "-" {
		days = -days
	}
	day := fmt.Sprintf("addDays(%s, %d)", f.c.Source(moment), days)
	suggestion, example := "", "clock("+day+`, "09:00")`
	if join, ok := args[0].(*ast.BinaryNode); ok && len(args) == 1 && join.Operator == "+" && join.Left == f.call {
		if clock, ok := join.Right.(*ast.StringNode); ok && clockPart.MatchString(clock.Value) {
			suggestion = "clock(" + day + ", " + quoteLike(d.c.Source(clock), clockPart.FindStringSubmatch(clock.Value)[1]) + ")"
			example = suggestion
		}
	}
	d.c.WarnAt(n, "long-day", suggestion, "a day is not 24 hours when the clocks change, and then this may be another day; write %s", example)
}

// changes says whether the clocks of a zone change; nil is one that is not known.
func changes(zone *time.Location) bool {
	if zone == nil {
		return true
	}
	_, end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).In(zone).ZoneBounds()
	return !end.IsZero()
}

// printing looks for the first time that is printed in a text without its offset.
type printing struct {
	c      *Checker
	call   ast.Node
	found  ast.Node // the time
	zone   string   // in which it is printed
	layout string
	offset bool // the text says an offset otherwise
	depth  int  // of lets in lets
}

func (f *printing) in(t Term) {
	if t.Node == nil || f.depth > 20 {
		return
	}
	outer := f.c
	f.c = t.Checker
	ast.Walk(&t.Node, f)
	if f.found == nil {
		f.c = outer
	}
}

var offsetPart = regexp.MustCompile(`(?:[0-9]|^)(?:Z|[+-][0-9]{2}:?[0-9]{2})$`)

// Visit is called for what is inside a node before it is called for the node.
func (f *printing) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.StringNode:
		f.offset = f.offset || offsetPart.MatchString(n.Value) && strings.ContainsAny(n.Value, "Z:")
		return
	case *ast.IdentifierNode:
		if i := slices.IndexFunc(f.c.Lets, func(l Let) bool { return l.Name == n.Value }); f.found == nil && i >= 0 {
			f.depth++
			f.in(f.c.Lets[i].Term)
			f.depth--
		}
		return
	}
	name, args := CallOf(*node)
	if f.found != nil || name != "date" || len(args) < 2 || f.c.Types[args[0]].Type.Kind != TimeKind {
		return
	}
	layout, ok := args[1].(*ast.StringNode)
	if ok && strings.Contains(layout.Value, "07") {
		return
	}
	f.call, f.found, f.zone = *node, args[0], seenIn(Term{args[0], f.c}, 0)
	if ok {
		f.layout = layout.Value
	}
}

// DoubtClock warns about a time of the day in the `at` of a rule that does not say whose.
func (c *Checker) DoubtClock(at ast.Node) {
	name, args := CallOf(at)
	if (name == "clock" || name == "startOfDay") && len(args) > 0 && seenIn(Term{args[0], c}, 0) == ownZone {
		c.WarnAt(at, "time-zone", "", "this is a time of the day by the appointment's own offset, which may be that of UTC; set timezone: in the rule to say whose")
		return
	}
	for _, k := range children(at) {
		if k != nil {
			c.DoubtClock(k)
		}
	}
}
