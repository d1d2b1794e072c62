package rules

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"bellhop/rules/lang"
)

// People are those whom the ids of an event stand for. They come from the payload, else from the directory, else from
// the platform. A field that nobody knows is empty. The JSON names are those of rule expressions; the doc tags explain
// the fields to people.
type People struct {
	Contact  Contact
	User     User   // who is assigned
	Users    []User // who takes part, in the order of the appointment's users
	Calendar Calendar
	Location Location
}

// A Contact is the person who booked.
type Contact struct {
	ID        string         `json:"id" doc:"The platform's id of the person."`
	Name      string         `json:"name" doc:"The full name."`
	FirstName string         `json:"firstName" doc:"The first name."`
	LastName  string         `json:"lastName" doc:"The last name."`
	Email     string         `json:"email" doc:"The e-mail address."`
	Phone     string         `json:"phone" doc:"The telephone number."`
	Timezone  string         `json:"timezone" doc:"The person's time zone."`
	Language  string         `json:"language" doc:"The person's language, such as de."`
	Tags      []string       `json:"tags" doc:"The labels that the person carries, a list."`
	DND       bool           `json:"dnd" doc:"True if the person wants no messages at all."`
	Custom    map[string]any `json:"custom" doc:"Further fields of the person, as they came."`

	// OptOuts are the channels by which the person wants no messages: email, sms, whatsapp, call. DND stands for all.
	OptOuts []string `json:"optOuts"`
}

// A User is a colleague who works at a location.
type User struct {
	ID        string         `json:"id" doc:"The platform's id of the colleague."`
	Name      string         `json:"name" doc:"The full name."`
	FirstName string         `json:"firstName" doc:"The first name."`
	LastName  string         `json:"lastName" doc:"The last name."`
	Email     string         `json:"email" doc:"The e-mail address."`
	Phone     string         `json:"phone" doc:"The telephone number."`
	Timezone  string         `json:"timezone" doc:"The colleague's time zone."`
	Language  string         `json:"language" doc:"The colleague's language, such as de."`
	Slack     string         `json:"slack" doc:"The colleague's member id in Slack, such as U024BE7LH."`
	Team      string         `json:"team" doc:"The team that the colleague belongs to."`
	Custom    map[string]any `json:"custom" doc:"Further fields of the colleague, as they came."`
}

// A Calendar is what appointments are booked in.
type Calendar struct {
	ID     string         `json:"id" doc:"The platform's id of the calendar."`
	Name   string         `json:"name" doc:"What the calendar is called."`
	Custom map[string]any `json:"custom" doc:"Further fields of the calendar, as they came."`
}

// A Location is a business of its own on the platform.
type Location struct {
	ID       string         `json:"id" doc:"The platform's id of the location."`
	Name     string         `json:"name" doc:"What the location is called."`
	Timezone string         `json:"timezone" doc:"The location's time zone."`
	Language string         `json:"language" doc:"The location's language, such as de."`
	Email    string         `json:"email" doc:"The location's e-mail address."`
	Phone    string         `json:"phone" doc:"The location's telephone number."`
	Address  string         `json:"address" doc:"Where the location is."`
	Custom   map[string]any `json:"custom" doc:"Further fields of the location, as they came."`
}

// soughtFields are the fields that the platform's API has.
var soughtFields = map[string][]string{
	"contact":  {"name", "firstName", "lastName", "email", "phone", "timezone", "tags", "dnd", "custom"},
	"user":     {"name", "firstName", "lastName", "email", "phone"},
	"calendar": {"name"},
	"location": {"name", "timezone", "email", "phone", "address"},
}

// sought marks the fields of an object that are empty, and can be looked up, as unknown.
func (e *Event) sought(object, id string, fields map[string]any) map[string]any {
	if e.mayAsk(object, id) {
		for _, name := range soughtFields[object] {
			if isEmpty(fields[name]) {
				fields[name] = lang.Unknown{Object: object, ID: id}
			}
		}
	}
	return fields
}

// mayAsk reports whether more can become known of an object.
func (e *Event) mayAsk(object, id string) bool {
	return e.Asks && id != "" && !e.Answers.has(object, id)
}

// seeks reports whether a field, such as contact.email, has to be looked up.
func (e *Event) seeks(field string, v any) bool {
	object, name, _ := strings.Cut(field, ".")
	if !e.Asks || !slices.Contains(soughtFields[object], name) || !isEmpty(v) {
		return false
	}
	id, _ := valueOf(object + ".id")(e).(string)
	return e.mayAsk(object, id)
}

// isEmpty reports whether a value of a field says nothing.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case bool:
		return !v
	case []string:
		return len(v) == 0
	}
	return v == nil
}

// know returns the event with the people whom its ids stand for. A field that the event itself has is kept.
func (s *Set) know(ev *Event) *Event {
	known, a := *ev, &ev.Appointment
	known.own = s.locations[ev.LocationID]
	known.Contact.ID = cmp.Or(a.ContactID, ev.Contact.ID)
	if ev.Contact.ID != "" && ev.Contact.ID != known.Contact.ID { // it is another one's by now
		known.Contact = Contact{ID: known.Contact.ID}
	}
	known.User.ID = cmp.Or(a.AssignedUserID, ev.User.ID)
	if ev.User.ID != "" && ev.User.ID != known.User.ID {
		known.User = User{ID: known.User.ID}
	}
	known.Calendar.ID = cmp.Or(a.CalendarID, ev.Calendar.ID)
	if ev.Calendar.ID != "" && ev.Calendar.ID != known.Calendar.ID {
		known.Calendar = Calendar{ID: known.Calendar.ID}
	}
	known.Location.ID = cmp.Or(ev.LocationID, ev.Location.ID)
	known.Users = make([]User, len(a.Users))
	for i, id := range a.Users {
		known.Users[i].ID = id
	}
	for _, d := range []*Directory{s.directory, ev.Answers} {
		if d == nil {
			continue
		}
		fill(&known.Contact, d.Contacts, known.Contact.ID)
		fill(&known.User, d.Users, known.User.ID)
		fill(&known.Calendar, d.Calendars, known.Calendar.ID)
		fill(&known.Location, d.Locations, known.Location.ID)
		for i := range known.Users {
			if u := &known.Users[i]; u.ID == known.User.ID {
				*u = known.User
			} else {
				fill(u, d.Users, u.ID)
			}
		}
	}
	return &known
}

// fill sets the fields of an object that are empty to those that are known of it.
func fill[T any](to *T, known map[string]T, id string) {
	from, ok := known[id]
	if !ok {
		return
	}
	have, more := reflect.ValueOf(to).Elem(), reflect.ValueOf(from)
	for i := range have.NumField() {
		if f := have.Field(i); f.IsZero() {
			f.Set(more.Field(i))
		}
	}
}
