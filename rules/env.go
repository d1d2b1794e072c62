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
		"users":      lang.ListOf(lang.Type{Kind: lang.ObjectKind, Name: "user"}),
	},
	Objects: map[string]lang.Object{
		"appointment": {Fields: fieldTypes("appointment"), Moment: "startTime"},
		"previous":    {Fields: fieldTypes("previous"), Moment: "startTime", Optional: true},
		"contact":     {Fields: contactTypes(), Optional: true, Lazy: true},
		"user":        {Fields: fieldTypes("user"), Optional: true, Lazy: true},
		"calendar":    {Fields: fieldTypes("calendar"), Optional: true, Lazy: true},
		"location":    {Fields: fieldTypes("location"), Optional: true, Lazy: true},
	},
	Main: []string{"appointment", "contact"},
	Lazy: []string{"raw", "users"},
	Aliases: map[string]string{
		"status": "appointmentStatus", "start": "startTime", "begin": "startTime", "end": "endTime", "calendar": "calendarId",
		"assignee": "assignedUserId", "user": "assignedUserId", "userId": "assignedUserId", "location": "address", "name": "title",
		"contact": "contactId", "group": "groupId", "note": "notes", "created": "dateAdded", "updated": "dateUpdated",
		"title": "name", "mail": "email", "tel": "phone", "mobile": "phone", "tag": "tags", "surname": "lastName",
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

// objects are the types of the names that have fields.
var objects = map[string]reflect.Type{
	"appointment": reflect.TypeFor[Appointment](),
	"previous":    reflect.TypeFor[Appointment](),
	"contact":     reflect.TypeFor[Contact](),
	"user":        reflect.TypeFor[User](),
	"calendar":    reflect.TypeFor[Calendar](),
	"location":    reflect.TypeFor[Location](),
}

func fieldTypes(object string) map[string]lang.Type {
	fields := map[string]lang.Type{}
	for f := range objects[object].Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Tag.Get("doc") == "" { // not for expressions
			continue
		}
		switch f.Type {
		case reflect.TypeFor[string]():
			fields[name] = lang.Text
		case reflect.TypeFor[time.Time]():
			fields[name] = lang.Time
		case reflect.TypeFor[[]string]():
			fields[name] = lang.Texts
		case reflect.TypeFor[bool]():
			fields[name] = lang.Bool
		case reflect.TypeFor[map[string]any]():
			fields[name] = lang.Any.OrNil()
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
	if name == forName {
		return func(ev *Event) any { return ev.locationNames() }
	}
	for _, values := range [][]eventValue{eventValues, lazyValues} {
		if i := slices.IndexFunc(values, func(v eventValue) bool { return v.name == name }); i >= 0 {
			return values[i].of
		}
	}
	return func(*Event) any { return nil }
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
	below("appointment", func(ev *Event) *Appointment { return &ev.Appointment }, appointmentFieldValues),
	below("previous", func(ev *Event) *Appointment { return &ev.Previous }, appointmentFieldValues),
)

// lazyValues are the fields of the objects that few expressions use, for an index.
var lazyValues = slices.Concat(
	below("contact", func(ev *Event) *Contact { return &ev.Contact }, contactFieldValues),
	below("user", func(ev *Event) *User { return &ev.User }, userFieldValues),
	below("calendar", func(ev *Event) *Calendar { return &ev.Calendar }, calendarFieldValues),
	below("location", func(ev *Event) *Location { return &ev.Location }, locationFieldValues),
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

// A fieldOf is one field of a T in expressions.
type fieldOf[T any] struct {
	name string
	of   func(*T) any
}

// below returns the values of the fields of an object.
func below[T any](object string, of func(*Event) *T, fields []fieldOf[T]) (values []eventValue) {
	for _, f := range fields {
		values = append(values, eventValue{object + "." + f.name, func(ev *Event) any { return f.of(of(ev)) }})
	}
	return values
}

// whole returns an object with all its fields.
func whole[T any](v *T, fields []fieldOf[T]) map[string]any {
	m := make(map[string]any, len(fields))
	for _, f := range fields {
		m[f.name] = f.of(v)
	}
	return m
}

var appointmentFieldValues = []fieldOf[Appointment]{
	{"id", func(a *Appointment) any { return a.ID }},
	{"address", func(a *Appointment) any { return a.Address }},
	{"title", func(a *Appointment) any { return a.Title }},
	{"calendarId", func(a *Appointment) any { return a.CalendarID }},
	{"contactId", func(a *Appointment) any { return a.ContactID }},
	{"groupId", func(a *Appointment) any { return a.GroupID }},
	{"appointmentStatus", func(a *Appointment) any { return a.AppointmentStatus }},
	{"assignedUserId", func(a *Appointment) any { return a.AssignedUserID }},
	{"users", func(a *Appointment) any { return texts(a.Users) }},
	{"notes", func(a *Appointment) any { return a.Notes }},
	{"source", func(a *Appointment) any { return a.Source }},
	{"startTime", func(a *Appointment) any {
		if a.AllDay {
			return lang.WholeDay(a.StartTime)
		}
		return a.StartTime
	}},
	{"endTime", func(a *Appointment) any {
		if a.AllDay && lang.IsDate(a.EndTime) {
			return lang.WholeDay(a.EndTime)
		}
		return a.EndTime
	}},
	{"dateAdded", func(a *Appointment) any { return a.DateAdded }},
	{"dateUpdated", func(a *Appointment) any { return a.DateUpdated }},
}

var (
	contactFieldValues  = seenFields[Contact]()
	userFieldValues     = seenFields[User]()
	calendarFieldValues = seenFields[Calendar]()
	locationFieldValues = seenFields[Location]()
)

// seenFields returns the fields of a struct that expressions see.
func seenFields[T any]() (fields []fieldOf[T]) {
	for f := range reflect.TypeFor[T]().Fields() {
		if f.Tag.Get("doc") == "" { // not for expressions
			continue
		}
		fields = append(fields, fieldOf[T]{f.Tag.Get("json"), func(v *T) any {
			switch x := reflect.ValueOf(v).Elem().FieldByIndex(f.Index).Interface().(type) {
			case []string:
				return texts(x)
			case map[string]any:
				return orNil(x)
			default:
				return x
			}
		}})
	}
	return fields
}

// lazyValue returns the value of a variable or an object that few expressions use. raw is the decoded body, nil if there
// is none.
func (e *Event) lazyValue(name string) any {
	switch name {
	case "contact":
		return e.sought(name, e.Contact.ID, whole(&e.Contact, contactFieldValues))
	case "user":
		return e.sought(name, e.User.ID, whole(&e.User, userFieldValues))
	case "calendar":
		return e.sought(name, e.Calendar.ID, whole(&e.Calendar, calendarFieldValues))
	case "location":
		return e.sought(name, e.Location.ID, whole(&e.Location, locationFieldValues))
	case "users":
		list := make([]any, len(e.Users))
		for i := range e.Users {
			u := &e.Users[i]
			if (u.Name == "" || u.Email == "") && e.mayAsk("user", u.ID) { // a look-up has both
				return lang.Unknown{Object: "user", ID: u.ID}
			}
			list[i] = whole(u, userFieldValues)
		}
		return list
	case historyName:
		return e.history()
	case "raw":
		if len(bytes.TrimSpace(e.Body)) > 0 {
			return DecodePayload(e.Body)
		}
	}
	return nil
}
