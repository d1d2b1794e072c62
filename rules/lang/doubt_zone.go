package lang

import (
	"github.com/expr-lang/expr/ast"
)

// otherZone warns about a text that is read as a time although it holds a time that was printed in another zone
// without its offset. If the zone is the same, it warns about a day that was found by adding 24 hours.
var otherZone = doubt{
	code:    "time-zone",
	example: `date(date(tz(appointment.startTime, "Asia/Tokyo"), "2006-01-02") + " 09:00")`,
	look: func(d *doubter, n ast.Node) bool {
		if name, args := CallOf(n); name == "date" && len(args) > 0 && d.c.Types[args[0]].Type.Kind != TimeKind {
			d.reread(n, args)
		}
		return false
	},
}

func (d *doubter) reread(n ast.Node, args []ast.Node) {
	c := d.c
	reads := ruleZone(c)
	if layout := writtenText(args, 1); len(args) == 2 && layout != nil && bareZ.MatchString(layout.Value) && !isUTC(reads) {
		return // reported by letterZ
	}
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

// DoubtClock warns if an `at` uses a time of the day but the rule does not say in which zone.
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
