package lang

import (
	"github.com/expr-lang/expr/ast"
)

// otherZone warns about a text that is read as a time although it holds a time that was printed in another zone
// without its offset. If the zone is the same, it warns about a day that was found by adding 24 hours.
var otherZone = doubt{
	code:    "time-zone",
	example: `date(date(tz(appointment.startTime, "Asia/Tokyo"), "2006-01-02") + " 09:00")`,
	look: func(c *Checker, n ast.Node) bool {
		if name, args := CallOf(n); name == "date" && len(args) > 0 && c.Types[args[0]].Type.Kind != TimeKind {
			c.reread(n, args)
		}
		return false
	},
}

func (c *Checker) reread(n ast.Node, args []ast.Node) {
	reads := ruleZone(c)
	if layout := writtenText(args, 1); len(args) == 2 && layout != nil && bareZ.MatchString(layout.Value) && !isUTC(reads) {
		return // reported by letterZ
	}
	if len(args) > 2 {
		reads = namedZone(Term{args[2], c})
	}
	f := &printing{}
	if f.look(Term{args[0], c}, 0); f.call.Node == nil || f.offset {
		return
	}
	_, of := CallOf(f.call.Node)
	switch zone := seenIn(Term{of[0], f.call.Checker}, 0); zone {
	case unknownZone:
	case ownZone:
		if len(args) < 3 {
			c.WarnAt(n, "time-zone", "", "this reads in the configured time zone what was printed in the appointment's own; set timezone: in the rule to say whose")
		}
	case reads:
		c.longDay(n, args, f.call)
	default:
		c.WarnAt(n, "time-zone", "", "this reads in %s what was printed in %s; write a time of the day as clock(%s, \"09:00\")", reads, zone, f.call.Checker.Source(of[0]))
	}
}

// DoubtClock warns if an `at` uses a time of the day but the rule does not say in which zone.
func (c *Checker) DoubtClock(at ast.Node) {
	name, args := CallOf(at)
	if (name == "clock" || name == "startOfDay") && len(args) > 0 && seenIn(Term{args[0], c}, 0) == ownZone {
		c.WarnAt(at, "time-zone", "", "this is a time of the day by the appointment's own offset, which may be that of UTC; set timezone: in the rule to say whose")
		return
	}
	for _, k := range children(at) {
		c.DoubtClock(k)
	}
}
