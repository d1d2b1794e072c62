// Package payload reads webhooks of the booking platform, in all their shapes, as one kind of event.
package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"bellhop/rules"
)

// maxDepth is how deep a body's objects and lists may be nested. Real payloads stay below six.
const maxDepth = 64

// maxWraps is how many wrappers (data, body) are looked into for the appointment.
const maxWraps = 4

// A Normaliser turns every shape of webhook into one event. The zero value reads naive times in UTC. It may
// be used by several goroutines at once; keeping one saves loading the time zones again.
type Normaliser struct {
	// Zone is where a time without an offset is read when the payload names no zone. nil is UTC.
	Zone *time.Location

	// Statuses are words for statuses beyond those of the platform, by source: a word, and the status that it means.
	Statuses map[string]map[string]string

	zones sync.Map // name to *time.Location: those that payloads named
	kept  atomic.Int64
}

// Normalise is [Normaliser.Event] for a single event.
func Normalise(source string, body []byte, receivedAt time.Time, zone *time.Location) (*rules.Event, error) {
	return (&Normaliser{Zone: zone}).Event(source, body, receivedAt)
}

// Event reads one webhook. Only a body that is not a JSON object (or is nested absurdly deep) is an error, and
// its text is a sentence for the sender; whatever else is missing, unknown or unreadable is not given.
//
// A payload without a type, which is what a workflow webhook is, gives an event with Type "" and its
// appointment: whether that is a Create or an Update depends on whether the appointment is known, which is
// for the receiving side to decide. An event of an unknown type, or without an appointment's id, has a zero
// Appointment. The event's ID is left for the receiving side too.
//
// The event keeps body (as Body, without a byte order mark, and with what is not UTF-8 replaced by U+FFFD) and
// its texts share one copy of it.
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

// clean gives the body as one valid JSON object in valid UTF-8.
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
		// Checked first: validating and reading recurse.
		return nil, fmt.Errorf("the body is nested more than %d levels deep", maxDepth)
	case !gjson.ValidBytes(body):
		return nil, errors.New("the body is not valid JSON")
	case start[0] != '{':
		return nil, errors.New("the body is not a JSON object")
	}
	return body, nil
}

// tooDeep says whether objects and lists are nested deeper than maxDepth. It needs no valid JSON.
func tooDeep(body []byte) bool {
	if bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) <= maxDepth {
		return false // nearly always, and these two counts are quick
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

// A payload is what was found on the way from the body's top to the appointment.
type payload struct {
	root        gjson.Result
	appointment gjson.Result // the object whose fields are the appointment's
	calendar    bool         // appointment is the calendar of a workflow webhook
	named       bool         // the appointment stood under its name, or in a calendar
	nested      bool         // the appointment is not the body's top

	timestamp, contact, custom gjson.Result
	timezone, contactTimezone  string
	contactID                  string
	userID, calendarID         string
	person                     rules.Contact // from contact fields at the top
}

// unwrap walks from the body's top through its wrappers to the appointment, and takes what stands beside it.
// Of type, location and webhook id, what stands further out wins, except that an appointment's type wins over a
// wrapper's own.
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
			case "calendarId", "calendar_id":
				keep(&p.calendarID, v)
			case "location":
				location = text(v.Get("id"))
				keep(&ev.Zones.Location, v.Get("timezone"))
			case "user":
				keep(&p.userID, v.Get("id"))
				keep(&ev.Zones.User, v.Get("timezone"))
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
		ev.LocationID = first(ev.LocationID, locationID, location)
		ev.WebhookID = first(ev.WebhookID, webhook)

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

// fill completes the event from the appointment's object and what stood around it.
func (n *Normaliser) fill(ev *rules.Event, p *payload) {
	var r reading
	r.read(p.appointment, p.calendar)
	if p.nested {
		if folded, ok := foldType(r.kind); ok && !isAppointmentType(ev.Type) {
			ev.Type = folded
		}
		ev.LocationID = first(ev.LocationID, r.locationID)
	}
	// The zone of naive times. In a workflow webhook the top's timezone is the contact's.
	named := first(r.timezone, p.timezone)
	if named == "" && !p.calendar {
		named = p.contactTimezone
	}
	zone, zoneKnown := n.zone(named)
	ev.SentAt, _, _ = n.time(p.timestamp, zone)

	known := isAppointmentType(ev.Type) || ev.Type == ""
	if !known || r.appointment.ID == "" {
		return
	}
	// An object of no type that does not say it is an appointment must at least look like one.
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
	if ev.Given&fieldContact == 0 && p.contactID != "" {
		a.ContactID = p.contactID
		ev.Given |= fieldContact
	}
	if ev.Given&fieldContact == 0 && p.contact.IsObject() {
		if id := first(text(p.contact.Get("id")), text(p.contact.Get("contactId")), text(p.contact.Get("contact_id"))); id != "" {
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
	ev.Contact = p.person
	ev.Contact.ID = p.contactID
	ev.Contact.Timezone = p.contactTimezone
	readContact(&ev.Contact, p.contact)
	if _, known := n.zone(ev.Contact.Timezone); !known && ev.Contact.Timezone != named {
		ev.Trouble("contact.timezone", "is not a known time zone", ev.Contact.Timezone)
	}
	ev.Contact.ID = first(ev.Contact.ID, a.ContactID)
	ev.Contact.Name = first(ev.Contact.Name, strings.TrimSpace(ev.Contact.FirstName+" "+ev.Contact.LastName))
	if p.custom.IsObject() {
		ev.Custom, _ = rules.DecodePayload([]byte(p.custom.Raw)).(map[string]any)
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

	// looks are fields that a contact or an invoice does not have.
	looks = fieldCalendar | fieldStatus
)

// A reading is the appointment's object, read; its times wait until the zone is known.
type reading struct {
	appointment rules.Appointment
	given       rules.Fields
	emptied     rules.Fields // given as "", where that says something

	start, end, added, updated gjson.Result

	kind, locationID, timezone string
	bookedStatus               string // `status` of a calendar, which is no appointment status unless it says so
}

// read takes the fields of an appointment, or those of the calendar of a workflow webhook, whose names differ.
// A key given twice counts as its last occurrence says, as everywhere in JSON.
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
			case "appoinmentStatus": // misspelt so by the sender
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
			r.locationID = first(r.locationID, idOf(v))
		case "selectedTimezone", "timezone", "timeZone":
			r.timezone = text(v)
		}
		return true
	})
	if folded := foldStatus(r.bookedStatus); a.AppointmentStatus == "" && isStatus(folded) {
		r.set(&a.AppointmentStatus, folded, fieldStatus)
	}
}

// also is set for another name of a field, which counts where the documented one says nothing.
func (r *reading) also(to *string, v gjson.Result, field rules.Fields) {
	if id := idOf(v); id != "" && *to == "" {
		r.set(to, id, field)
	}
}

// idOf is an id, or that of an object.
func idOf(v gjson.Result) string {
	if v.IsObject() {
		return text(v.Get("id"))
	}
	return text(v)
}

func (r *reading) set(to *string, s string, field rules.Fields) {
	*to = s
	r.emptied &^= field
	r.given &^= field
	if s != "" {
		r.given |= field
	}
}

// setOrEmpty is set for a text that may be emptied on purpose, such as a note that was deleted.
func (r *reading) setOrEmpty(to *string, v gjson.Result, field rules.Fields) {
	r.set(to, text(v), field)
	if v.Type == gjson.String && *to == "" {
		r.emptied |= field
	}
}

// readContact takes a `contact` object, in either spelling of its names; it fills what is still empty.
func readContact(c *rules.Contact, object gjson.Result) {
	if !object.IsObject() {
		return
	}
	object.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "id", "contact_id", "contactId":
			c.ID = first(c.ID, text(v))
		case "name", "full_name", "fullName":
			c.Name = first(c.Name, text(v))
		case "firstName", "first_name":
			c.FirstName = first(c.FirstName, text(v))
		case "lastName", "last_name":
			c.LastName = first(c.LastName, text(v))
		case "email":
			c.Email = first(c.Email, text(v))
		case "phone":
			c.Phone = first(c.Phone, text(v))
		case "timezone", "timeZone":
			c.Timezone = first(c.Timezone, text(v))
		case "tags":
			if len(c.Tags) == 0 {
				c.Tags = list(v)
			}
		}
		return true
	})
}

// text is a text, or a number as it was written (some senders' ids are numbers); "" for anything else.
// NUL, which no store and no mail can hold, becomes U+FFFD.
func text(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		s := v.Str
		if strings.Contains(v.Raw, `\ud`) || strings.Contains(v.Raw, `\uD`) {
			// A surrogate may be alone; encoding/json then keeps the character after it.
			_ = json.Unmarshal([]byte(v.Raw), &s)
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

// keep stores a text if there is one.
func keep(to *string, v gjson.Result) {
	if s := text(v); s != "" {
		*to = s
	}
}

// list is a list of texts, or one text with commas; an object in it stands for its id. nil means not given,
// which an empty text is too.
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

// first is the first text that is not empty.
func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

func isAppointmentType(s string) bool {
	return s == rules.Create || s == rules.Update || s == rules.Delete
}

// foldType maps the spellings of an appointment's wire types (appointment.created, APPOINTMENT_CREATE) to the
// documented ones.
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

// foldStatus maps the spellings of a status to the one in [rules.Statuses]. An unknown word stays as it came.
func foldStatus(s string) string {
	if isStatus(s) {
		return s
	}
	switch folded := Fold(s); folded {
	case "canceled":
		return rules.Cancelled
	default:
		if isStatus(folded) {
			return folded
		}
	}
	return s
}

func isStatus(s string) bool {
	switch s {
	case "new", "confirmed", "cancelled", "showed", "noshow", "invalid", "active", "completed":
		return true
	}
	return false
}

// Fold drops case, spaces, '-', '_' and '.' from a short word; a long one is none of ours.
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
