package rules

import (
	"bytes"
	"time"
)

// environment is what expressions see of an event: one flat map, because a plain name is looked up in a
// quarter of the time that a field of a map takes. It is built once per event.
func environment(r *run) map[string]any {
	ev := r.ev
	env := make(map[string]any, 64)
	env[runName] = r
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

// orNil keeps a map that is not there from being a value.
func orNil(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

// texts is never nil, so that a list without elements is written [] and not null.
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
		env[prefix+"startTime"] = wholeDay(a.StartTime)
		if end := shown(a.EndTime); end.Equal(end.Truncate(24 * time.Hour)) { // a date too
			env[prefix+"endTime"] = wholeDay(a.EndTime)
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

// object is a whole appointment or contact as a map, for rules that pass it on.
func (r *run) object(name string) (any, error) {
	if err := r.charge(3000, 2048); err != nil {
		return nil, err
	}
	m := make(map[string]any, 16)
	switch name {
	case "appointment":
		addAppointment(m, "", &r.ev.Appointment)
	case "previous":
		addAppointment(m, "", &r.ev.Previous)
	case "contact":
		addContact(m, "", &r.ev.Contact)
	}
	return m, nil
}

// rawBody is the body as it came, decoded when the first rule asks for it.
func (r *run) rawBody() (any, error) {
	if !r.rawRead {
		r.rawRead = true
		if len(bytes.TrimSpace(r.ev.Body)) > 0 {
			r.raw = DecodePayload(r.ev.Body)
		}
	}
	return r.raw, nil
}
