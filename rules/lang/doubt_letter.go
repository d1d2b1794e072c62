package lang

import (
	"regexp"

	"github.com/expr-lang/expr/ast"
)

// letterZ warns about a Z in a layout that is printed or read as a letter.
var letterZ = doubt{
	code:    "time-zone",
	example: `date(tz(appointment.startTime, "Europe/Paris"), "2006-01-02T15:04:05Z")`,
	look: func(c *Checker, n ast.Node) bool {
		name, args := CallOf(n)
		layout := writtenText(args, 1)
		if name != "date" || layout == nil || !bareZ.MatchString(layout.Value) {
			return false
		}
		if c.Types[args[0]].Type.Kind != TimeKind {
			if zone := ruleZone(c); len(args) == 2 && !isUTC(zone) {
				s := quoteLike(c.Source(layout), bareZ.ReplaceAllString(layout.Value, "${1}Z07:00"))
				c.WarnAt(layout, "time-zone", s, "this Z is only a letter, and the text is read as a time in %s; an offset, Z too, is read with %s", zone, s)
			}
			return false
		}
		if zone := seenIn(Term{args[0], c}, 0); zone != unknownZone && !isUTC(zone) {
			of := args[0]
			if name, inner := CallOf(of); name == "tz" && len(inner) == 2 {
				of = inner[0]
			}
			s := "tz(" + c.Source(of) + ", " + quoteLike(c.Source(layout), "UTC") + ")"
			c.WarnAt(args[0], "time-zone", s, "the Z at the end of the layout means UTC, but this prints the time in %s; print %s", zone, s)
		}
		return false
	},
}

// bareZ finds a Z after digits that is not part of Z07:00 or another layout of an offset.
var bareZ = regexp.MustCompile(`([0-9])Z$`)
