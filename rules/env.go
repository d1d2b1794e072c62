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
// the time of a field of a map. It is built once for an event that a rule may match.
func values(ev *Event) map[string]any {
	env := make(map[string]any, len(eventValues))
	for i := range eventValues {
		env[eventValues[i].name] = eventValues[i].of(ev)
	}
	return env
}

// An eventValue is one of the values of an event.
type eventValue struct {
	name string
	of   func(*Event) any
}

// valueOf returns what reads a value from an event. For an unknown name it reads nil.
func valueOf(name string) func(*Event) any {
	i := slices.IndexFunc(eventValues, func(v eventValue) bool { return v.name == name })
	if i < 0 {
		return func(*Event) any { return nil }
	}
	return eventValues[i].of
}

var eventValues = slices.Concat(
	[]eventValue{
		{"type", func(ev *Event) any { return ev.Type }},
		{"on", func(ev *Event) any { return texts(ev.On) }},
		{"source", func(ev *Event) any { return ev.Source }},
		{"locationId", func(ev *Event) any { return ev.LocationID }},
		{"receivedAt", func(ev *Event) any { return ev.ReceivedAt }},
		{"changed", func(ev *Event) any { return texts(ev.Changed) }},
		{"custom", func(ev *Event) any { return orNil(ev.Custom) }},
	},
	appointmentValues("appointment.", func(ev *Event) *Appointment { return &ev.Appointment }),
	appointmentValues("previous.", func(ev *Event) *Appointment { return &ev.Previous }),
	contactValues("contact.", func(ev *Event) *Contact { return &ev.Contact }),
)

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

func appointmentValues(prefix string, of func(*Event) *Appointment) []eventValue {
	return []eventValue{
		{prefix + "id", func(ev *Event) any { return of(ev).ID }},
		{prefix + "address", func(ev *Event) any { return of(ev).Address }},
		{prefix + "title", func(ev *Event) any { return of(ev).Title }},
		{prefix + "calendarId", func(ev *Event) any { return of(ev).CalendarID }},
		{prefix + "contactId", func(ev *Event) any { return of(ev).ContactID }},
		{prefix + "groupId", func(ev *Event) any { return of(ev).GroupID }},
		{prefix + "appointmentStatus", func(ev *Event) any { return of(ev).AppointmentStatus }},
		{prefix + "assignedUserId", func(ev *Event) any { return of(ev).AssignedUserID }},
		{prefix + "users", func(ev *Event) any { return texts(of(ev).Users) }},
		{prefix + "notes", func(ev *Event) any { return of(ev).Notes }},
		{prefix + "source", func(ev *Event) any { return of(ev).Source }},
		{prefix + "startTime", func(ev *Event) any {
			if a := of(ev); a.AllDay {
				return lang.WholeDay(a.StartTime)
			}
			return of(ev).StartTime
		}},
		{prefix + "endTime", func(ev *Event) any {
			if a := of(ev); a.AllDay && lang.IsDate(a.EndTime) {
				return lang.WholeDay(a.EndTime)
			}
			return of(ev).EndTime
		}},
		{prefix + "dateAdded", func(ev *Event) any { return of(ev).DateAdded }},
		{prefix + "dateUpdated", func(ev *Event) any { return of(ev).DateUpdated }},
	}
}

func contactValues(prefix string, of func(*Event) *Contact) []eventValue {
	return []eventValue{
		{prefix + "id", func(ev *Event) any { return of(ev).ID }},
		{prefix + "name", func(ev *Event) any { return of(ev).Name }},
		{prefix + "firstName", func(ev *Event) any { return of(ev).FirstName }},
		{prefix + "lastName", func(ev *Event) any { return of(ev).LastName }},
		{prefix + "email", func(ev *Event) any { return of(ev).Email }},
		{prefix + "phone", func(ev *Event) any { return of(ev).Phone }},
		{prefix + "timezone", func(ev *Event) any { return of(ev).Timezone }},
		{prefix + "tags", func(ev *Event) any { return texts(of(ev).Tags) }},
	}
}

// rawBody returns the value of raw: the decoded body, nil if there is none.
func (e *Event) rawBody(string) any {
	if len(bytes.TrimSpace(e.Body)) == 0 {
		return nil
	}
	return DecodePayload(e.Body)
}
