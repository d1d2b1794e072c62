package actions

import (
	"cmp"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"
)

// An Invitation is an appointment as a calendar is told of it, by RFC 5545 and 5546.
type Invitation struct {
	UID       string    `json:"uid"`      // the same for every message about one appointment
	Sequence  int64     `json:"sequence"` // rises with every change
	Stamp     time.Time `json:"stamp"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	AllDay    bool      `json:"allDay,omitempty"` // Start and End are dates, at midnight UTC; the appointment ends before End
	Title     string    `json:"title,omitempty"`
	Address   string    `json:"address,omitempty"`
	Notes     string    `json:"notes,omitempty"`
	Cancelled bool      `json:"cancelled,omitempty"`
}

// usualLength is the length of an appointment whose end is not known.
const usualLength = time.Hour

// sequenceStart is the time from which the sequence number counts seconds, so that 31 bits last until 2088.
var sequenceStart = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// newInvitation makes an invitation from f. An appointment without an id or a start is an error.
func newInvitation(f Facts) (*Invitation, error) {
	switch {
	case f.AppointmentID == "":
		return nil, errors.New("no invitation can be made: the appointment has no id")
	case f.Start.IsZero():
		return nil, errors.New("no invitation can be made: the appointment has no start time")
	}
	end := f.End
	if !end.After(f.Start) {
		end = f.Start.Add(usualLength)
	}
	start := f.Start.UTC()
	if f.AllDay {
		year, month, day := f.Start.Date()
		start = time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
		days := 1
		if f.End.After(f.Start) { // a clock change makes a day an hour longer or shorter
			days = max(1, int((f.End.Sub(f.Start)+22*time.Hour-1)/(24*time.Hour)))
		}
		end = start.AddDate(0, 0, days)
	}
	return &Invitation{
		UID:       f.AppointmentID + "@bellhop",
		Sequence:  max(0, min(int64(f.Updated.Sub(sequenceStart)/time.Second), 1<<31-1)),
		Stamp:     f.Now.UTC().Truncate(time.Second),
		Start:     start,
		End:       end.UTC(),
		AllDay:    f.AllDay,
		Title:     f.Title,
		Address:   f.Address,
		Notes:     f.Notes,
		Cancelled: f.Cancelled,
	}, nil
}

func (i *Invitation) method() string {
	if i.Cancelled {
		return "CANCEL"
	}
	return "REQUEST"
}

// calendar writes the invitation as an iCalendar object. subject is used where the title is missing.
func (i *Invitation) calendar(subject string, from *mail.Address, to []*mail.Address) string {
	status := "CONFIRMED"
	if i.Cancelled {
		status = "CANCELLED"
	}
	utc := func(t time.Time) string { return t.UTC().Format("20060102T150405Z") }
	at := func(t time.Time) string { return ":" + utc(t) }
	if i.AllDay {
		at = func(t time.Time) string { return ";VALUE=DATE:" + t.UTC().Format("20060102") }
	}
	lines := []string{
		"BEGIN:VCALENDAR",
		"PRODID:-//Bellhop//EN",
		"VERSION:2.0",
		"CALSCALE:GREGORIAN",
		"METHOD:" + i.method(),
		"BEGIN:VEVENT",
		"UID:" + calendarText(i.UID),
		fmt.Sprintf("SEQUENCE:%d", i.Sequence),
		"DTSTAMP:" + utc(i.Stamp),
		"DTSTART" + at(i.Start),
		"DTEND" + at(i.End),
		"SUMMARY:" + calendarText(cmp.Or(i.Title, subject)),
	}
	if i.Address != "" {
		lines = append(lines, "LOCATION:"+calendarText(i.Address))
	}
	if i.Notes != "" {
		lines = append(lines, "DESCRIPTION:"+calendarText(i.Notes))
	}
	lines = append(lines, "STATUS:"+status, "ORGANIZER"+calendarName(from)+":mailto:"+from.Address)
	for _, a := range to {
		lines = append(lines, "ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE"+calendarName(a)+":mailto:"+a.Address)
	}
	lines = append(lines, "END:VEVENT", "END:VCALENDAR")
	var b strings.Builder
	for _, line := range lines {
		foldCalendar(&b, line)
	}
	return b.String()
}

// calendarText escapes a text as RFC 5545 section 3.3.11 says, and drops control characters.
func calendarText(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\n", `\n`).Replace(s)
	return dropControls(s)
}

// calendarName returns the CN parameter of an address with a name, else "". A quotation mark becomes an apostrophe,
// because a quoted parameter cannot contain one.
func calendarName(a *mail.Address) string {
	if a.Name == "" {
		return ""
	}
	return `;CN="` + dropControls(strings.ReplaceAll(strings.ToValidUTF8(a.Name, "\uFFFD"), `"`, "'")) + `"`
}

func dropControls(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// foldCalendar writes a line in pieces of at most 75 bytes, and does not split a character.
func foldCalendar(b *strings.Builder, line string) {
	for limit := 75; len(line) > limit; limit = 74 { // from the second piece on, a space comes first
		cut := limit
		for line[cut]&0xc0 == 0x80 {
			cut--
		}
		b.WriteString(line[:cut] + "\r\n ")
		line = line[cut:]
	}
	b.WriteString(line + "\r\n")
}
