// Package decide contains the decisions about events and deliveries: what happened to an appointment ([Derive]), which
// deliveries an event plans ([Deliveries]), and how a delivery follows its appointment until it is sent
// ([Change.Follow], [Still], [Decide]). It does not access the store: package receive calls it in its transactions, and
// the tests of rules and the backtest call it without any.
package decide

import (
	"slices"
	"time"

	"bellhop/rules"
)

// A Memory is the state of an appointment that is kept between events.
type Memory struct {
	rules.Appointment
	Deleted bool `json:"deleted,omitempty"`
	Booked  bool `json:"booked,omitempty"` // an event of it had "booked" in its On

	// Undated means that dateUpdated does not say how new the state is: it was in the future when it came, or the
	// appointment was deleted by an event without one. Dated says it instead, zero if nothing does.
	Undated bool      `json:"undated,omitempty"`
	Dated   time.Time `json:"dated,omitzero"`
}

// dated returns how new the state is. Older events are stale.
func (s *Memory) dated() time.Time {
	if s.Undated {
		return s.Dated
	}
	return s.DateUpdated
}

// ahead is how far the sender's clock can be ahead of ours.
const ahead = 5 * time.Minute

// dated returns how new the event is, zero if it does not say. A time in the future of its receipt is a mistake of the
// sender and does not count.
func dated(ev *rules.Event) time.Time {
	at := ev.Appointment.DateUpdated
	if !ev.ReceivedAt.IsZero() && at.After(ev.ReceivedAt.Add(ahead)) {
		return time.Time{}
	}
	return at
}

// cancelled reports whether the appointment will not take place, as far as is known.
func (s *Memory) cancelled() bool { return s.Deleted || s.AppointmentStatus == rules.Cancelled }

// Derive works out what ev means for an appointment whose state is prev (nil if it was never seen). It sets On, Changed,
// Previous and Appointment of ev and returns the next state. If the event is stale, nothing happened and the state stays.
//
// Events can be repeated, can come in the wrong order and do not contain the previous values. So these rules apply:
//
//   - A field that the payload lacks keeps its value.
//   - An update is stale if it is dated before the state. After a deletion it must be dated after the deletion. An update
//     without a date, or with one in the future, is used when it comes, except after a deletion. A deletion without a
//     date is dated when it is received.
//   - A create that comes after an update of its appointment still counts for rules on the wire type, with the newer
//     state. If the appointment is cancelled by then, it is stale.
//   - A delete is never stale.
//   - cancelled happens once, by status or by deletion, until an event undoes it.
//   - booked happens once for each appointment, at the first event that does not cancel it.
func Derive(prev *Memory, ev *rules.Event) (next Memory, stale bool) {
	var known Memory
	if prev != nil {
		known = *prev
	}
	if ev.Type == "" { // a workflow's webhook has none
		ev.Type = rules.Update
		if prev == nil {
			ev.Type = rules.Create
		}
	}
	ev.Previous = known.Appointment

	if prev != nil && ev.Type != rules.Delete && outdated(prev, ev) {
		if ev.Type == rules.Create && !prev.cancelled() {
			ev.Appointment, ev.On = known.Appointment, []string{rules.Create}
			return known, false
		}
		return known, true
	}

	next = Memory{Appointment: merge(known.Appointment, ev), Deleted: ev.Type == rules.Delete, Booked: known.Booked}
	next.Over = (prev == nil || prev.Over) && !ev.ReceivedAt.IsZero() && next.EndsBefore(ev.ReceivedAt)
	at := dated(ev)
	if ev.Type == rules.Delete && at.IsZero() {
		at = ev.ReceivedAt
	}
	if at.Before(known.dated()) { // the state never gets older
		at = known.dated()
	}
	if next.Undated = !at.Equal(next.DateUpdated); next.Undated {
		next.Dated = at
	}
	ev.Appointment = next.Appointment
	ev.Changed = nil
	if prev != nil {
		ev.Changed = Changed(&known.Appointment, &next.Appointment)
	}
	ev.On = happened(prev, &next, ev)
	next.Booked = next.Booked || slices.Contains(ev.On, rules.Booked)
	return next, false
}

// outdated reports whether ev is older than the state.
func outdated(prev *Memory, ev *rules.Event) bool {
	at, known := dated(ev), prev.dated()
	switch {
	case prev.Deleted && ev.Type == rules.Create && prev.StartTime.IsZero() && prev.CalendarID == "":
		return true // the deletion came before it: nothing else is known of the appointment
	case prev.Deleted:
		return at.IsZero() || !at.After(known)
	case at.IsZero() || known.IsZero():
		return false
	default:
		return at.Before(known)
	}
}

// happened lists what happened: the wire type first, then the derived names in a fixed order.
func happened(prev, next *Memory, ev *rules.Event) []string {
	on := []string{ev.Type}
	wasCancelled := prev != nil && prev.cancelled()
	known := map[string]bool{"dateUpdated": true, "dateAdded": true} // fields whose change is not "updated"

	if next.cancelled() {
		known["appointmentStatus"] = true
		if !wasCancelled {
			on = append(on, rules.Cancelled)
		}
	} else if !next.Booked {
		on = append(on, rules.Booked)
	}
	has := func(field string) bool { return slices.Contains(ev.Changed, field) }
	if ev.Type == rules.Delete {
		return on
	}
	if has("startTime") || has("endTime") {
		known["startTime"], known["endTime"] = true, true
		on = append(on, rules.Rescheduled)
	}
	for _, name := range []string{rules.Confirmed, rules.Showed, rules.NoShow} { // also the names of the statuses
		became := prev == nil || has("appointmentStatus") || prev.Deleted
		if became && next.AppointmentStatus == name {
			known["appointmentStatus"] = true
			on = append(on, name)
		}
	}
	if has("assignedUserId") {
		known["assignedUserId"] = true
		on = append(on, rules.Reassigned)
	}
	if slices.ContainsFunc(ev.Changed, func(field string) bool { return !known[field] }) {
		on = append(on, rules.Updated)
	}
	return on
}

// merge returns the known fields with those that the payload gave.
func merge(known rules.Appointment, ev *rules.Event) rules.Appointment {
	merged := known
	for i := range fields {
		if f := &fields[i]; ev.Given&f.bit != 0 {
			f.copy(&merged, &ev.Appointment)
		}
	}
	merged.ID = ev.Appointment.ID
	return merged
}

// Changed returns the names of the fields that differ, sorted.
func Changed(a, b *rules.Appointment) []string {
	var names []string
	for i := range fields {
		if f := &fields[i]; !f.same(a, b) {
			names = append(names, f.name)
		}
	}
	slices.Sort(names)
	return names
}

// A field says how one field of an appointment is compared and copied.
type field struct {
	name string
	bit  rules.Fields // of the field in a set
	same func(a, b *rules.Appointment) bool
	copy func(to, from *rules.Appointment)
}

func text(name string, of func(*rules.Appointment) *string) field {
	return field{name, rules.FieldsOf(name),
		func(a, b *rules.Appointment) bool { return *of(a) == *of(b) },
		func(to, from *rules.Appointment) { *of(to) = *of(from) }}
}

// moment is a field with a time. The same moment with another offset is no change.
func moment(name string, of func(*rules.Appointment) *time.Time) field {
	return field{name, rules.FieldsOf(name),
		func(a, b *rules.Appointment) bool { return of(a).Equal(*of(b)) },
		func(to, from *rules.Appointment) { *of(to) = *of(from) }}
}

var fields = []field{
	text("address", func(a *rules.Appointment) *string { return &a.Address }),
	text("title", func(a *rules.Appointment) *string { return &a.Title }),
	text("calendarId", func(a *rules.Appointment) *string { return &a.CalendarID }),
	text("contactId", func(a *rules.Appointment) *string { return &a.ContactID }),
	text("groupId", func(a *rules.Appointment) *string { return &a.GroupID }),
	text("appointmentStatus", func(a *rules.Appointment) *string { return &a.AppointmentStatus }),
	text("assignedUserId", func(a *rules.Appointment) *string { return &a.AssignedUserID }),
	{"users", rules.FieldsOf("users"),
		func(a, b *rules.Appointment) bool { return slices.Equal(a.Users, b.Users) },
		func(to, from *rules.Appointment) { to.Users = from.Users }},
	text("notes", func(a *rules.Appointment) *string { return &a.Notes }),
	text("source", func(a *rules.Appointment) *string { return &a.Source }),
	{"startTime", rules.FieldsOf("startTime"),
		func(a, b *rules.Appointment) bool { return a.StartTime.Equal(b.StartTime) && a.AllDay == b.AllDay },
		func(to, from *rules.Appointment) { to.StartTime, to.AllDay = from.StartTime, from.AllDay }},
	moment("endTime", func(a *rules.Appointment) *time.Time { return &a.EndTime }),
	moment("dateAdded", func(a *rules.Appointment) *time.Time { return &a.DateAdded }),
	moment("dateUpdated", func(a *rules.Appointment) *time.Time { return &a.DateUpdated }),
}
