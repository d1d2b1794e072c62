package lang

import (
	"fmt"
	"regexp"
	"time"

	"github.com/expr-lang/expr/ast"
)

var clockPart = regexp.MustCompile(`^[ T]([0-9]{2}:[0-9]{2})(:00)?$`)

// longDay warns about a day that is found by adding 24 hours.
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
