package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"bellhop/rules/text"
)

// An Event is one webhook after normalisation. Once the state of its appointment has been looked up, it also says
// what happened: On, Changed and Previous. It is what conditions and templates see.
type Event struct {
	ID         string
	Source     string // the sender, as in /hooks/{source}
	Type       string // AppointmentCreate, AppointmentUpdate, AppointmentDelete, or another type as it came
	LocationID string
	WebhookID  string    // the sender's id of this webhook, "" if there is none
	SentAt     time.Time // the sender's `timestamp`, zero if there is none
	ReceivedAt time.Time

	Appointment Appointment // as in the payload; once the state is known, as it is after the event
	Given       Fields      // the fields of Appointment that are in the payload
	People
	Asks    bool            // what is not known of people and places can be looked up
	Answers *Directory      // what was looked up; nil if nothing was
	Custom  map[string]any  // the customData of a workflow webhook
	Body    json.RawMessage // the whole body as it came; decoded only for rules that use `raw`

	own *LocationFile // of its location; nil if there is none, or before [Set.know]

	// History returns what else is remembered of a contact at the location, those that start latest first. It is called for
	// rules that use contact.appointments; nil is nothing.
	History func(contact string) ([]Appointment, error)

	Problems []Problem // parts of the payload that could not be read

	On       []string    // what happened: the wire type and derived names, see [Names]
	Changed  []string    // JSON names of the appointment's fields that differ from Previous, sorted
	Previous Appointment // the appointment before this event, zero if unknown
}

// A Problem is a part of a payload that could not be read.
type Problem struct {
	Field   string `json:"field"`
	Text    string `json:"text"`    // as it came, shortened
	Message string `json:"message"` // what is wrong with it
}

func (p Problem) String() string {
	return fmt.Sprintf("%s: %s %s", p.Field, text.Quote(p.Text), p.Message)
}

// Trouble records a problem.
func (e *Event) Trouble(field, message, text string) {
	e.Problems = append(e.Problems, Problem{Field: field, Text: shorten(text), Message: message})
}

// DecodePayload decodes the JSON of a payload; it returns nil for invalid JSON. A whole number of 2^53 or more becomes
// an int, or a text if it is too large for an int, so that it keeps its digits.
func DecodePayload(data []byte) any {
	if !manyDigits(data) { // the usual case, and much faster
		var v any
		if json.Unmarshal(data, &v) != nil {
			return nil
		}
		return v
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil
	}
	return numbers(v)
}

// manyDigits reports whether there are more digits in a row than a float64 keeps.
func manyDigits(data []byte) bool {
	run := 0
	for _, c := range data {
		if c < '0' || c > '9' {
			run = 0
		} else if run++; run > 15 {
			return true
		}
	}
	return false
}

func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			if f := float64(i); i == int64(f) && f < 1<<53 && f > -1<<53 {
				return f
			}
			return int(i)
		}
		if !strings.ContainsAny(v.String(), ".eE") {
			return v.String()
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	}
	return v
}

// An Appointment is the thing booked. Texts are "" and times zero if the platform never sent them. Times keep the
// offset they came with. The JSON names are those of rule expressions; the doc tags explain the fields to people.
// AppointmentStatus is one of [Statuses], or an unknown word as it came.
type Appointment struct {
	ID                string    `json:"id" doc:"The platform's id of the appointment."`
	Address           string    `json:"address" doc:"Where it takes place."`
	Title             string    `json:"title" doc:"What it is called."`
	CalendarID        string    `json:"calendarId" doc:"The id of the calendar it is booked in."`
	ContactID         string    `json:"contactId" doc:"The id of the person who booked."`
	GroupID           string    `json:"groupId" doc:"The id of the calendar's group."`
	AppointmentStatus string    `json:"appointmentStatus" doc:"new, confirmed, cancelled, showed, noshow, invalid, active or completed."`
	AssignedUserID    string    `json:"assignedUserId" doc:"The id of the colleague it is assigned to."`
	Users             []string  `json:"users" doc:"The ids of all colleagues who take part."`
	Notes             string    `json:"notes" doc:"What was noted at the booking."`
	Source            string    `json:"source" doc:"Where it was booked from."`
	StartTime         time.Time `json:"startTime" doc:"When it begins."`
	EndTime           time.Time `json:"endTime" doc:"When it ends."`
	DateAdded         time.Time `json:"dateAdded" doc:"When it was booked."`
	DateUpdated       time.Time `json:"dateUpdated" doc:"When it was last changed."`

	// AllDay says that StartTime is a date without a time; it holds the first moment of the date. Expressions do not
	// see AllDay: in a rule, such a day begins at midnight of the rule's zone.
	AllDay bool `json:"allDay,omitempty"`

	// Over says that the appointment was over when it was first seen, as in an import of old bookings, and has not
	// been moved into the future since. No message about it is sent unless the step asks for that.
	Over bool `json:"over,omitempty"`
}

// EndsBefore reports whether the appointment is over at a moment. Without an end, it lasts an hour, or the whole day.
func (a *Appointment) EndsBefore(at time.Time) bool {
	end := a.EndTime
	switch {
	case a.StartTime.IsZero() && end.IsZero():
		return false
	case end.After(a.StartTime):
	case a.AllDay:
		end = a.StartTime.Add(24 * time.Hour)
	default:
		end = a.StartTime.Add(time.Hour)
	}
	return end.Before(at)
}

// Moved reports whether the time of the appointment differs from before.
func (a *Appointment) Moved(before *Appointment) bool {
	return !a.StartTime.Equal(before.StartTime) || !a.EndTime.Equal(before.EndTime) || a.AllDay != before.AllDay
}

// The wire types of the booking platform.
const (
	Create = "AppointmentCreate"
	Update = "AppointmentUpdate"
	Delete = "AppointmentDelete"
)

// The names derived from an event and the appointment's stored state.
const (
	Booked      = "booked"
	Rescheduled = "rescheduled"
	Confirmed   = "confirmed"
	Showed      = "showed"
	NoShow      = "noshow"
	Cancelled   = "cancelled"
	Reassigned  = "reassigned"
	Updated     = "updated"
)

// Names returns the words that a rule's `on:` may contain.
func Names() []string {
	return []string{Create, Update, Delete, Booked, Rescheduled, Confirmed, Showed, NoShow, Cancelled, Reassigned, Updated}
}

// Statuses returns the normalised appointment statuses of the booking platform.
func Statuses() []string {
	return []string{"new", "confirmed", "cancelled", "showed", "noshow", "invalid", "active", "completed"}
}

// Fields is the set of an appointment's fields that a payload contains. A field that is absent or null is not in it,
// so the value known before is kept.
type Fields uint32

// AppointmentFields returns the JSON names of an appointment's fields, in the order of the struct. Those without a
// description are not among them. At most 32 fit into [Fields].
func AppointmentFields() []string { return slices.Clone(appointmentFields) }

var appointmentFields = func() (names []string) {
	for f := range reflect.TypeFor[Appointment]().Fields() {
		if f.Tag.Get("doc") != "" {
			names = append(names, f.Tag.Get("json"))
		}
	}
	return names
}()

// FieldsOf returns the set of the named fields. Unknown names are ignored.
func FieldsOf(names ...string) Fields {
	var set Fields
	for _, name := range names {
		if i := slices.Index(appointmentFields, name); i >= 0 {
			set |= 1 << i
		}
	}
	return set
}

// Has reports whether the named field is in the set.
func (f Fields) Has(name string) bool { return f&FieldsOf(name) != 0 }
