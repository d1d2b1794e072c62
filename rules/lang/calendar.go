package lang

import (
	"time"

	"bellhop/rules/text"
)

// Calendar arithmetic with days, months and times of the day, by the clocks of one zone. A day is not always 24 hours
// long.

// Clock returns the moment at which the clocks of a zone show the same as naive, which is in UTC. In the hour that a
// clock change leaves out, the result is later by the length of the gap; in the hour that occurs twice, it is the
// first.
func Clock(naive time.Time, zone *time.Location) time.Time {
	var before time.Time
	for at := naive.Add(-26 * time.Hour).In(zone); ; { // try one offset after the other; none is larger than 26 hours
		_, offset := at.Zone()
		_, end := at.ZoneBounds()
		t := naive.Add(-time.Duration(offset) * time.Second).In(zone)
		switch {
		case !before.IsZero() && t.Before(at):
			return before
		case end.IsZero() || t.Before(end) || !end.After(at): // in some leap years from 2040 on, an end comes again and again
			return t
		}
		before, at = t, end
	}
}

// shown returns what the clocks show at t, as a time in UTC.
func shown(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// maxDays limits calendar arithmetic: results outside the years 1 to 9999 have no meaning.
const maxDays = 4_000_000

// calendar returns a function that moves a time by a number of days or months. A missing time stays missing.
func calendar(name string, move func(r *Machine, naive time.Time, n int) time.Time) operation {
	return func(r *Machine, args []any) any {
		r.charge(1000, 64)
		t, n := args[0].(time.Time), wantInt(name, args[1])
		switch {
		case n > maxDays || n < -maxDays:
			panic(Errorf("%s cannot go as far as %d", name, n))
		case t.IsZero():
			return t
		}
		t = r.zoned(t)
		out := Clock(move(r, shown(t), n), t.Location())
		if out.Year() > 9999 || out.Year() < 1 {
			panic(Errorf("%s goes beyond the years 1 to 9999", name))
		}
		return out
	}
}

func moveDays(_ *Machine, naive time.Time, n int) time.Time { return naive.AddDate(0, 0, n) }

// moveMonths stays within the target month: a month after 31 January is the last day of February.
func moveMonths(_ *Machine, naive time.Time, n int) time.Time {
	year, month, day := naive.Date()
	first := time.Date(year, month+time.Month(n), 1, naive.Hour(), naive.Minute(), naive.Second(), naive.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(day, last)-1)
}

// moveWorkdays does not count Saturdays, Sundays and the closed days.
func moveWorkdays(r *Machine, naive time.Time, n int) time.Time {
	step := 1
	if n < 0 {
		step, n = -1, -n
	}
	if len(r.Closed) > 0 {
		return moveOpenDays(r, naive, step, n)
	}
	if weeks := (n - 1) / 5; weeks > 0 {
		naive, n = naive.AddDate(0, 0, 7*step*weeks), n-5*weeks
	}
	for n > 0 {
		naive = naive.AddDate(0, 0, step)
		if day := naive.Weekday(); day != time.Saturday && day != time.Sunday {
			n--
		}
	}
	return naive
}

// moveOpenDays goes day by day.
func moveOpenDays(r *Machine, naive time.Time, step, n int) time.Time {
	most := 10 * (n + maxDays/1000)
	for ; n > 0 && most > 0; most-- {
		r.charge(20, 0)
		naive = naive.AddDate(0, 0, step)
		if day := naive.Weekday(); day != time.Saturday && day != time.Sunday && !r.Closed.Has(naive) {
			n--
		}
	}
	if n > 0 {
		panic(Errorf("addWorkdays finds no day that is not closed"))
	}
	return naive
}

// fnClock returns the same day at a time of the day.
func fnClock(r *Machine, args []any) any {
	r.charge(1000, 64)
	t, of := args[0].(time.Time), args[1].(string)
	hour, minute, ok := timeOfDay(of)
	switch {
	case !ok:
		panic(Errorf(`clock needs a time of the day such as "09:00", but got %s`, text.Quote(of)))
	case t.IsZero():
		return t
	}
	t = r.zoned(t)
	year, month, day := t.Date()
	return Clock(time.Date(year, month, day, hour, minute, 0, 0, time.UTC), t.Location())
}

// timeOfDay reads 09:00 or 9:00.
func timeOfDay(text string) (hour, minute int, ok bool) {
	t, err := time.Parse("15:04", text)
	return t.Hour(), t.Minute(), err == nil
}

func fnStartOfDay(r *Machine, args []any) any { return fnClock(r, []any{args[0], "00:00"}) }

// fnDaysBetween counts the days between the dates of two times, as date prints them.
func fnDaysBetween(r *Machine, args []any) any {
	r.charge(500, 0)
	var days [2]int64
	for i := range days {
		year, month, day := r.zoned(wantTime("daysBetween", args[i])).Date()
		days[i] = time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / 86400
	}
	return int(days[1] - days[0])
}

// fnAmount returns a duration as a number of units.
func fnAmount(unit time.Duration) operation {
	return func(_ *Machine, args []any) any { return float64(args[0].(time.Duration)) / float64(unit) }
}

// scaled returns a duration times a number.
func scaled(d time.Duration, by float64) time.Duration {
	out := float64(d) * by
	if !(out > -(1<<63) && out < 1<<63) { // also false for an infinite value and for NaN
		panic(Errorf("the duration is longer than 292 years"))
	}
	return time.Duration(out)
}
