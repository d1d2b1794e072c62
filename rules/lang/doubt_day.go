package lang

import (
	"fmt"
	"regexp"
	"time"

	"github.com/expr-lang/expr/ast"
)

var clockPart = regexp.MustCompile(`^[ T]([0-9]{2}:[0-9]{2})(:00)?$`)

// longDay warns about a day that is found by adding 24 hours. printed is the call that prints it, which stands in args.
func (c *Checker) longDay(n ast.Node, args []ast.Node, printed Term) {
	_, parts := CallOf(printed.Node)
	sum, ok := parts[0].(*ast.BinaryNode)
	if layout := writtenText(parts, 1); layout == nil || layout.Value != "2006-01-02" || !ok || sum.Operator != "+" && sum.Operator != "-" || !changes(c.Naive) {
		return
	}
	moment, by := sum.Left, sum.Right
	if printed.Checker.Types[moment].Type.Kind == DurationKind {
		moment, by = by, moment
	}
	name, of := CallOf(by)
	text := writtenText(of, 0)
	if name != "duration" || text == nil {
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
	day := fmt.Sprintf("addDays(%s, %d)", printed.Checker.Source(moment), days)
	suggestion, example := "", "clock("+day+`, "09:00")`
	if join, ok := args[0].(*ast.BinaryNode); ok && len(args) == 1 && join.Operator == "+" && join.Left == printed.Node {
		if clock, ok := join.Right.(*ast.StringNode); ok && clockPart.MatchString(clock.Value) {
			suggestion = "clock(" + day + ", " + quoteLike(c.Source(clock), clockPart.FindStringSubmatch(clock.Value)[1]) + ")"
			example = suggestion
		}
	}
	c.WarnAt(n, "long-day", suggestion, "a day is not 24 hours when the clocks change, and then this may be another day; write %s", example)
}
