package lang

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"bellhop/rules/text"
)

func (c *Checker) call(n *ast.CallNode) checked {
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		if !c.hidden(callee.Value) {
			return c.function(n, callee.Value, n.Arguments)
		}
	case *ast.MemberNode:
		return c.method(n, callee)
	}
	c.all(n.Arguments)
	return c.FailAt(n.Callee, "function", "", "%s is not a function", text.Quote(c.Source(n.Callee)))
}

func (c *Checker) function(n ast.Node, name string, args []ast.Node) checked {
	f := functions[name]
	if f == nil || f.isPredicate() {
		c.all(args)
		at := c.piece.span(n.Location().From, n.Location().From+utf8.RuneCountInString(name))
		if c.Env.Has(name) {
			return c.fail("function", at, "", "%s is a value, not a function", name)
		}
		if m := addMethod.FindStringSubmatch(name); m != nil && len(args) == 2 {
			if s, ok := c.moved(c.Source(args[0]), m, args[1]); ok {
				return c.FailAt(n, "unknown-function", s, "there is no function %s; write %s", text.Quote(name), s)
			}
		}
		if unit := durationUnit(name); unit != "" && len(args) == 1 {
			if i, ok := args[0].(*ast.IntegerNode); ok {
				s := fmt.Sprintf(`duration("%d%s")`, i.Value, unit)
				return c.FailAt(n, "unknown-function", s, "there is no function %s; write %s", text.Quote(name), s)
			}
		}
		suggestion := functionAliases[name]
		if suggestion == "" {
			suggestion = text.Closest(name, append(text.SortedKeys(functions), text.SortedKeys(functionAliases)...))
			if meant, ok := functionAliases[suggestion]; ok {
				suggestion = meant
			}
		}
		return c.fail("unknown-function", at, suggestion, "there is no function %s%s", text.Quote(name), text.DidYouMean(suggestion))
	}
	out := make([]ast.Node, len(args))
	types := make([]Type, len(args))
	for i, a := range args {
		if name == "date" && i == 2 && types[0].Kind == TimeKind {
			zone := c.Source(a)
			if _, ok := LoadZone(zone); ok {
				zone = `"` + zone + `"`
			}
			s := "date(tz(" + c.Source(args[0]) + ", " + zone + "), " + c.Source(args[1]) + ")"
			return c.FailAt(n, "arguments", s, "the zone that a time is printed in is that of the time: write %s", s)
		}
		if i == f.zone-1 && c.bareZone(a) {
			return checked{n, Bad}
		}
		v := c.visit(a)
		out[i], types[i] = v.node, v.Type
		if v.Type.Kind == BadKind {
			c.all(args[i+1:])
			return checked{n, Bad}
		}
	}
	result := c.arguments(n, f, args, types)
	if result.Kind == BadKind || f.constant != nil && !f.constant(c, args) {
		return checked{n, Bad}
	}
	if (name == "first" || name == "last") && !c.elementAt(args[0], &ast.IntegerNode{}, types[0]).missing {
		result = result.sure()
	}
	return checked{call(n, name, out...), result}
}

// bareZone reports the name of a time zone without quotes as an argument.
func (c *Checker) bareZone(arg ast.Node) bool {
	written := c.Source(arg)
	if !zoneName.MatchString(written) {
		return false
	}
	if id, ok := arg.(*ast.IdentifierNode); ok && c.known(id.Value) {
		return false
	}
	zone := written
	if _, ok := LoadZone(written); !ok {
		if !strings.Contains(written, "/") {
			return false
		}
		zone = cmp.Or(ClosestZone(written), written)
	}
	c.FailAt(arg, "quote", `"`+zone+`"`, "the name of a time zone is a text: write \"%s\"", zone)
	return true
}

var zoneName = regexp.MustCompile(`^[A-Za-z]+(?:[/_+-][A-Za-z0-9]+)*$`)

// arguments finds the form of a function that fits the arguments, or reports what does not fit.
func (c *Checker) arguments(n ast.Node, f *function, args []ast.Node, types []Type) Type {
	var results []Type
	var counts []int
	best, more := -1, false
	var nearest form
	for _, form := range f.forms {
		counts = append(counts, len(form.args))
		more = more || form.more
		if !form.takes(len(args)) {
			continue
		}
		fit := 0
		for fit < len(args) && types[fit].fits(form.arg(fit)) {
			fit++
		}
		if fit == len(args) {
			results = append(results, form.of(types))
		} else if fit > best {
			best, nearest = fit, form
		}
	}
	switch {
	case len(results) > 0:
		return joined(results) // if the type of an argument is unknown, several forms may fit
	case best >= 0:
		c.argument(n, f.name, args, types, best, nearest.arg(best))
	case f.name == "date" && len(args) == 1 && types[0].Kind == TimeKind:
		c.FailAt(n, "arguments", "date("+c.Source(args[0])+`, "Mon 2 Jan 15:04")`, `date needs a layout too, such as "Mon 2 Jan 15:04"`)
	default:
		slices.Sort(counts)
		given := cmp.Or(strings.TrimLeft(strconv.Itoa(len(args)), "0"), "none")
		c.FailAt(n, "arguments", "", "%s takes %s; %s given", f.name, countOf(slices.Compact(counts), more), given)
	}
	return Bad
}

// argument reports an argument of the wrong type.
func (c *Checker) argument(n ast.Node, name string, args []ast.Node, types []Type, i int, want Type) {
	at, of := args[i], types[i]
	number, isNumber := at.(*ast.IntegerNode)
	unit := durationUnit(name)
	suggestion := ""
	switch {
	case unit != "" && of.Number():
		if isNumber {
			suggestion = fmt.Sprintf(`duration("%d%s")`, number.Value, unit)
		}
		c.FailAt(n, "type", suggestion, `%s( ) turns a duration into a number; for a duration of so many %[1]s write %s`, name, cmp.Or(suggestion, `duration("2`+unit+`")`))
		return
	case isNumber && name == "duration":
		c.FailAt(at, "duration", fmt.Sprintf(`"%dh"`, number.Value), `duration takes a text with a unit, such as duration("%dh")`, number.Value)
		return
	case isNumber && name == "clock":
		if number.Value >= 0 && number.Value < 24 {
			suggestion = fmt.Sprintf(`"%02d:00"`, number.Value)
		}
		c.FailAt(at, "type", suggestion, `clock needs a time of the day, a text such as "09:00", but this is a number`)
		return
	case want.Kind == intKind && of.Kind == DurationKind && strings.HasPrefix(name, "add"):
		s := c.Source(args[0]) + " + " + c.Source(at)
		c.FailAt(n, "type", s, "%s needs a whole number; to add a duration, write %s", name, s)
		return
	case want.Kind == TimeKind && of.Kind == TextKind:
		suggestion = "date(" + c.Source(at) + ")"
	case want.Kind == TextKind && (of.Number() || of.Kind == TimeKind):
		suggestion = "string(" + c.Source(at) + ")"
	}
	c.FailAt(at, "type", suggestion, "%s needs %s here, but this is %s", name, want.wanted(), of)
}

func plural(one bool, singular, plural string) string {
	if one {
		return singular
	}
	return plural
}

// countOf says how many arguments a function takes: "1 to 3 arguments". With more, the last may be repeated.
func countOf(counts []int, more bool) string {
	first, last := counts[0], counts[len(counts)-1]
	n := fmt.Sprintf("%d to %d", first, last)
	switch {
	case more:
		n, last = fmt.Sprintf("at least %d", first), first
	case last == 0:
		n = "no"
	case first == last:
		n = strconv.Itoa(first)
	case len(counts) == 2 && last == first+1:
		n = fmt.Sprintf("%d or %d", first, last)
	}
	return n + " " + plural(last == 1, "argument", "arguments")
}

// writtenText returns an argument that is a text literal, nil if it is not.
func writtenText(args []ast.Node, i int) *ast.StringNode {
	if i >= len(args) {
		return nil
	}
	s, _ := args[i].(*ast.StringNode)
	return s
}

// literal checks an argument if it is a text literal. ok returns false if it reported a mistake.
func literal(i int, ok func(c *Checker, s *ast.StringNode) bool) func(*Checker, []ast.Node) bool {
	return func(c *Checker, args []ast.Node) bool {
		s := writtenText(args, i)
		return s == nil || ok(c, s)
	}
}

func zoneLiteral(c *Checker, s *ast.StringNode) bool {
	if _, ok := LoadZone(s.Value); !ok {
		suggestion := ClosestZone(s.Value)
		c.FailAt(s, "time-zone", quoteLike(c.Source(s), suggestion), "%s is not a time zone%s", text.Quote(s.Value), text.DidYouMean(suggestion))
		return false
	}
	if place, why := NoSummer(s.Value); why != "" {
		c.WarnAt(s, "time-zone", quoteLike(c.Source(s), place), "%s", why)
	}
	return true
}

func durationLiteral(c *Checker, s *ast.StringNode) bool {
	_, err := parseDuration(s.Value)
	if err != nil {
		c.FailAt(s, "duration", quoteLike(c.Source(s), nearDuration(err)), "%s", err)
	}
	return err == nil
}

// dateLiterals checks the layout of date, its zone, and a text that it reads without a layout.
func dateLiterals(c *Checker, args []ast.Node) bool {
	return literal(1, (*Checker).layout)(c, args) && literal(2, zoneLiteral)(c, args) && (len(args) > 1 || literal(0, dateLiteral)(c, args))
}

func dateLiteral(c *Checker, s *ast.StringNode) bool {
	switch t, err := ParseDate(time.UTC, s.Value, nil); {
	case err != nil:
		c.FailAt(s, "date", "", `%s cannot be read as a date; write it as "2026-01-31" or "2026-01-31 15:04:05"`, text.Quote(s.Value))
		return false
	case t.Year() == 0:
		c.FailAt(s, "date", "", `%s has no day; compare times of the day as texts, as in timeOfDay(appointment.startTime) < "12:00"`, text.Quote(s.Value))
		return false
	}
	return true
}

func clockLiteral(c *Checker, s *ast.StringNode) bool {
	_, _, ok := timeOfDay(s.Value)
	if !ok {
		suggestion, _ := ClockTime(strings.TrimSpace(s.Value))
		c.FailAt(s, "time-of-day", quoteLike(c.Source(s), suggestion), `%s is not a time of the day; write %s`, text.Quote(s.Value), text.Quote(cmp.Or(suggestion, "09:00")))
	}
	return ok
}

func orderLiteral(c *Checker, s *ast.StringNode) bool {
	ok := s.Value == "asc" || s.Value == "desc"
	if !ok {
		c.FailAt(s, "arguments", quoteLike(c.Source(s), "desc"), `the order is "asc" or "desc"`)
	}
	return ok
}

// quoteLike puts a suggestion into the same quotes as the text it replaces.
func quoteLike(original, suggestion string) string {
	if suggestion == "" || original == "" {
		return ""
	}
	q := original[:1]
	if q != "'" && q != "`" {
		q = `"`
	}
	return q + suggestion + q
}
