package lang

import (
	"slices"
	"strings"
	"time"

	"bellhop/actions"
	"bellhop/rules/text"

	"github.com/expr-lang/expr/ast"
)

var timeFunctions = []function{
	{
		name: "now", doc: "The time at which the rule is evaluated.", example: "now()",
		forms: []form{to(Time)}, call: fnNow, aliases: []string{"today"},
	},
	{
		name: "date", doc: "Prints a time. With a text first, reads it as a time.", example: `date(appointment.startTime, "Mon 2 Jan 15:04")`,
		forms: []form{to(Text, Time, Text), to(Time, Text), to(Time, Text, Text), to(Time, Text, Text, Text)}, call: fnDate,
		carries: true, zone: 3, constant: dateLiterals, aliases: []string{"format", "formatDate", "strftime", "dateFormat"},
	},
	{
		name: "duration", doc: "A length of time.", example: `duration("1d12h")`,
		forms: []form{to(durationType, Text)}, call: fnDuration, constant: literal(0, durationLiteral), aliases: []string{"days"},
	},
	{
		name: "tz", doc: "The same moment seen in another time zone than the rule's.", example: `tz(appointment.startTime, "Europe/Paris")`,
		forms: []form{to(Time, Time, Text), to(Time, Time, zoneType)}, call: fnTZ, carries: true, zone: 2, constant: literal(1, zoneLiteral),
	},
	{
		name: "timezone", doc: "A time zone by its name.", example: `timezone("Europe/Paris")`,
		forms: []form{to(zoneType, Text)}, call: fnTimezone, zone: 1, constant: literal(0, zoneLiteral),
	},
	{
		name: "weekday", doc: `The day of the week in the rule's time zone, such as "Monday".`, example: `weekday(appointment.startTime) == "Monday"`,
		forms: []form{to(weekdayType, Time)}, call: fnWeekday, carries: true, aliases: []string{"dayOfWeek", "day"},
	},
	{
		name: "timeOfDay", doc: `The time of the day in the rule's time zone, such as "15:04".`, example: `timeOfDay(appointment.startTime) < "12:00"`,
		forms: []form{to(clockType, Time)}, call: fnTimeOfDay, carries: true,
	},
	{
		name: "addDays", doc: "The same time of the day so many days later, or earlier.", example: "addDays(appointment.startTime, -1)",
		forms: []form{to(Time, Time, intType)}, call: calendar("addDays", moveDays), carries: true, keepsZone: true, newer: true,
	},
	{
		name: "addMonths", doc: "The same day and time so many months later, or earlier; the last day of a month that is shorter.", example: "addMonths(appointment.startTime, 6)",
		forms: []form{to(Time, Time, intType)}, call: calendar("addMonths", moveMonths), carries: true, keepsZone: true, newer: true,
	},
	{
		name: "addWorkdays", doc: "The same time of the day so many working days later, or earlier: Saturdays, Sundays and the closed days of the rule's hours do not count.", example: "addWorkdays(appointment.startTime, -2)",
		forms: []form{to(Time, Time, intType)}, call: calendar("addWorkdays", moveWorkdays), carries: true, keepsZone: true, newer: true,
		aliases: []string{"addBusinessDays", "addWeekdays"},
	},
	{
		name: "clock", doc: "The same day at a time of the day.", example: `clock(appointment.startTime, "09:00")`,
		forms: []form{to(Time, Time, Text)}, call: fnClock, carries: true, keepsZone: true, newer: true, constant: literal(1, clockLiteral), aliases: []string{"setTime", "atTime"},
	},
	{
		name: "startOfDay", doc: "The beginning of the same day.", example: "startOfDay(appointment.startTime)",
		forms: []form{to(Time, Time)}, call: fnStartOfDay, carries: true, keepsZone: true, newer: true, aliases: []string{"midnight", "beginningOfDay"},
	},
	{
		name: "daysBetween", doc: "The number of days from one date to another: 1 if the second is on the day after.", example: "daysBetween(now(), appointment.startTime)",
		forms: []form{to(intType, Time, Time)}, call: fnDaysBetween, carries: true, newer: true, aliases: []string{"dateDiff", "diffDays", "daysUntil"},
	},
	{
		name: "hours", doc: "A duration as a number of hours.", example: "hours(appointment.endTime - appointment.startTime)",
		forms: []form{to(floatType, durationType)}, call: fnAmount(time.Hour), newer: true, aliases: []string{"inHours"},
	},
	{
		name: "minutes", doc: "A duration as a number of minutes.", example: "minutes(appointment.endTime - appointment.startTime)",
		forms: []form{to(floatType, durationType)}, call: fnAmount(time.Minute), newer: true, aliases: []string{"inMinutes"},
	},
}

// A timeMethod is a method of times that rules may use.
type timeMethod struct {
	name, doc string
	low, high float64 // the range of its value; both 0 if unlimited
	part      func(time.Time) int
}

var timeMethods = []timeMethod{
	{"Day", "The day of the month.", 1, 31, func(t time.Time) int { return t.Day() }},
	{"Hour", "The hour: 0 to 23.", 0, 23, func(t time.Time) int { return t.Hour() }},
	{"Minute", "The minute: 0 to 59.", 0, 59, func(t time.Time) int { return t.Minute() }},
	{"Month", "The month: 1 to 12.", 1, 12, func(t time.Time) int { return int(t.Month()) }},
	{"Unix", "The seconds since 1 January 1970 UTC.", 0, 0, func(t time.Time) int { return int(t.Unix()) }},
	{"Year", "The year.", 0, 0, func(t time.Time) int { return t.Year() }},
	{"YearDay", "The day of the year: 1 to 366.", 1, 366, func(t time.Time) int { return t.YearDay() }},
}

// operation returns the name of the operation for the method.
func (m *timeMethod) operation() string { return "$" + m.name }

// run calls the method.
func (m *timeMethod) run(r *Machine, args []any) any {
	t, ok := args[0].(time.Time)
	if !ok {
		panic(Errorf("a time is needed here, but this is %s", Describe(args[0])))
	}
	if t.IsZero() { // a missing time has the year 1 everywhere
		return m.part(t)
	}
	return m.part(r.zoned(t))
}

// findMethod returns the method with a name, nil if there is none.
func findMethod(name string) *timeMethod {
	i := slices.IndexFunc(timeMethods, func(m timeMethod) bool { return m.name == name })
	if i < 0 {
		return nil
	}
	return &timeMethods[i]
}

// timeMethodOf returns the method of a time that a node calls, nil if it calls none.
func timeMethodOf(n ast.Node) *timeMethod {
	if call, ok := n.(*ast.CallNode); ok {
		if m, ok := call.Callee.(*ast.MemberNode); ok {
			if name := writtenText(children(m), 1); name != nil {
				return findMethod(name.Value)
			}
		}
	}
	return nil
}

func methodNames() (names []string) {
	for _, m := range timeMethods {
		names = append(names, m.name)
	}
	return names
}

// TimeMethods returns the methods of times, as in appointment.startTime.Hour().
func TimeMethods() (words []Word) {
	for _, m := range timeMethods {
		words = append(words, Word{Name: m.name, Type: intType.String(), Doc: m.doc, Uses: []string{"time." + m.name + "() → number"}})
	}
	return words
}

func fnNow(r *Machine, _ []any) any {
	r.needZone()
	return r.Now.In(r.Naive)
}

// zoned returns a time as the rule sees it: in the zone given by tz, else in the rule's, else in its own. A whole day
// begins at midnight of that zone.
func (r *Machine) zoned(t time.Time) time.Time {
	if chosen.has(t) {
		return t
	}
	r.needZone()
	return r.Seen(t)
}

// Seen is zoned for what is not an expression: it does not fail, even if the rule's zone is not known yet.
func (r *Machine) Seen(t time.Time) time.Time {
	if r.Zone == nil || chosen.has(t) {
		return t
	}
	return shift(t, r.Zone)
}

func fnDate(r *Machine, args []any) any {
	r.charge(2000, 128)
	if text, ok := args[0].(string); ok {
		r.needZone()
		return must(ParseDate(r.Naive, text, args[1:]))
	}
	t := wantTime("date", args[0])
	if len(args) != 2 {
		panic(Errorf("date needs a layout to print a time, such as date(t, \"2 Jan 2006\")"))
	}
	layout := args[1].(string)
	r.charge(20*len(layout), 2*len(layout))
	return r.Language.format(r.zoned(t), layout)
}

// ParseDate reads a text as a time. zone is used if the text has no offset.
func ParseDate(zone *time.Location, written string, args []any) (t time.Time, err error) {
	if len(written) > 1000 {
		return t, Errorf("%s is not a date", text.Quote(written))
	}
	layouts := []string{
		"2006-01-02", "15:04:05", "2006-01-02 15:04:05", time.RFC3339, time.RFC822, time.RFC850, time.RFC1123,
		"2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04",
	}
	if len(args) > 0 {
		layouts = []string{args[0].(string)}
	}
	if len(args) > 1 {
		if zone, err = zoneNamed(args[1].(string)); err != nil {
			return t, err
		}
	}
	for _, layout := range layouts {
		t, err = time.ParseInLocation(layout, written, noZone)
		switch {
		case err != nil:
		case t.Location() == noZone:
			return Clock(shown(t), zone), nil
		default: // the text has an offset, or an abbreviation that the zone may know
			if t, err = time.ParseInLocation(layout, written, zone); err == nil {
				return t, nil
			}
		}
	}
	return t, Errorf("%s is not a date", text.Quote(written))
}

// noZone marks a time that was read from a text without an offset. No text has this offset.
var noZone = time.FixedZone("", 1)

func fnDuration(r *Machine, args []any) any {
	text := args[0].(string)
	r.charge(200+10*len(text), 0)
	return must(parseDuration(text))
}

// parseDuration also accepts a sign.
func parseDuration(text string) (time.Duration, error) {
	rest, negative := strings.CutPrefix(text, "-")
	d, err := actions.ParseDuration(rest)
	if err != nil {
		return 0, err
	}
	if negative {
		d = -d
	}
	return d, nil
}

func fnTZ(r *Machine, args []any) any {
	t := wantTime("tz", args[0])
	zone, ok := args[1].(*time.Location)
	if !ok {
		zone = fnTimezone(r, args[1:]).(*time.Location)
	}
	return shift(t, chosen.on(zone))
}

func fnTimezone(r *Machine, args []any) any {
	r.charge(20_000, 4096) // a zone is read from a file on first use
	return must(zoneNamed(args[0].(string)))
}

func zoneNamed(name string) (*time.Location, error) {
	zone, ok := FindZone(name)
	if !ok {
		return nil, Errorf("%s is not a time zone", text.Quote(name))
	}
	return zone, nil
}

func fnWeekday(r *Machine, args []any) any {
	return r.zoned(wantTime("weekday", args[0])).Weekday().String()
}

func fnTimeOfDay(r *Machine, args []any) any {
	return r.zoned(wantTime("timeOfDay", args[0])).Format("15:04")
}
