package lang

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The result is the same as counting working days one by one.
func TestWorkdays(t *testing.T) {
	t.Parallel()
	d := rand.New(rand.NewPCG(5, 2))
	for range 2000 {
		from := time.Date(2026, 1, 1+d.IntN(400), 10, 0, 0, 0, time.UTC)
		n := d.IntN(61) - 30
		want, left := from, n
		for left != 0 {
			step := 1
			if left < 0 {
				step = -1
			}
			want = want.AddDate(0, 0, step)
			if want.Weekday() != time.Saturday && want.Weekday() != time.Sunday {
				left -= step
			}
		}
		if got := moveWorkdays(new(Machine), from, n); !got.Equal(want) {
			t.Fatalf("%d working days from %s are %s, not %s", n, from, got, want)
		}
	}
}

// someMoment returns a time close to which clocks often change.
func someMoment(d *rand.Rand, zone *time.Location) time.Time {
	at := time.Date(2013+d.IntN(24), time.Month(1+d.IntN(12)), 1+d.IntN(31), d.IntN(24), d.IntN(4)*15, d.IntN(2)*59, 0, time.UTC).In(zone)
	if d.IntN(2) == 0 {
		return at
	}
	_, end := at.ZoneBounds()
	if end.IsZero() || end.Year() > 2037 {
		return at
	}
	return end.Add(time.Duration(d.IntN(24*4)-48)*15*time.Minute).AddDate(0, 0, d.IntN(5)-2).In(zone)
}

// Clock comes to an end on the last days of leap years that no table of a zone reaches.
func TestClockFarAhead(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"America/Chicago", "Europe/London", "Australia/Sydney", "Africa/Casablanca", "Asia/Kolkata"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for year := 2036; year < 9996; year += 4 {
			for _, day := range []int{30, 31, 32} {
				naive := time.Date(year, 12, day, 12, 0, 0, 0, time.UTC)
				if got := shown(Clock(naive, zone)); !got.Equal(naive) {
					t.Fatalf("%s in %s shows %s", naive, name, got)
				}
			}
		}
	}
}

// At the moment that Clock returns, the zone's clocks show what was asked for, for the first time; in an hour that is
// left out, the moment is later by the length of the gap.
func TestClock(t *testing.T) {
	t.Parallel()
	d := rand.New(rand.NewPCG(3, 2))
	names := Zones()
	once, twice, gaps := 0, 0, 0
	for range 10_000 {
		zone, ok := LoadZone(names[d.IntN(len(names))])
		if !ok {
			t.Fatal("no such zone")
		}
		naive := shown(someMoment(d, zone))
		if at := someMoment(d, zone); d.IntN(2) == 0 { // a time that the clocks show around a change, or leave out
			if _, end := at.ZoneBounds(); !end.IsZero() && end.Year() < 2040 {
				naive = shown(end.Add(-time.Second)).Add(time.Duration(d.IntN(300)-120) * time.Minute)
			}
		}
		if d.IntN(10) == 0 { // when zones were moved, and whole days were left out
			naive = naive.AddDate(-d.IntN(50), 0, 0)
		}
		got := Clock(naive, zone)
		var all []time.Time
		for k := -30 * 12; k <= 30*12; k++ { // every offset in use around then
			_, offset := naive.Add(time.Duration(k) * 5 * time.Minute).In(zone).Zone()
			at := naive.Add(-time.Duration(offset) * time.Second).In(zone)
			if shown(at).Equal(naive) && !slices.ContainsFunc(all, at.Equal) {
				all = append(all, at)
			}
		}
		slices.SortFunc(all, time.Time.Compare)
		switch {
		case len(all) > 0:
			if !got.Equal(all[0]) {
				t.Fatalf("%s in %s is %s, not %s", naive, zone, got, all[0])
			}
			if len(all) == 1 {
				once++
				y, m, day := naive.Date()
				if std := time.Date(y, m, day, naive.Hour(), naive.Minute(), naive.Second(), 0, zone); !got.Equal(std) {
					t.Fatalf("%s in %s is %s, not %s", naive, zone, got, std)
				}
			} else {
				twice++
			}
		default:
			gaps++
			change, _ := got.ZoneBounds()
			last := shown(change.Add(-time.Second)).Add(time.Second)
			gap := shown(change).Sub(last)
			if naive.Before(last) || !naive.Before(shown(change)) || shown(got).Sub(naive) != gap {
				t.Fatalf("%s in %s is %s, over a gap of %s from %s", naive, zone, got, gap, last)
			}
		}
	}
	t.Log(once, twice, gaps)
	if once < 5_000 || twice < 100 || gaps < 100 {
		t.Errorf("too few of a kind: %d once, %d twice, %d in gaps", once, twice, gaps)
	}
}

// The same zone is always the same value, however its name is written, so the number of zones kept is limited.
func TestFindZone(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"Europe/Paris", "europe/paris", "EUROPE/PARIS", "Europe/paris"}, {"America/New_York", "america/new york", "America/new_york"},
		{"UTC+5:37", "gmt+05:37", "+0537"}, {"GMT+2", "utc+02:00"}, {"Asia/Tokyo", "Tokyo Standard Time"},
	} {
		first, ok := FindZone(same[0])
		for _, name := range same[1:] {
			if z, found := FindZone(name); !ok || !found || z != first {
				t.Errorf("%s is %v, not %v", name, z, first)
			}
		}
	}
	for name, place := range windowsZones {
		if _, ok := LoadZone(place); !ok {
			t.Errorf("%s: there is no %s", name, place)
		}
	}
	for _, name := range []string{"", "Local", "local", "Mars/Phobos", strings.Repeat("a", 100), "../etc/passwd", "GMT+99"} {
		if z, ok := FindZone(name); ok {
			t.Errorf("%q is %v", name, z)
		}
	}
}
