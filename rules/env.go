package rules

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"time"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// world is the environment of the expressions of rules.
var world = &lang.Env{
	Variables: map[string]lang.Type{
		"type": lang.Text.Among(&lang.Words{
			Valid: func(s string) bool { return slices.Contains(wireTypes, s) },
			Near:  func(s string) string { return text.Closest(s, wireTypes) },
			Code:  "event-name", Message: "there is no event type %s", Lenient: true,
		}),
		"on":         lang.ListOf(lang.Text.Among(lang.OneOfWords(Names(), "event-name", "there is no event name %s", nil))),
		"changed":    lang.ListOf(lang.Text.Among(lang.OneOfWords(AppointmentFields(), "unknown-field", "there is no field of an appointment %s", nil))),
		"source":     lang.Text,
		"locationId": lang.Text,
		"receivedAt": lang.Time,
		"custom":     lang.Any.OrNil(),
		"raw":        lang.Any,
	},
	Objects: map[string]lang.Object{
		"appointment": {Fields: fieldTypes(reflect.TypeFor[Appointment]()), Moment: "startTime"},
		"previous":    {Fields: fieldTypes(reflect.TypeFor[Appointment]()), Moment: "startTime", Optional: true},
		"contact":     {Fields: fieldTypes(reflect.TypeFor[Contact]()), Optional: true},
	},
	Main: []string{"appointment", "contact"},
	Lazy: []string{"raw"},
	Aliases: map[string]string{
		"status": "appointmentStatus", "start": "startTime", "begin": "startTime", "end": "endTime", "calendar": "calendarId",
		"assignee": "assignedUserId", "user": "assignedUserId", "userId": "assignedUserId", "location": "address", "name": "title",
		"contact": "contactId", "group": "groupId", "note": "notes", "created": "dateAdded", "updated": "dateUpdated",
		"mail": "email", "tel": "phone", "mobile": "phone", "tag": "tags", "surname": "lastName",
	},
}

var wireTypes = []string{Create, Update, Delete}

// statusWords are the statuses of an appointment, and "" for an unknown one.
var statusWords = &lang.Words{
	Valid: func(s string) bool { return s == "" || slices.Contains(Statuses(), s) },
	Near:  similarStatus,
	Code:  "status", Message: "%s is not an appointment status, so this is never equal", Others: "; there are " + strings.Join(Statuses(), ", "),
}

var statusAliases = map[string]string{
	"canceled": "cancelled", "cancel": "cancelled", "booked": "new", "pending": "new", "attended": "showed", "arrived": "showed",
	"show": "showed", "missed": "noshow", "absent": "noshow", "done": "completed", "finished": "completed", "complete": "completed", "confirm": "confirmed",
}

func similarStatus(word string) string {
	if s, ok := statusAliases[text.FoldWord(word)]; ok {
		return s
	}
	return text.Closest(word, Statuses())
}

func fieldTypes(t reflect.Type) map[string]lang.Type {
	fields := map[string]lang.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch f.Type {
		case reflect.TypeFor[string]():
			fields[name] = lang.Text
		case reflect.TypeFor[time.Time]():
			fields[name] = lang.Time
		case reflect.TypeFor[[]string]():
			fields[name] = lang.Texts
		}
	}
	if _, ok := fields["appointmentStatus"]; ok {
		fields["appointmentStatus"] = lang.Text.Among(statusWords)
	}
	return fields
}

// values returns what expressions see of an event: one flat map, because looking up a plain name takes a quarter of
// the time of a field of a map. It is built once per event.
func values(ev *Event) map[string]any {
	env := make(map[string]any, 64)
	env["type"] = ev.Type
	env["on"] = texts(ev.On)
	env["source"] = ev.Source
	env["locationId"] = ev.LocationID
	env["receivedAt"] = ev.ReceivedAt
	env["changed"] = texts(ev.Changed)
	env["custom"] = orNil(ev.Custom)
	addAppointment(env, "appointment.", &ev.Appointment)
	addAppointment(env, "previous.", &ev.Previous)
	addContact(env, "contact.", &ev.Contact)
	return env
}

// orNil returns a nil map as nil.
func orNil(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

// texts never returns nil, so that an empty list is written [] and not null.
func texts(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func addAppointment(env map[string]any, prefix string, a *Appointment) {
	env[prefix+"id"] = a.ID
	env[prefix+"address"] = a.Address
	env[prefix+"title"] = a.Title
	env[prefix+"calendarId"] = a.CalendarID
	env[prefix+"contactId"] = a.ContactID
	env[prefix+"groupId"] = a.GroupID
	env[prefix+"appointmentStatus"] = a.AppointmentStatus
	env[prefix+"assignedUserId"] = a.AssignedUserID
	env[prefix+"users"] = texts(a.Users)
	env[prefix+"notes"] = a.Notes
	env[prefix+"source"] = a.Source
	env[prefix+"startTime"] = a.StartTime
	env[prefix+"endTime"] = a.EndTime
	if a.AllDay {
		env[prefix+"startTime"] = lang.WholeDay(a.StartTime)
		if lang.IsDate(a.EndTime) {
			env[prefix+"endTime"] = lang.WholeDay(a.EndTime)
		}
	}
	env[prefix+"dateAdded"] = a.DateAdded
	env[prefix+"dateUpdated"] = a.DateUpdated
}

func addContact(env map[string]any, prefix string, c *Contact) {
	env[prefix+"id"] = c.ID
	env[prefix+"name"] = c.Name
	env[prefix+"firstName"] = c.FirstName
	env[prefix+"lastName"] = c.LastName
	env[prefix+"email"] = c.Email
	env[prefix+"phone"] = c.Phone
	env[prefix+"timezone"] = c.Timezone
	env[prefix+"tags"] = texts(c.Tags)
}

// rawBody returns the value of raw: the decoded body, nil if there is none.
func (e *Event) rawBody(string) any {
	if len(bytes.TrimSpace(e.Body)) == 0 {
		return nil
	}
	return DecodePayload(e.Body)
}
