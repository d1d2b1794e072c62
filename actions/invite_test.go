package actions

import (
	"net/mail"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestInviteArrives(t *testing.T) {
	t.Parallel()
	srv := (&mailServer{}).start(t, false)
	start := time.Date(2026, 7, 1, 10, 0, 0, 0, time.FixedZone("", -5*3600))
	facts := Facts{
		Now: time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC), AppointmentID: "0TkCdp9PfvLeWKYRRvIz", Title: "Fitting; Größe, 2\\3", Address: "Room 1\nHigh Street",
		Notes: strings.Repeat("日本語 notes, ", 20) + "\r\nend\x07", Start: start, End: start.Add(90 * time.Minute), Updated: time.Date(2026, 6, 1, 7, 0, 0, 0, time.UTC),
	}
	send := func(f Facts) (string, string) {
		e := note()
		e.To, e.Invite = List{`Zoë "Zo" <zoe@example.com>`}, true
		if err := e.Prepare(f); err != nil {
			t.Fatal(err)
		}
		if _, err := attempt(t, e, &Mail{SMTP: "smtp://" + srv.addr, From: "Desk <desk@example.com>", CA: srv.ca}); err != nil {
			t.Fatal(err)
		}
		mails := srv.received()
		_, find := readMail(t, mails[len(mails)-1].data)
		inline, attached := find("text/calendar"), find("application/ics")
		if inline != attached || strings.TrimSpace(find("text/plain")) != "A booking." {
			t.Errorf("the parts differ: %q and %q", inline, attached)
		}
		return inline, string(mails[len(mails)-1].data)
	}
	text, raw := send(facts)
	if !strings.Contains(raw, "method=REQUEST") {
		t.Error("the part does not name its method")
	}
	for _, line := range strings.SplitAfter(text, "\r\n") {
		if len(line) > 77 || !utf8.ValidString(line) || strings.Contains(strings.TrimSuffix(line, "\r\n"), "\n") {
			t.Errorf("the line %q", line)
		}
	}
	unfolded := strings.ReplaceAll(text, "\r\n ", "")
	for _, want := range []string{
		"METHOD:REQUEST\r\n", "UID:0TkCdp9PfvLeWKYRRvIz@bellhop\r\n", "DTSTAMP:20260601T080000Z\r\n", "DTSTART:20260701T150000Z\r\n", "DTEND:20260701T163000Z\r\n",
		"SUMMARY:Fitting\\; Größe\\, 2\\\\3\r\n", "LOCATION:Room 1\\nHigh Street\r\n", "DESCRIPTION:" + strings.Repeat("日本語 notes\\, ", 20) + "\\nend\r\n", "STATUS:CONFIRMED\r\n",
		"ORGANIZER;CN=\"Desk\":mailto:desk@example.com\r\n", "ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN=\"Zoë Zo\":mailto:zoe@example.com\r\n",
	} {
		if !strings.Contains(unfolded, want) {
			t.Errorf("%q is missing in\n%s", want, unfolded)
		}
	}

	facts.Cancelled, facts.Updated, facts.End = true, facts.Updated.Add(time.Minute), time.Time{}
	text, raw = send(facts)
	if !strings.Contains(raw, "method=CANCEL") || !strings.Contains(text, "STATUS:CANCELLED") || !strings.Contains(text, "METHOD:CANCEL") ||
		!strings.Contains(text, "UID:0TkCdp9PfvLeWKYRRvIz@bellhop\r\n") || !strings.Contains(text, "DTEND:20260701T160000Z") {
		t.Errorf("cancelled:\n%s", text)
	}
}

func TestCalendarLinesAreFolded(t *testing.T) {
	t.Parallel()
	for lead := range 4 {
		line := strings.Repeat("x", lead) + strings.Repeat("日é", 100)
		var b strings.Builder
		foldCalendar(&b, line)
		for _, piece := range strings.Split(b.String(), "\r\n") {
			if len(piece) > 75 || !utf8.ValidString(piece) {
				t.Errorf("the piece %q", piece)
			}
		}
		if got := strings.ReplaceAll(b.String(), "\r\n ", ""); got != line+"\r\n" {
			t.Errorf("%q comes back as %q", line, got)
		}
	}
}

func TestInvitation(t *testing.T) {
	t.Parallel()
	at := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
	good := Facts{Now: at(2026), AppointmentID: "a", Start: at(2026), Updated: at(2026)}
	older, err := newInvitation(good)
	if err != nil {
		t.Fatal(err)
	}
	good.Updated = good.Updated.Add(time.Second)
	newer, err := newInvitation(good)
	if err != nil || newer.Sequence != older.Sequence+1 || newer.UID != older.UID {
		t.Errorf("%+v, %+v, %v", older, newer, err)
	}
	for _, updated := range []time.Time{{}, at(1990), at(2500)} {
		good.Updated = updated
		if i, err := newInvitation(good); err != nil || i.Sequence < 0 || i.Sequence > 1<<31-1 {
			t.Errorf("%v: %+v, %v", updated, i, err)
		}
	}
	good.End = good.Start.Add(-time.Hour)
	if i, err := newInvitation(good); err != nil || i.End.Sub(i.Start) != usualLength {
		t.Errorf("%+v, %v", i, err)
	}
	for _, bad := range []Facts{{Now: at(2026), AppointmentID: "a"}, {Now: at(2026), Start: at(2026)}} {
		if err := (&Email{Invite: true}).Prepare(bad); err == nil {
			t.Errorf("%+v makes an invitation", bad)
		}
		if err := (&Email{}).Prepare(bad); err != nil {
			t.Errorf("without an invitation: %v", err)
		}
	}
	text := newer.calendar("the subject", &mail.Address{Address: "a@example.com"}, nil)
	if !strings.Contains(text, "SUMMARY:the subject\r\n") || strings.Contains(text, "LOCATION") || strings.Contains(text, "CN=") {
		t.Errorf("%s", text)
	}
}

// TestInviteForWholeDays checks that an appointment without a time becomes a date in calendars, and that its end is the
// first day after it.
func TestInviteForWholeDays(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(month time.Month, day, hour int) time.Time {
		return time.Date(2026, month, day, hour, 0, 0, 0, berlin)
	}
	for _, c := range []struct {
		start, end time.Time
		want       string
	}{
		{at(7, 9, 0), time.Time{}, "DTSTART;VALUE=DATE:20260709 DTEND;VALUE=DATE:20260710"},
		{at(7, 9, 0), at(7, 9, 0), "DTSTART;VALUE=DATE:20260709 DTEND;VALUE=DATE:20260710"},
		{at(7, 9, 0), at(7, 9, 18), "DTSTART;VALUE=DATE:20260709 DTEND;VALUE=DATE:20260710"},
		{at(7, 9, 0), at(7, 10, 0), "DTSTART;VALUE=DATE:20260709 DTEND;VALUE=DATE:20260710"},
		{at(7, 9, 0), at(7, 12, 0), "DTSTART;VALUE=DATE:20260709 DTEND;VALUE=DATE:20260712"},
		{at(3, 29, 0), at(3, 30, 0), "DTSTART;VALUE=DATE:20260329 DTEND;VALUE=DATE:20260330"},
		{at(10, 25, 0), at(10, 26, 0), "DTSTART;VALUE=DATE:20261025 DTEND;VALUE=DATE:20261026"},
	} {
		i, err := newInvitation(Facts{Now: at(1, 1, 0), AppointmentID: "a", Start: c.start, End: c.end, AllDay: true, Updated: at(1, 1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, line := range strings.Split(i.calendar("s", &mail.Address{Address: "a@example.com"}, nil), "\r\n") {
			if strings.HasPrefix(line, "DTSTART") || strings.HasPrefix(line, "DTEND") {
				got = append(got, line)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("from %v to %v: %v, not %s", c.start, c.end, got, c.want)
		}
	}
}
