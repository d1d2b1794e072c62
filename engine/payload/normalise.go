// Package payload reads webhooks of the booking platform, in all their shapes, as one kind of event.
package payload

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"bellhop/rules"
)

// maxDepth is how deep objects and lists can be nested in a body. Real payloads are nested less than six levels deep.
const maxDepth = 64

// maxWraps is how many wrappers (data, body) are opened in the search for the appointment.
const maxWraps = 4

// A Normaliser turns a webhook of any shape into an event. The zero value reads times without an offset in UTC. It is
// safe for concurrent use. It caches time zones, so keep one instead of making a new one for each webhook.
type Normaliser struct {
	// Zone is for times without an offset if the payload names no known zone. nil is UTC.
	Zone *time.Location

	// Statuses has additional words for statuses, by source. It maps each word, folded by [Fold], to a status of the
	// platform. It must not change while the Normaliser is in use.
	Statuses map[string]map[string]string

	zones sync.Map // a cache: the name in a payload to its *time.Location
	kept  atomic.Int64
}

// Normalise reads one webhook like [Normaliser.Event], with a Normaliser that it makes for this call.
func Normalise(source string, body []byte, receivedAt time.Time, zone *time.Location) (*rules.Event, error) {
	return (&Normaliser{Zone: zone}).Event(source, body, receivedAt)
}

// Event reads one webhook. It returns an error only if the body is not a JSON object or is nested too deep. The
// error's text is a sentence for the sender.
//
// Given of the event has the appointment's fields that the payload sets, or empties on purpose. A time, a time zone or
// a status that cannot be read is one of the event's Problems. A time that cannot be read is not given.
//
// A payload without a type, for example from a workflow, becomes an event with Type "". Whether it is a Create or an
// Update depends on whether the appointment is known, which the caller must decide. The caller must also set the ID of
// the event. Appointment and Given are zero if the type is unknown, if there is no id of an appointment, or if there is
// no type and the object does not look like an appointment.
//
// The event's Body is body without a byte order mark and with invalid UTF-8 replaced by U+FFFD. The caller must not
// change body afterwards. The event's texts share one copy of it.
func (n *Normaliser) Event(source string, body []byte, receivedAt time.Time) (*rules.Event, error) {
	body, err := clean(body)
	if err != nil {
		return nil, err
	}
	ev := &rules.Event{Source: source, ReceivedAt: receivedAt, Body: body}
	p := payload{root: gjson.Parse(string(body))}
	p.unwrap(ev)
	n.fill(ev, &p)
	return ev, nil
}

// clean returns the body as one valid JSON object in valid UTF-8. It copies the body only if it must replace something.
func clean(body []byte) ([]byte, error) {
	body = bytes.TrimPrefix(body, []byte("\uFEFF"))
	if !utf8.Valid(body) {
		body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	start := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(start) == 0:
		return nil, errors.New("the body is empty; a JSON object is expected")
	case tooDeep(body):
		// This is checked first, because validating and reading are recursive.
		return nil, fmt.Errorf("the body is nested more than %d levels deep", maxDepth)
	case !gjson.ValidBytes(body):
		return nil, errors.New("the body is not valid JSON")
	case start[0] != '{':
		return nil, errors.New("the body is not a JSON object")
	}
	return body, nil
}

// tooDeep reports whether objects and lists are nested deeper than maxDepth. The body need not be valid JSON.
func tooDeep(body []byte) bool {
	if bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) <= maxDepth {
		return false // nearly all bodies end here, and counting is quick
	}
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// A payload contains what was found on the way from the top of the body to the appointment.
type payload struct {
	root        gjson.Result
	appointment gjson.Result // the object with the appointment's fields
	calendar    bool         // appointment is the calendar of a workflow webhook
	named       bool         // the appointment is under a key `appointment`, or in a calendar
	nested      bool         // the appointment is not the top of the body

	timestamp, contact, custom gjson.Result
	timezone, contactTimezone  string
	contactID                  string
	userID, calendarID         string
	person                     rules.Contact // from contact fields at the top
}

// unwrap goes from the top of the body through its wrappers to the appointment, and reads the fields around it. For the
// type, the location and the webhook id, the outermost value counts. For all other fields the innermost counts. The
// type of an appointment event counts before another type that is further out.
func (p *payload) unwrap(ev *rules.Event) {
	level := p.root
	for range maxWraps {
		var appointment, data, body, calendar gjson.Result
		var kind, location, locationID, webhook string
		level.ForEach(func(key, v gjson.Result) bool {
			switch key.Str {
			case "type":
				kind = text(v)
			case "locationId", "location_id":
				locationID = text(v)
			case "webhookId", "webhook_id":
				webhook = text(v)
			case "timestamp":
				p.timestamp = v
			case "appointment":
				appointment = v
			case "data":
				data = v
			case "body":
				body = v
			case "calendar":
				calendar = v
				keep(&p.calendarID, v.Get("id"))
				ev.Calendar = rules.Calendar{ID: text(v.Get("id")), Name: cmp.Or(text(v.Get("calendarName")), text(v.Get("name")))}
			case "calendarId", "calendar_id":
				keep(&p.calendarID, v)
			case "location":
				location = text(v.Get("id"))
				readLocation(&ev.Location, v)
			case "user":
				keep(&p.userID, v.Get("id"))
				ev.User = readUser(v)
			case "assignedUserId", "assigned_user_id", "userId", "user_id":
				keep(&p.userID, v)
			case "contact":
				p.contact = v
			case "customData":
				p.custom = v
			case "selectedTimezone", "timeZone":
				keep(&p.timezone, v)
			case "timezone":
				keep(&p.contactTimezone, v)
			case "contactId", "contact_id":
				keep(&p.contactID, v)
			case "full_name":
				keep(&p.person.Name, v)
			case "first_name":
				keep(&p.person.FirstName, v)
			case "last_name":
				keep(&p.person.LastName, v)
			case "email":
				keep(&p.person.Email, v)
			case "phone":
				keep(&p.person.Phone, v)
			case "tags":
				if tags := list(v); tags != nil {
					p.person.Tags = tags
				}
			}
			return true
		})
		if folded, ok := foldType(kind); ok && !isAppointmentType(ev.Type) {
			ev.Type = folded
		} else if ev.Type == "" {
			ev.Type = kind
		}
		ev.LocationID = cmp.Or(ev.LocationID, locationID, location)
		ev.WebhookID = cmp.Or(ev.WebhookID, webhook)

		switch {
		case appointment.IsObject():
			p.appointment, p.named, p.nested = appointment, true, true
			return
		case data.IsObject():
			level = data
		case body.IsObject():
			level = body
		case calendar.IsObject() && (ev.Type == "" || calendar.Get("appointmentId").Exists()):
			p.appointment, p.calendar, p.named, p.nested = calendar, true, true, true
			return
		default:
			p.appointment = level
			return
		}
		p.nested = true
	}
	p.appointment = level
}

// fill completes the event from the appointment's object and the fields around it. For the user, the calendar and the
// contact, the fields around it count only if the appointment does not give them.
func (n *Normaliser) fill(ev *rules.Event, p *payload) {
	var r reading
	r.read(p.appointment, p.calendar)
	if p.nested {
		if folded, ok := foldType(r.kind); ok && !isAppointmentType(ev.Type) {
			ev.Type = folded
		}
		ev.LocationID = cmp.Or(ev.LocationID, r.locationID)
	}
	// This is the zone of times without an offset. In a workflow webhook, `timezone` at the top is the contact's zone.
	named := cmp.Or(r.timezone, p.timezone)
	if named == "" && !p.calendar {
		named = p.contactTimezone
	}
	zone, zoneKnown := n.zone(named)
	ev.SentAt, _, _ = n.time(p.timestamp, zone)

	known := isAppointmentType(ev.Type) || ev.Type == ""
	if !known || r.appointment.ID == "" {
		return
	}
	// Without a type, an object that is not named as an appointment must at least look like one.
	if ev.Type == "" && !p.named && r.given&looks == 0 && !r.start.Exists() {
		return
	}
	ev.Appointment, ev.Given = r.appointment, r.given
	a := &ev.Appointment
	for i, at := range [...]*time.Time{&a.StartTime, &a.EndTime, &a.DateAdded, &a.DateUpdated} {
		t, ok, problem := n.time([...]gjson.Result{r.start, r.end, r.added, r.updated}[i], zone)
		if ok {
			*at = t
			ev.Given |= [...]rules.Fields{fieldStart, fieldEnd, fieldAdded, fieldUpdated}[i]
		}
		if problem != "" {
			ev.Trouble([...]string{"startTime", "endTime", "dateAdded", "dateUpdated"}[i], "cannot be read as a time", problem)
		}
	}
	a.AllDay = ev.Given&fieldStart != 0 && isDate(r.start)
	if !zoneKnown {
		ev.Trouble("timezone", "is not a known time zone; times without an offset are read in the configured one", named)
	}
	if word := a.AppointmentStatus; word != "" && !isStatus(word) {
		if meant := n.Statuses[ev.Source][Fold(word)]; meant != "" {
			a.AppointmentStatus = meant
		} else {
			ev.Trouble("appointmentStatus", "is not a known status; `statuses` of the source in bellhop.yaml can say what it means", word)
		}
	}
	if ev.Type != rules.Delete {
		ev.Given |= r.emptied
	}
	p.fillIDs(ev)
	ev.Contact = p.person
	ev.Contact.ID = p.contactID
	ev.Contact.Timezone = p.contactTimezone
	readContact(&ev.Contact, p.contact)
	if _, known := n.zone(ev.Contact.Timezone); !known && ev.Contact.Timezone != named {
		ev.Trouble("contact.timezone", "is not a known time zone", ev.Contact.Timezone)
	}
	ev.Contact.ID = cmp.Or(ev.Contact.ID, a.ContactID)
	ev.Contact.Name = cmp.Or(ev.Contact.Name, strings.TrimSpace(ev.Contact.FirstName+" "+ev.Contact.LastName))
	// What stands beside the appointment can be of another one.
	if ev.Calendar.ID != "" && ev.Calendar.ID != a.CalendarID {
		ev.Calendar = rules.Calendar{}
	}
	if ev.User.ID != "" && ev.User.ID != a.AssignedUserID {
		ev.User = rules.User{}
	}
	if p.custom.IsObject() {
		ev.Custom, _ = rules.DecodePayload([]byte(p.custom.Raw)).(map[string]any)
	}
}

// fillIDs takes ids that the appointment's object lacks from the fields around it.
func (p *payload) fillIDs(ev *rules.Event) {
	a := &ev.Appointment
	if ev.Given&fieldContact == 0 && p.contactID != "" {
		a.ContactID = p.contactID
		ev.Given |= fieldContact
	}
	if ev.Given&fieldContact == 0 && p.contact.IsObject() {
		if id := cmp.Or(text(p.contact.Get("id")), text(p.contact.Get("contactId")), text(p.contact.Get("contact_id"))); id != "" {
			a.ContactID = id
			ev.Given |= fieldContact
		}
	}
	if ev.Given&fieldAssigned == 0 && ev.Given&fieldUsers == 0 && p.userID != "" {
		a.AssignedUserID = p.userID
		ev.Given |= fieldAssigned
	}
	if ev.Given&fieldCalendar == 0 && p.calendarID != "" {
		a.CalendarID = p.calendarID
		ev.Given |= fieldCalendar
	}
}

// The appointment's fields as bits, see [rules.Fields].
var (
	fieldID       = rules.FieldsOf("id")
	fieldAddress  = rules.FieldsOf("address")
	fieldTitle    = rules.FieldsOf("title")
	fieldCalendar = rules.FieldsOf("calendarId")
	fieldContact  = rules.FieldsOf("contactId")
	fieldGroup    = rules.FieldsOf("groupId")
	fieldStatus   = rules.FieldsOf("appointmentStatus")
	fieldAssigned = rules.FieldsOf("assignedUserId")
	fieldUsers    = rules.FieldsOf("users")
	fieldNotes    = rules.FieldsOf("notes")
	fieldSource   = rules.FieldsOf("source")
	fieldStart    = rules.FieldsOf("startTime")
	fieldEnd      = rules.FieldsOf("endTime")
	fieldAdded    = rules.FieldsOf("dateAdded")
	fieldUpdated  = rules.FieldsOf("dateUpdated")

	// looks are fields that an appointment has, but a contact or an invoice does not.
	looks = fieldCalendar | fieldStatus
)

// A reading has the fields of the appointment's object. Its times are read later, when the zone is known.
type reading struct {
	appointment rules.Appointment
	given       rules.Fields
	emptied     rules.Fields // fields given as "", which a sender can empty on purpose

	start, end, added, updated gjson.Result

	kind, locationID, timezone string
	bookedStatus               string // `status` of a calendar, used only if it is an appointment status
}

// read reads the fields of an appointment, or of the calendar of a workflow webhook, whose names differ. If a key is
// given twice, the last one counts, as usual in JSON.
func (r *reading) read(object gjson.Result, calendar bool) {
	a := &r.appointment
	object.ForEach(func(key, v gjson.Result) bool {
		name := key.Str
		if calendar {
			switch name {
			case "id":
				name = "calendarId"
			case "appointmentId":
				name = "id"
			case "appoinmentStatus": // the sender misspells it
				name = "appointmentStatus"
			case "status":
				r.bookedStatus = text(v)
				return true
			}
		}
		switch name {
		case "id", "appointmentId":
			if s := text(v); name == "id" || a.ID == "" {
				r.set(&a.ID, s, fieldID)
			}
		case "address":
			r.setOrEmpty(&a.Address, v, fieldAddress)
		case "title":
			r.setOrEmpty(&a.Title, v, fieldTitle)
		case "calendarId":
			r.set(&a.CalendarID, text(v), fieldCalendar)
		case "calendar_id", "calendar":
			r.also(&a.CalendarID, v, fieldCalendar)
		case "contactId":
			r.set(&a.ContactID, text(v), fieldContact)
		case "contact_id", "contact":
			r.also(&a.ContactID, v, fieldContact)
		case "groupId":
			r.setOrEmpty(&a.GroupID, v, fieldGroup)
		case "appointmentStatus":
			r.set(&a.AppointmentStatus, foldStatus(text(v)), fieldStatus)
		case "assignedUserId":
			r.setOrEmpty(&a.AssignedUserID, v, fieldAssigned)
		case "assigned_user_id", "userId", "user_id", "user":
			r.also(&a.AssignedUserID, v, fieldAssigned)
		case "users":
			a.Users = list(v)
			r.given &^= fieldUsers
			if a.Users != nil {
				r.given |= fieldUsers
			}
		case "notes":
			r.setOrEmpty(&a.Notes, v, fieldNotes)
		case "source":
			r.set(&a.Source, text(v), fieldSource)
		case "startTime":
			r.start = v
		case "endTime":
			r.end = v
		case "dateAdded":
			r.added = v
		case "dateUpdated":
			r.updated = v
		case "type":
			r.kind = text(v)
		case "locationId":
			r.locationID = text(v)
		case "location_id", "location":
			r.locationID = cmp.Or(r.locationID, idOf(v))
		case "selectedTimezone", "timezone", "timeZone":
			r.timezone = text(v)
		}
		return true
	})
	if folded := foldStatus(r.bookedStatus); a.AppointmentStatus == "" && isStatus(folded) {
		r.set(&a.AppointmentStatus, folded, fieldStatus)
	}
}

// also sets a field that was given under another name, if it has no value yet.
func (r *reading) also(to *string, v gjson.Result, field rules.Fields) {
	if id := idOf(v); id != "" && *to == "" {
		r.set(to, id, field)
	}
}

// idOf returns an id: the value itself, or the field `id` if the value is an object.
func idOf(v gjson.Result) string {
	if v.IsObject() {
		return text(v.Get("id"))
	}
	return text(v)
}

// set sets a field, which is given if s is not empty.
func (r *reading) set(to *string, s string, field rules.Fields) {
	*to = s
	r.emptied &^= field
	r.given &^= field
	if s != "" {
		r.given |= field
	}
}

// setOrEmpty sets a text that a sender can empty on purpose, for example to delete a note.
func (r *reading) setOrEmpty(to *string, v gjson.Result, field rules.Fields) {
	r.set(to, text(v), field)
	if v.Type == gjson.String && *to == "" {
		r.emptied |= field
	}
}

// readContact reads a `contact` object with its keys in any known spelling. It sets only fields that are still empty.
func readContact(c *rules.Contact, object gjson.Result) {
	if !object.IsObject() {
		return
	}
	object.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "id", "contact_id", "contactId":
			c.ID = cmp.Or(c.ID, text(v))
		case "name", "full_name", "fullName":
			c.Name = cmp.Or(c.Name, text(v))
		case "firstName", "first_name":
			c.FirstName = cmp.Or(c.FirstName, text(v))
		case "lastName", "last_name":
			c.LastName = cmp.Or(c.LastName, text(v))
		case "email":
			c.Email = cmp.Or(c.Email, text(v))
		case "phone":
			c.Phone = cmp.Or(c.Phone, text(v))
		case "timezone", "timeZone":
			c.Timezone = cmp.Or(c.Timezone, text(v))
		case "tags":
			if len(c.Tags) == 0 {
				c.Tags = list(v)
			}
		}
		return true
	})
}

// readUser reads a `user` object, which has the keys of a contact.
func readUser(object gjson.Result) rules.User {
	var p rules.Contact
	readContact(&p, object)
	return rules.User{
		ID: p.ID, Name: cmp.Or(p.Name, strings.TrimSpace(p.FirstName+" "+p.LastName)), FirstName: p.FirstName, LastName: p.LastName,
		Email: p.Email, Phone: p.Phone, Timezone: p.Timezone,
	}
}

// readLocation reads a `location` object.
func readLocation(l *rules.Location, object gjson.Result) {
	keep(&l.Name, object.Get("name"))
	keep(&l.Timezone, object.Get("timezone"))
	keep(&l.Email, object.Get("email"))
	keep(&l.Phone, object.Get("phone"))
	keep(&l.Address, object.Get("address"))
	keep(&l.Address, object.Get("fullAddress"))
}

// text returns a text, or a number as it was written, because the ids of some senders are numbers. It returns "" for
// anything else. It replaces NUL by U+FFFD, because a store or a mail cannot contain NUL.
func text(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		s := v.Str
		if strings.IndexByte(v.Raw, '\\') >= 0 && (strings.Contains(v.Raw, `\ud`) || strings.Contains(v.Raw, `\uD`)) {
			s = surrogates(v)
		}
		if strings.IndexByte(s, 0) >= 0 {
			s = strings.ReplaceAll(s, "\x00", "\uFFFD")
		}
		return s
	case gjson.Number:
		return v.Raw
	}
	return ""
}

// surrogates reads a text in which a surrogate can lack its other half. gjson then loses the character after it, and
// encoding/json does not.
func surrogates(v gjson.Result) string {
	s := v.Str
	_ = json.Unmarshal([]byte(v.Raw), &s)
	return s
}

// keep stores a text unless it is empty.
func keep(to *string, v gjson.Result) {
	if s := text(v); s != "" {
		*to = s
	}
}

// list returns the texts of a list, or the parts of one text that are separated by commas. For an object in a list it
// takes the id. It leaves out empty texts. nil means that the value is not given. An empty list is given, and an empty
// text is not.
func list(v gjson.Result) []string {
	switch {
	case v.IsArray():
		out := []string{}
		v.ForEach(func(_, item gjson.Result) bool {
			if item.IsObject() {
				item = item.Get("id")
			}
			if s := strings.TrimSpace(text(item)); s != "" {
				out = append(out, s)
			}
			return true
		})
		return out
	case v.Type == gjson.String || v.Type == gjson.Number:
		var out []string
		for s := range strings.SplitSeq(text(v), ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

func isAppointmentType(s string) bool {
	return s == rules.Create || s == rules.Update || s == rules.Delete
}

// foldType maps the spellings of an appointment's wire types (appointment.created, APPOINTMENT_CREATE) to the
// documented ones, and reports whether s is one of them. Any other s is returned as it is.
func foldType(s string) (string, bool) {
	if isAppointmentType(s) {
		return s, true
	}
	switch Fold(s) {
	case "appointmentcreate", "appointmentcreated":
		return rules.Create, true
	case "appointmentupdate", "appointmentupdated":
		return rules.Update, true
	case "appointmentdelete", "appointmentdeleted":
		return rules.Delete, true
	}
	return s, false
}

// foldStatus maps the spellings of a status to the one in [rules.Statuses]. It returns an unknown word as it is.
func foldStatus(s string) string {
	if isStatus(s) {
		return s
	}
	switch folded := Fold(s); {
	case folded == "canceled":
		return rules.Cancelled
	case isStatus(folded):
		return folded
	}
	return s
}

func isStatus(s string) bool { return slices.Contains(rules.Statuses(), s) }

// Fold returns s in lower case and without spaces, tabs, '-', '_' and '.', to compare words that senders spell
// differently. Only ASCII letters change their case. Fold returns "" for more than 64 bytes, because no known word is
// that long.
func Fold(s string) string {
	if len(s) > 64 {
		return ""
	}
	return strings.Map(func(c rune) rune {
		switch {
		case c == '-' || c == '_' || c == '.' || c == ' ' || c == '\t':
			return -1
		case 'A' <= c && c <= 'Z':
			return c + 'a' - 'A'
		}
		return c
	}, s)
}
