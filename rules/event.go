package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bellhop/rules/text"
)

// An Event is one webhook after normalisation, and, once its appointment's state has been looked up, what
// happened: On, Changed and Previous. It is what conditions and templates see.
type Event struct {
	ID         string
	Source     string // who sends, as in /hooks/{source}
	Type       string // the wire type: AppointmentCreate, AppointmentUpdate, AppointmentDelete, or what else came
	LocationID string
	WebhookID  string    // the sender's id of this webhook, "" where it has none
	SentAt     time.Time // the sender's `timestamp`, zero where it has none
	ReceivedAt time.Time

	Appointment Appointment // as the payload says; once the state is known, as it then is
	Given       Fields      // the fields of Appointment that the payload carried
	Contact     Contact
	Zones       PayloadZones
	Custom      map[string]any  // customData of a workflow webhook
	Body        json.RawMessage // the whole body as it came; `raw` in expressions, decoded only for rules that read it
	Problems    []Problem       // what of the payload could not be read

	On       []string    // what happened: wire type and derived names, see [Names]
	Changed  []string    // JSON names of the appointment's fields that differ from Previous, sorted
	Previous Appointment // the appointment before this event, zero if unknown
}

// A Problem is something in a payload that could not be read. It is never replaced in silence.
type Problem struct {
	Field   string `json:"field"`
	Text    string `json:"text"`    // as it came, cut
	Message string `json:"message"` // what is wrong with it
}

func (p Problem) String() string {
	return fmt.Sprintf("%s: %s %s", p.Field, text.Quote(p.Text), p.Message)
}

// Trouble notes a problem.
func (e *Event) Trouble(field, message, text string) {
	e.Problems = append(e.Problems, Problem{Field: field, Text: shorten(text), Message: message})
}

// DecodePayload reads valid JSON of a payload; nil is of what is none. A whole number that a float64 cannot hold is an
// int, or a text where it is too large for that too, so that it keeps its digits.
func DecodePayload(data []byte) any {
	if !manyDigits(data) { // nearly always, and much faster
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

// manyDigits says whether there are more digits in a row than a float64 keeps.
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

// An Appointment is the thing booked. Texts are "" and times zero where the platform never said.
// Times keep the offset they came with. The JSON names are those of rule expressions, and the doc tags say
// to people what they are. AppointmentStatus is one of [Statuses], or an unknown word as it came.
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

	// AllDay: StartTime is a date without a time, and here its first moment. It belongs to StartTime, and expressions
	// do not see it: in a rule, such a day begins at midnight of the rule's own zone.
	AllDay bool `json:"allDay,omitempty"`

	// Over: it was over when it was first seen, as in an import of old bookings, and has not been moved to a time that
	// lies ahead since. Nobody is written to about it, unless the step asks for that.
	Over bool `json:"over,omitempty"`
}

// EndsBefore says whether the appointment is over at a moment. Without an end, it takes an hour, or the day.
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

// Moved says whether the appointment takes place at another time than before.
func (a *Appointment) Moved(before *Appointment) bool {
	return !a.StartTime.Equal(before.StartTime) || !a.EndTime.Equal(before.EndTime) || a.AllDay != before.AllDay
}

// A Contact is the person who booked, as far as the payload says.
type Contact struct {
	ID        string   `json:"id" doc:"The platform's id of the person."`
	Name      string   `json:"name" doc:"The full name."`
	FirstName string   `json:"firstName" doc:"The first name."`
	LastName  string   `json:"lastName" doc:"The last name."`
	Email     string   `json:"email" doc:"The e-mail address."`
	Phone     string   `json:"phone" doc:"The telephone number."`
	Timezone  string   `json:"timezone" doc:"The person's time zone."`
	Tags      []string `json:"tags" doc:"The labels that the person carries, a list."`
}

// PayloadZones are the names of time zones that the payload carries besides the contact's, as it says them.
type PayloadZones struct {
	Location string
	User     string
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

// Names are the words a rule's `on:` may hold.
func Names() []string {
	return []string{Create, Update, Delete, Booked, Rescheduled, Confirmed, Showed, NoShow, Cancelled, Reassigned, Updated}
}

// Statuses are the appointment statuses of the booking platform, as normalised.
func Statuses() []string {
	return []string{"new", "confirmed", "cancelled", "showed", "noshow", "invalid", "active", "completed"}
}

// Fields is a set of the appointment's fields: those that a payload carried. A field that is absent or
// null is not in it, so that it keeps the value known before.
type Fields uint32

// AppointmentFields are the JSON names of an appointment's fields, in the order of the struct.
func AppointmentFields() []string {
	return []string{
		"id", "address", "title", "calendarId", "contactId", "groupId", "appointmentStatus", "assignedUserId",
		"users", "notes", "source", "startTime", "endTime", "dateAdded", "dateUpdated",
	}
}

// FieldsOf is the set of the named fields; a name that is no field of an appointment is ignored.
func FieldsOf(names ...string) Fields {
	var set Fields
	for _, name := range names {
		if i := slices.Index(AppointmentFields(), name); i >= 0 {
			set |= 1 << i
		}
	}
	return set
}

// Has says whether the named field is in the set.
func (f Fields) Has(name string) bool { return f&FieldsOf(name) != 0 }
