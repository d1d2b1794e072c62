package lang

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Days are days of the calendar: of one year, or of every year. They are immutable.
type Days map[string]bool

var dayForms = regexp.MustCompile(`^(?:\d{4}-)?\d\d-\d\d$`)

// With returns the days and one more: 2026-12-25, or 12-25 for every year. An error says what is wrong; suggestion is then
// what was meant, or "".
func (d Days) With(text string) (_ Days, suggestion string, err error) {
	day, layout := text, time.DateOnly
	if len(text) == len("12-25") {
		day = "2000-" + text // a leap year
	}
	if _, err := time.Parse(layout, day); err != nil || !dayForms.MatchString(text) {
		wrong := fmt.Errorf("a closed day is written like 2026-12-25, or 12-25 for every year; %q is not", text)
		for _, other := range []string{"2006-1-2", "2.1.2006", "2006/1/2", "1/2/2006", "2/1/2006", "January 2, 2006", "2 January 2006", "2 Jan 2006", "Jan 2, 2006", time.RFC3339} {
			switch t, err := time.Parse(other, text); {
			case err != nil:
			case suggestion != "" && suggestion != t.Format(layout): // 1/2/2026 can be either
				return nil, "", wrong
			default:
				suggestion = t.Format(layout)
			}
		}
		return nil, suggestion, wrong
	}
	more := maps.Clone(d)
	if more == nil {
		more = Days{}
	}
	more[text] = true
	return more, "", nil
}

// Has reports whether the date of t, by its own clock, is one of the days.
func (d Days) Has(t time.Time) bool {
	return len(d) > 0 && (d[t.Format(time.DateOnly)] || d[t.Format("01-02")])
}

// String returns the days in order.
func (d Days) String() string { return strings.Join(slices.Sorted(maps.Keys(d)), " ") }
