package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bellhop/rules"
)

// These are failures of other programs that reminded guests, each told by those who were hurt. TestAtThreeInTheMorning is one
// more, and TestBrake of package engine is the one that wrote to everybody.

const remindTheDayBefore = guest + `rules:
  - name: remind
    on: [booked, rescheduled]
    timezone: Europe/London
    then:
      - at: appointment.startTime - duration("24h")
        email: { to: "{{ contact.email }}", subject: "{{ date(appointment.startTime, 'Mon 15:04') }}", text: x }
`

// A reminder that waits, or is due in the same minute, is not sent once its appointment is cancelled or deleted.
func TestReminderAfterACancellation(t *testing.T) {
	t.Parallel()
	p := newPost(t, remindTheDayBefore, rules.Options{})
	for _, id := range []string{"cancelled", "deleted", "kept"} {
		p.tell("Create", id, "c1", starts("2026-03-05T10:00:00Z"))
	}
	p.now = p.at(4, "09:59")
	p.tell("Update", "cancelled", "c1", `,"appointmentStatus":"cancelled"`)
	p.tell("Delete", "deleted", "c1", "")
	p.wants("a minute later", p.until(p.at(8, "10:00")), "Wed 10:00 kept remind … Thu 10:00")
}

// A reminder moves with its appointment, and tells the new time.
func TestReminderAtTheOldTime(t *testing.T) {
	t.Parallel()
	p := newPost(t, strings.Replace(remindTheDayBefore, "[booked, rescheduled]", "booked", 1), rules.Options{})
	p.tell("Create", "a1", "c1", starts("2026-03-05T10:00:00Z"))
	p.now = p.at(4, "09:59")
	p.tell("Update", "a1", "c1", starts("2026-03-06T11:00:00Z"))
	p.wants("after it was moved", p.until(p.at(8, "10:00")), "Thu 11:00 a1 remind … Fri 11:00")
}

// A reminder tells the time where the rule is, on either side of a clock change, whatever offset the webhook has.
func TestReminderInUTC(t *testing.T) {
	t.Parallel()
	p := newPost(t, remindTheDayBefore, rules.Options{})
	p.tell("Create", "winter", "c1", starts("2026-03-28T15:30:00+05:30"))
	p.tell("Create", "summer", "c1", starts("2026-03-31T10:00:00Z"))
	p.wants("both", p.until(p.at(31, "23:00")), "Fri 10:00 winter remind … Sat 10:00", "Mon 10:00 summer remind … Tue 11:00")
}

// Appointments that were imported after their reminders were due, or after they took place, are not reminded of all at once.
func TestRemindersAllAtOnce(t *testing.T) {
	t.Parallel()
	p := newPost(t, remindTheDayBefore, rules.Options{})
	p.now = p.at(10, "12:00")
	for i := range 20 {
		p.tell("Create", fmt.Sprint("a", i), "c1", starts(p.at(1, "10:00").AddDate(0, 0, i/2).Format(time.RFC3339)))
	}
	p.tell("Create", "later", "c1", starts("2026-03-20T10:00:00Z"))
	p.wants("after an import", p.until(p.at(31, "23:00")), "Thu 10:00 later remind")
	for _, s := range p.reasons() {
		if strings.HasSuffix(s, "skipped: ") {
			t.Errorf("nothing says why: %s", s)
		}
	}
}

// However often an appointment is said, moved and moved back, it has one reminder.
func TestReminderTwice(t *testing.T) {
	t.Parallel()
	p := newPost(t, remindTheDayBefore, rules.Options{})
	for i, day := range []int{12, 12, 13, 12, 13, 12} {
		p.now = p.at(3, fmt.Sprintf("10:%02d", i))
		p.tell("Update", "a1", "c1", starts(p.at(day, "10:00").Format(time.RFC3339)))
	}
	p.wants("in the end", p.until(p.at(31, "23:00")), "Wed 10:00 a1 remind … Thu 10:00")
}
