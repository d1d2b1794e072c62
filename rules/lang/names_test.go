package lang

import (
	"testing"
	"time"
)

// No name is missing or occurs twice, and everything that is not a name prints as in English.
func FuzzLanguage(f *testing.F) {
	for _, layout := range []string{"", "Monday, 2. January 2006", "Mon Jan _2 15:04:05.000 MST", "Money 2 Janus", "MonJan02Monday", "Jan", "3:04PM -07:00"} {
		f.Add(layout, int64(1772636645))
	}
	same := &Language{}
	for i := range 12 {
		same.months[i], same.shortMonths[i] = time.Month(i+1).String(), time.Month(i + 1).String()[:3]
	}
	for i := range 7 {
		same.days[i], same.shortDays[i] = time.Weekday(i).String(), time.Weekday(i).String()[:3]
	}
	for name, l := range languages {
		if l == nil {
			continue
		}
		for _, list := range [][]string{l.months[:], l.shortMonths[:], l.days[:], l.shortDays[:]} {
			seen := map[string]bool{}
			for _, word := range list {
				if word == "" || seen[word] {
					f.Errorf("%s: %q", name, word)
				}
				seen[word] = true
			}
		}
	}
	f.Fuzz(func(t *testing.T, layout string, seconds int64) {
		at := time.Unix(seconds%253402300799, 0).UTC()
		if got, want := same.format(at, layout), at.Format(layout); got != want {
			t.Errorf("%q prints %q, not %q", layout, got, want)
		}
	})
}
