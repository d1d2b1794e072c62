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
		same.months, same.shortMonths = append(same.months, time.Month(i+1).String()), append(same.shortMonths, time.Month(i + 1).String()[:3])
	}
	for i := range 7 {
		same.days, same.shortDays = append(same.days, time.Weekday(i).String()), append(same.shortDays, time.Weekday(i).String()[:3])
	}
	for _, name := range Languages() {
		l := FindLanguage(name)
		if l == nil {
			continue
		}
		for i, list := range [][]string{l.months, l.shortMonths, l.days, l.shortDays} {
			seen := map[string]bool{}
			if len(list) != []int{12, 12, 7, 7}[i] {
				f.Errorf("%s: %d words", name, len(list))
			}
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
