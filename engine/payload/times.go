package payload

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tidwall/gjson"

	"bellhop/rules/lang"
)

// zone returns the named time zone, or the configured one if the name is empty or unknown. ok is false if the name is
// unknown.
func (n *Normaliser) zone(name string) (_ *time.Location, ok bool) {
	fallback := n.Zone
	if fallback == nil {
		fallback = time.UTC
	}
	if name = strings.TrimSpace(name); name == "" {
		return fallback, true
	}
	// "Local" would be the machine's zone.
	if len(name) > 64 || strings.EqualFold(name, "local") {
		return fallback, false
	}
	if z, ok := n.zones.Load(name); ok {
		return z.(*time.Location), true
	}
	z, ok := lang.FindZone(name)
	if !ok {
		return fallback, false
	}
	if n.kept.Add(1) < 5000 { // the cache is limited, because one zone can be written in many ways
		n.zones.Store(name, z)
	}
	return z, true
}

// time reads a time in any of the forms that the platform and its white labels write. ok is false if there is no time
// or if it cannot be read. In the second case, problem is the text that cannot be read.
func (n *Normaliser) time(v gjson.Result, zone *time.Location) (t time.Time, ok bool, problem string) {
	if whole := v; v.IsObject() { // a calendar API's {dateTime, timeZone}
		name := cmp.Or(text(v.Get("timeZone")), text(v.Get("timezone")))
		own, known := n.zone(name)
		switch {
		case !known:
			return time.Time{}, false, v.Raw
		case name != "":
			zone = own
		}
		if v = v.Get("dateTime"); !v.Exists() {
			v = whole.Get("date")
		}
	}
	if written := strings.TrimSpace(text(v)); strings.HasSuffix(written, "]") { // …+01:00[Europe/Paris], RFC 9557
		clock, name, _ := strings.Cut(strings.TrimSuffix(written, "]"), "[")
		own, known := n.zone(strings.TrimPrefix(name, "!"))
		if !known {
			return time.Time{}, false, written
		}
		if t, ok = parseTime(clock, own); ok {
			return t.In(own), true, ""
		}
	}
	if t, ok = readTime(v, zone); ok {
		return t, true, ""
	}
	if v.Type == gjson.Null || v.Type == gjson.String && strings.TrimSpace(v.Str) == "" {
		return time.Time{}, false, ""
	}
	return time.Time{}, false, cmp.Or(text(v), v.Raw)
}

// spelled are the layouts of times that the platform's merge fields print, and similar ones. They are for texts that
// [plainly] has simplified.
var spelled = []string{
	"Monday, January 2, 2006 3:04 PM", "Monday, January 2, 2006 15:04", "Monday, January 2, 2006 3:04:05 PM", "January 2, 2006 3:04 PM", "January 2, 2006 15:04",
	"January 2, 2006 3:04:05 PM", "Monday, 2 January 2006 3:04 PM", "Monday, 2 January 2006 15:04", "2 January 2006 3:04 PM", "2 January 2006 15:04",
	"Mon, Jan 2, 2006 3:04 PM", "Mon, Jan 2, 2006 15:04", "Jan 2, 2006 3:04 PM", "Jan 2, 2006 15:04", "Mon, 2 Jan 2006 3:04 PM", "Mon, 2 Jan 2006 15:04",
	"Mon, 2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 GMT", "2 Jan 2006 3:04 PM", "2 Jan 2006 15:04", "2006-01-02 3:04 PM", "2006-01-02 3:04:05 PM",
}

// dates are further layouts, without a time of day.
var dates = []string{
	"Monday, January 2, 2006", "January 2, 2006", "Monday, 2 January 2006", "2 January 2006", "Jan 2, 2006", "2 Jan 2006",
}

var (
	ordinal  = regexp.MustCompile(`\b(\d{1,2})(?:ST|ND|RD|TH)\b`)
	meridiem = regexp.MustCompile(`(\d) ?([AP])\.?M\.?$`)
)

// plainly simplifies a spelled-out time: capitals, single spaces, no "at", 9 for 9th, PM for p.m.
func plainly(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToUpper(s), unicode.IsSpace), " ")
	s = strings.ReplaceAll(strings.ReplaceAll(s, " AT ", " "), " - ", " ")
	return meridiem.ReplaceAllString(ordinal.ReplaceAllString(s, "$1"), "$1 ${2}M")
}

// spelledTime reads a time that is written for people. A text without an offset is read in zone.
func spelledTime(s string, zone *time.Location) (time.Time, bool) {
	if len(s) > 64 || !strings.ContainsFunc(s, unicode.IsLetter) {
		return time.Time{}, false
	}
	s = plainly(s)
	for _, layout := range slices.Concat(spelled, dates) {
		t, err := time.Parse(layout, s)
		switch {
		case err != nil:
		case strings.HasSuffix(layout, "-0700"):
			_, offset := t.Zone()
			return t.In(lang.OffsetZone(offset / 60)), true
		case strings.HasSuffix(layout, "GMT"):
			return t.UTC(), true
		default:
			return lang.Clock(t, zone), true
		}
	}
	return time.Time{}, false
}

// isDate reports whether the value of a time is a date without a time of day.
func isDate(v gjson.Result) bool {
	if v.IsObject() {
		if v.Get("dateTime").Exists() {
			return false
		}
		v = v.Get("date")
	}
	if v.Type != gjson.String {
		return false
	}
	s, _, _ := strings.Cut(strings.TrimSpace(text(v)), "[")
	if len(s) > 10 && s[4] == '-' && s[7] == '-' && (s[10] == 'T' || s[10] == ' ') {
		return false // the usual case, which none of the layouts below has
	}
	if _, err := time.Parse(time.DateOnly, s); err == nil {
		return true
	}
	s = plainly(s)
	return slices.ContainsFunc(dates, func(layout string) bool {
		_, err := time.Parse(layout, s)
		return err == nil
	})
}

// readTime reads a number of seconds or milliseconds, or a text. A text without an offset is read in zone.
func readTime(v gjson.Result, zone *time.Location) (time.Time, bool) {
	switch v.Type {
	case gjson.Number:
		return epoch(v.Num)
	case gjson.String:
		s := strings.TrimSpace(text(v))
		if len(s) == 10 || len(s) == 13 { // seconds have 10 digits now, and milliseconds have 13
			if f, err := strconv.ParseUint(s, 10, 63); err == nil {
				return epoch(float64(f))
			}
		}
		if t, ok := parseTime(s, zone); ok {
			return t, true
		}
		return spelledTime(s, zone)
	}
	return time.Time{}, false
}

// epoch reads seconds since 1970, or milliseconds if the number is too large for seconds. It returns false for zero and
// for numbers that are negative or too large.
func epoch(f float64) (time.Time, bool) {
	switch {
	case f <= 0 || math.IsNaN(f):
		return time.Time{}, false
	case f < 1e11: // until the year 5138
		whole, part := math.Modf(f)
		return time.Unix(int64(whole), int64(math.Round(part*1e3))*1e6).UTC(), true
	case f < 1e14:
		return time.UnixMilli(int64(f)).UTC(), true
	}
	return time.Time{}, false
}

var basicTime = regexp.MustCompile(`^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)?(Z|[+-]\d\d(?:\d\d)?)?$`)

// parseTime reads 2006-01-02[T ]15:04[:05[.999]][ ][Z|±07:00|±0700|±07] and the form of [basicTime]. The hour can have
// one digit. A time without an offset is read in zone. A date alone is the first moment of that day in zone.
//
// With time.Parse, this would need a dozen layouts. time.Parse also returns a time in the machine's zone if the offset
// happens to be the same, which parseTime never does.
func parseTime(s string, zone *time.Location) (time.Time, bool) {
	if len(s) > 8 && s[8] == 'T' {
		if m := basicTime.FindStringSubmatch(s); m != nil { // 20261201T090000Z
			s = m[1] + "-" + m[2] + "-" + m[3] + "T" + m[4] + ":" + m[5] + ":" + cmp.Or(m[6], "00") + m[7]
		}
	}
	p := timeParser{rest: s}
	year := p.digits(4)
	p.skip('-')
	month := p.digits(2)
	p.skip('-')
	day := p.digits(2)
	var hour, minute, second, nano int
	if p.rest != "" {
		if !p.accept('T') && !p.accept('t') {
			p.skip(' ')
		}
		if len(p.rest) > 1 && p.rest[1] == ':' {
			hour = p.digits(1)
		} else {
			hour = p.digits(2)
		}
		p.skip(':')
		minute = p.digits(2)
		if p.accept(':') {
			second = p.digits(2)
			if p.accept('.') || p.accept(',') {
				nano = p.fraction()
			}
		}
		p.accept(' ')
		zone = p.offset(zone)
	}
	if p.bad || p.rest != "" || month < 1 || month > 12 || day < 1 || year < 1 ||
		hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	if second == 60 { // a leap second, which time.Time cannot represent
		second, nano = 59, 999_999_999
	}
	t := lang.Clock(time.Date(year, time.Month(month), day, hour, minute, second, nano, time.UTC), zone)
	if t.IsZero() || (day > 28 && time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Day() != day) {
		return time.Time{}, false // 30 February
	}
	return t, true
}

// A timeParser reads a text from its start.
type timeParser struct {
	rest string // what is not read yet
	bad  bool   // the text is not a time
}

// digits reads a number of exactly n digits.
func (p *timeParser) digits(n int) int {
	if len(p.rest) < n {
		p.bad = true
		return 0
	}
	value := 0
	for i := range n {
		c := p.rest[i]
		if c < '0' || c > '9' {
			p.bad = true
			return 0
		}
		value = value*10 + int(c-'0')
	}
	p.rest = p.rest[n:]
	return value
}

// accept reads c if it comes next, and reports whether it did.
func (p *timeParser) accept(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// skip reads c, which must come next.
func (p *timeParser) skip(c byte) {
	if !p.accept(c) {
		p.bad = true
	}
}

// fraction reads the digits after the point, as nanoseconds. It ignores digits after the ninth.
func (p *timeParser) fraction() int {
	digits := p.rest[:len(p.rest)-len(strings.TrimLeft(p.rest, "0123456789"))]
	p.rest = p.rest[len(digits):]
	p.bad = p.bad || digits == ""
	nano, _ := strconv.Atoi((digits + "000000000")[:9]) // they are digits
	return nano
}

// offset reads the offset after the clock time. It returns naive if there is none.
func (p *timeParser) offset(naive *time.Location) *time.Location {
	if p.rest == "" {
		return naive
	}
	if p.accept('Z') || p.accept('z') {
		return time.UTC
	}
	sign := 1
	if p.accept('-') {
		sign = -1
	} else {
		p.skip('+')
	}
	hours, minutes := p.digits(2), 0
	if p.accept(':') || p.rest != "" {
		minutes = p.digits(2)
	}
	if hours > 23 || minutes > 59 {
		p.bad = true
	}
	if p.bad || hours+minutes == 0 {
		return time.UTC
	}
	return lang.OffsetZone(sign * (hours*60 + minutes))
}
