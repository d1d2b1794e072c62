package payload

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bellhop/rules"
)

func normalised(t *testing.T, body string) *rules.Event {
	t.Helper()
	ev, err := Normalise("hoopai", []byte(body), received, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// Zones are known by their IANA name, in upper or lower case, by their Windows name, and by their offset.
func TestZonesOfPayloads(t *testing.T) {
	t.Parallel()
	for zone, want := range map[string]string{
		"America/Chicago": "2026-07-09T17:00:00-05:00", "america/chicago": "2026-07-09T17:00:00-05:00", "AMERICA/NEW_YORK": "2026-07-09T17:00:00-04:00",
		"america/port-au-prince": "2026-07-09T17:00:00-04:00", "Africa/dar_es_salaam": "2026-07-09T17:00:00+03:00", "America/argentina/buenos_aires": "2026-07-09T17:00:00-03:00",
		"Central Standard Time": "2026-07-09T17:00:00-05:00", "w. europe standard time": "2026-07-09T17:00:00+02:00", "India Standard Time": "2026-07-09T17:00:00+05:30",
		"GMT+2": "2026-07-09T17:00:00+02:00", "UTC-03:00": "2026-07-09T17:00:00-03:00", "utc+5:30": "2026-07-09T17:00:00+05:30", "+0530": "2026-07-09T17:00:00+05:30",
		"utc": "2026-07-09T17:00:00Z", "GMT": "2026-07-09T17:00:00Z", "Z": "2026-07-09T17:00:00Z", "est": "2026-07-09T17:00:00-05:00",
	} {
		ev := normalised(t, fmt.Sprintf(`{"calendar":{"appointmentId":"a","startTime":"2026-07-09T17:00:00","selectedTimezone":%q}}`, zone))
		if got := ev.Appointment.StartTime.Format(time.RFC3339); got != want || len(ev.Problems) > 0 {
			t.Errorf("%s: %s, %v, want %s", zone, got, ev.Problems, want)
		}
	}
}

func TestTimesOfPayloads(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		`"Thursday, July 9, 2026 5:00 PM"`:                                      "2026-07-09T17:00:00-05:00",
		`"thursday, july 9th, 2026 at 5:00pm"`:                                  "2026-07-09T17:00:00-05:00",
		`"Thu, Jul 9, 2026 5:00 p.m."`:                                          "2026-07-09T17:00:00-05:00",
		`"9 July 2026 17:00"`:                                                   "2026-07-09T17:00:00-05:00",
		`"July 9, 2026 12:30 AM"`:                                               "2026-07-09T00:30:00-05:00",
		`"2026-07-09 05:00 PM"`:                                                 "2026-07-09T17:00:00-05:00",
		`"Thu, 09 Jul 2026 17:00:00 +0200"`:                                     "2026-07-09T17:00:00+02:00",
		`"Thu, 09 Jul 2026 17:00:00 GMT"`:                                       "2026-07-09T17:00:00Z",
		`"2026-12-01T09:00:00+01:00[Europe/Paris]"`:                             "2026-12-01T09:00:00+01:00",
		`"2026-12-01T09:00:00[Europe/Paris]"`:                                   "2026-12-01T09:00:00+01:00",
		`{"dateTime":"2026-12-01T09:00:00","timeZone":"Europe/Paris"}`:          "2026-12-01T09:00:00+01:00",
		`{"dateTime":"2026-12-01T09:00:00","timeZone":"Romance Standard Time"}`: "2026-12-01T09:00:00+01:00",
		`{"dateTime":"2026-12-01T09:00:00Z"}`:                                   "2026-12-01T09:00:00Z",
		`"20261201T090000Z"`:                                                    "2026-12-01T09:00:00Z",
		`"20261201T090000"`:                                                     "2026-12-01T09:00:00-06:00",
		`"20261201T0900+0100"`:                                                  "2026-12-01T09:00:00+01:00",
		`"2026-03-08T02:30:00"`:                                                 "2026-03-08T03:30:00-05:00", // an hour that the clock skips
		`"Sunday, March 8, 2026 2:30 AM"`:                                       "2026-03-08T03:30:00-05:00",
		`"2026-11-01T01:30:00"`:                                                 "2026-11-01T01:30:00-05:00", // an hour that occurs twice: the first one
		`"2026-03-08T04:00:00"`:                                                 "2026-03-08T04:00:00-05:00",
		`"2026-11-01T02:30:00"`:                                                 "2026-11-01T02:30:00-06:00",
	} {
		ev := normalised(t, `{"type":"AppointmentCreate","appointment":{"id":"a","timezone":"America/Chicago","startTime":`+written+`}}`)
		if got := ev.Appointment.StartTime.Format(time.RFC3339); got != want || len(ev.Problems) > 0 {
			t.Errorf("%s: %s, %v, want %s", written, got, ev.Problems, want)
		}
	}
}

// A value that cannot be read is a problem with its field and text. It is never replaced silently.
func TestProblems(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{
		`"startTime":"next Tuesday"`:                                       `startTime: "next Tuesday" cannot be read as a time`,
		`"startTime":"2026-02-30T10:00:00Z"`:                               `startTime: "2026-02-30T10:00:00Z" cannot be read as a time`,
		`"endTime":"07/09/2026 5:00 PM"`:                                   `endTime: "07/09/2026 5:00 PM" cannot be read as a time`,
		`"dateUpdated":true`:                                               `dateUpdated: "true" cannot be read as a time`,
		`"startTime":["2026-01-01"]`:                                       `cannot be read as a time`,
		`"startTime":"2026-12-01T09:00:00[Mars/Base]"`:                     `startTime: "2026-12-01T09:00:00[Mars/Base]" cannot be read as a time`,
		`"startTime":{"dateTime":"2026-12-01T09:00:00","timeZone":"Mars"}`: `cannot be read as a time`,
		`"timezone":"Mars/Base"`:                                           `timezone: "Mars/Base" is not a known time zone`,
		`"timezone":"Local"`:                                               `timezone: "Local" is not a known time zone`,
		`"appointmentStatus":"cancelado"`:                                  `appointmentStatus: "cancelado" is not a known status`,
		`"appointmentStatus":"canceled_by_customer"`:                       `appointmentStatus: "canceled_by_customer" is not a known status`,
		`"appointmentStatus":"annulé"`:                                     `appointmentStatus: "annulé" is not a known status`,
		`"startTime":null,"endTime":"","appointmentStatus":""`:             ``,
		`"appointmentStatus":"No-Show"`:                                    ``,
	} {
		ev := normalised(t, `{"type":"AppointmentUpdate","appointment":{"id":"a",`+fields+`}}`)
		switch {
		case want == "" && len(ev.Problems) > 0, want != "" && len(ev.Problems) != 1:
			t.Errorf("%s: %v", fields, ev.Problems)
		case want != "" && !strings.Contains(ev.Problems[0].String(), want):
			t.Errorf("%s: %s, want %s", fields, ev.Problems[0], want)
		}
	}
}

// The ids of the contact, the user, the calendar and the location are read in every spelling and in every shape.
func TestWhoIsMeant(t *testing.T) {
	t.Parallel()
	shapes := map[string]string{
		"documented": `{"type":"AppointmentCreate",%s"appointment":{"id":"a","title":"t"}}`,
		"inside":     `{"type":"AppointmentCreate","appointment":{%s"id":"a","title":"t"}}`,
		"data":       `{"type":"AppointmentCreate","webhookId":"w","data":{%s"id":"a","title":"t"}}`,
		"besideData": `{"type":"AppointmentCreate",%s"data":{"id":"a","title":"t"}}`,
		"body":       `{"type":"AppointmentCreate","body":{%s"id":"a","title":"t"}}`,
		"flat":       `{"type":"AppointmentCreate",%s"id":"a","title":"t"}`,
	}
	for name, shape := range shapes {
		for _, tt := range []struct {
			fields string
			of     func(*rules.Event) string
		}{
			{`"contactId":"x",`, func(e *rules.Event) string { return e.Appointment.ContactID }},
			{`"contact_id":"x",`, func(e *rules.Event) string { return e.Appointment.ContactID }},
			{`"contact":{"id":"x"},`, func(e *rules.Event) string { return e.Appointment.ContactID }},
			{`"assignedUserId":"x",`, func(e *rules.Event) string { return e.Appointment.AssignedUserID }},
			{`"user_id":"x",`, func(e *rules.Event) string { return e.Appointment.AssignedUserID }},
			{`"user":{"id":"x"},`, func(e *rules.Event) string { return e.Appointment.AssignedUserID }},
			{`"calendarId":"x",`, func(e *rules.Event) string { return e.Appointment.CalendarID }},
			{`"calendar_id":"x",`, func(e *rules.Event) string { return e.Appointment.CalendarID }},
			{`"calendar":{"id":"x"},`, func(e *rules.Event) string { return e.Appointment.CalendarID }},
			{`"locationId":"x",`, func(e *rules.Event) string { return e.LocationID }},
			{`"location_id":"x",`, func(e *rules.Event) string { return e.LocationID }},
			{`"location":{"id":"x"},`, func(e *rules.Event) string { return e.LocationID }},
		} {
			ev := normalised(t, fmt.Sprintf(shape, tt.fields))
			if got := tt.of(ev); got != "x" || ev.Appointment.ID != "a" {
				t.Errorf("%s, %s got %q of %q", name, tt.fields, got, ev.Appointment.ID)
			}
			if strings.Contains(tt.fields, "contact") && ev.Contact.ID != "x" {
				t.Errorf("%s, %s: the contact is %q", name, tt.fields, ev.Contact.ID)
			}
		}
	}
}

// Numbers in a payload keep all their digits.
func TestNumbersKeepDigits(t *testing.T) {
	t.Parallel()
	ev := normalised(t, `{"calendar":{"appointmentId":"a"},"customData":{"n":9007199254740993,"big":12345678901234567890,"half":1.5,"list":[9007199254740993]}}`)
	if got := fmt.Sprint(ev.Custom); got != "map[big:12345678901234567890 half:1.5 list:[9007199254740993] n:9007199254740993]" {
		t.Errorf("got %s", got)
	}
}

// The zones of the location and of the user are kept beside the contact's zone, as they are written.
func TestZonesOfPeople(t *testing.T) {
	t.Parallel()
	ev := normalised(t, `{"timezone":"Mars/Phobos","location":{"id":"l","timezone":"America/Chicago"},"user":{"id":"u","timezone":"GMT+2"},
		"calendar":{"appointmentId":"a","startTime":"2026-07-09T17:00:00","selectedTimezone":"Europe/Paris"}}`)
	if ev.Location.Timezone != "America/Chicago" || ev.User.Timezone != "GMT+2" || ev.Contact.Timezone != "Mars/Phobos" {
		t.Errorf("%+v", ev.People)
	}
	if len(ev.Problems) != 1 || ev.Problems[0].Field != "contact.timezone" || ev.Problems[0].Text != "Mars/Phobos" {
		t.Errorf("%v", ev.Problems)
	}
	if ev := normalised(t, `{"timezone":"Asia/Tokyo","calendar":{"appointmentId":"a","startTime":"2026-07-09T17:00:00","selectedTimezone":"Europe/Paris"}}`); len(ev.Problems) > 0 {
		t.Errorf("%v", ev.Problems)
	}
}

// A start that is a date is an all-day appointment. A start at midnight is not.
func TestWholeDays(t *testing.T) {
	t.Parallel()
	for start, want := range map[string]bool{
		`"2026-12-07"`: true, `" 2026-12-07 "`: true, `"2026-12-07[Europe/Paris]"`: true, `"Monday, December 7, 2026"`: true, `"7 Dec 2026"`: true,
		`{"date": "2026-12-07", "timeZone": "Europe/Paris"}`: true,
		`"2026-12-07T00:00:00"`:                              false, `"2026-12-07 00:00"`: false, `"2026-12-07T00:00:00Z"`: false, `{"dateTime": "2026-12-07T00:00:00Z"}`: false,
		`"Monday, December 7, 2026 12:00 AM"`: false, `1796601600`: false, `"soon"`: false, `""`: false,
	} {
		ev := normalised(t, `{"type": "AppointmentCreate", "appointment": {"id": "a", "startTime": `+start+`}}`)
		if ev.Appointment.AllDay != want {
			t.Errorf("%s: all day %t", start, ev.Appointment.AllDay)
		}
		if want && (ev.Appointment.StartTime.Format("2006-01-02 15:04") != "2026-12-07 00:00" || len(ev.Problems) > 0) {
			t.Errorf("%s begins at %v (%v)", start, ev.Appointment.StartTime, ev.Problems)
		}
	}
}
