package main

import (
	"bytes"
	"regexp"
	"time"

	"bellhop/testdata"
)

// Sample events have fixed dates, and messages are not sent for an appointment that was over when it was first seen. So
// the dates are moved into the future, by full weeks, which keeps the days of the week.

// sampled is the day of the appointment that the sample events are about.
var sampled = time.Date(2026, 12, 7, 0, 0, 0, 0, time.UTC)

var dated = regexp.MustCompile(`\b20\d\d-\d\d-\d\d(?:[T ]\d\d:\d\d)`)

// daysAhead returns the days by which to move day so that it is at least three days after now, and a reminder waits.
func daysAhead(day, now time.Time) (days int) {
	if left := now.AddDate(0, 0, 3).Sub(day); left > 0 {
		days = int((left+7*24*time.Hour-1)/(7*24*time.Hour)) * 7
	}
	return days
}

// moved returns the event with its times moved by some days.
func moved(event []byte, days int) []byte {
	return dated.ReplaceAllFunc(event, func(text []byte) []byte {
		day, err := time.Parse(time.DateOnly, string(text[:len(time.DateOnly)]))
		if err != nil {
			return text
		}
		return append(day.AddDate(0, 0, days).AppendFormat(nil, time.DateOnly), text[len(time.DateOnly):]...)
	})
}

// ahead returns a sample event with its times moved into the future.
func ahead(event []byte, now time.Time) []byte { return moved(event, daysAhead(sampled, now)) }

// booking returns the event that init writes, and test with the event's new day.
func booking(test []byte, now time.Time) (event, itsTest []byte) {
	const words = "Monday 2 January"
	day := sampled.AddDate(0, 0, daysAhead(sampled, now))
	return ahead(embedded(testdata.Files, "events/create.json"), now), bytes.ReplaceAll(test, []byte(sampled.Format(words)), []byte(day.Format(words)))
}
