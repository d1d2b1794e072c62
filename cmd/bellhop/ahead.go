package main

import (
	"bytes"
	"regexp"
	"time"

	"bellhop/testdata"
)

// Sample events are of some day, and nobody is told of an appointment that was over when it was first seen. So their
// dates are moved ahead, by whole weeks, which keeps the days of the week.

// sampled is the day of the appointment that the sample events are about.
var sampled = time.Date(2026, 12, 7, 0, 0, 0, 0, time.UTC)

var dated = regexp.MustCompile(`\b20\d\d-\d\d-\d\d(?:[T ]\d\d:\d\d)`)

// daysAhead is by how many days a day is moved so that it lies ahead, and a reminder waits.
func daysAhead(day, now time.Time) (days int) {
	if left := now.AddDate(0, 0, 3).Sub(day); left > 0 {
		days = int((left+7*24*time.Hour-1)/(7*24*time.Hour)) * 7
	}
	return days
}

// moved moves the dates of an event by some days.
func moved(event []byte, days int) []byte {
	return dated.ReplaceAllFunc(event, func(text []byte) []byte {
		day, err := time.Parse(time.DateOnly, string(text[:len(time.DateOnly)]))
		if err != nil {
			return text
		}
		return append(day.AddDate(0, 0, days).AppendFormat(nil, time.DateOnly), text[len(time.DateOnly):]...)
	})
}

// ahead moves the dates of a sample event.
func ahead(event []byte, now time.Time) []byte { return moved(event, daysAhead(sampled, now)) }

// booking is the event that init writes, and in its test the words for its day.
func booking(test []byte, now time.Time) (event, itsTest []byte, err error) {
	const words = "Monday 2 January"
	event, err = testdata.Files.ReadFile("events/create.json")
	day := sampled.AddDate(0, 0, daysAhead(sampled, now))
	return ahead(event, now), bytes.ReplaceAll(test, []byte(sampled.Format(words)), []byte(day.Format(words))), err
}
