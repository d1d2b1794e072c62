// Package decide says what events mean and what becomes of what they cause: what happened to an appointment ([Derive]), which
// deliveries that makes ([Deliveries]), and how a delivery follows its appointment until it is sent ([Change.Follow],
// [Still], [Decide]). It reads and writes nothing: package receive asks it within its transactions, and the tests of rules
// and backtest ask it without any.
package decide

import (
	"slices"
	"time"

	"bellhop/rules"
)

// A Memory is what is remembered of an appointment between events.
type Memory struct {
	rules.Appointment
	Deleted bool `json:"deleted,omitempty"`
	Booked  bool `json:"booked,omitempty"` // it has been announced as booked

	// Undated says that dateUpdated does not tell how new the state is: it lay in the future when it came, or the
	// appointment was deleted without one. Dated does; zero if nothing does.
	Undated bool      `json:"undated,omitempty"`
	Dated   time.Time `json:"dated,omitzero"`
}

// dated is the time that what is known is of. What is older than that is out of date.
func (s *Memory) dated() time.Time {
	if s.Undated {
		return s.Dated
	}
	return s.DateUpdated
}

// ahead is how far the sender's clock may be ahead of ours.
const ahead = 5 * time.Minute

// dated is the time that an event is of, zero if it does not say. One that lies in the future of its receipt is a
// mistake of the sender's, and puts nothing in order.
func dated(ev *rules.Event) time.Time {
	at := ev.Appointment.DateUpdated
	if !ev.ReceivedAt.IsZero() && at.After(ev.ReceivedAt.Add(ahead)) {
		return time.Time{}
	}
	return at
}

// cancelled says whether the appointment will not take place, as far as is known.
func (s *Memory) cancelled() bool { return s.Deleted || s.AppointmentStatus == rules.Cancelled }

// Derive works out what ev means for an appointment last known as prev (nil if never seen). It fills ev's
// On, Changed, Previous and Appointment and returns the state to remember, or stale: then nothing happened.
//
// The rules, where events repeat, overtake each other and carry no previous values:
//
//   - A field that the payload lacks keeps its value.
//   - An update dated before the stored state is stale, and so is an update of a deleted appointment that
//     is not dated after the deletion. One without a date, or with one in the future, is taken as it comes,
//     except after a deletion. A deletion without a date is of when it came.
//   - A create that arrives late, after an update of its appointment, has happened all the same: rules on
//     the wire type hear of it, with the newer state. If the appointment is cancelled by then, it is stale.
//   - A delete is never stale.
//   - cancelled happens once, by status or by deletion, until an event takes it back.
//   - booked happens once in an appointment's life, at the first event that does not cancel it.
func Derive(prev *Memory, ev *rules.Event) (next Memory, stale bool) {
	var known Memory
	if prev != nil {
		known = *prev
	}
	if ev.Type == "" { // a workflow's webhook does not say
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
	if ev.Type == rules.Delete && at.IsZero() { // it was deleted by now
		at = ev.ReceivedAt
	}
	if at.Before(known.dated()) { // what was older than the last update still is
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

// outdated says whether ev tells of a time before what is known.
func outdated(prev *Memory, ev *rules.Event) bool {
	at, known := dated(ev), prev.dated()
	switch {
	case prev.Deleted && ev.Type == rules.Create && prev.StartTime.IsZero() && prev.CalendarID == "":
		return true // its deletion overtook it: nothing else was known of it
	case prev.Deleted:
		return at.IsZero() || !at.After(known)
	case at.IsZero() || known.IsZero():
		return false
	default:
		return at.Before(known)
	}
}

// happened lists the names of what happened: the wire type first, then the derived ones in their order.
func happened(prev, next *Memory, ev *rules.Event) []string {
	on := []string{ev.Type}
	wasCancelled := prev != nil && prev.cancelled()
	known := map[string]bool{"dateUpdated": true, "dateAdded": true} // fields whose change has a name, or needs none

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
	for _, name := range []string{rules.Confirmed, rules.Showed, rules.NoShow} { // a status and its name are one word
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

// merge lays what the payload gave over what was known.
func merge(known rules.Appointment, ev *rules.Event) rules.Appointment {
	merged := known
	for i := range fields {
		if f := &fields[i]; ev.Given.Has(f.name) {
			f.copy(&merged, &ev.Appointment)
		}
	}
	merged.ID = ev.Appointment.ID
	return merged
}

// Changed lists the fields that differ, sorted.
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

// field is how one field of an appointment is compared and copied.
type field struct {
	name string
	same func(a, b *rules.Appointment) bool
	copy func(to, from *rules.Appointment)
}

func text(name string, of func(*rules.Appointment) *string) field {
	return field{name,
		func(a, b *rules.Appointment) bool { return *of(a) == *of(b) },
		func(to, from *rules.Appointment) { *of(to) = *of(from) }}
}

// moment compares times as moments: the same one in another offset is no change.
func moment(name string, of func(*rules.Appointment) *time.Time) field {
	return field{name,
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
	{"users",
		func(a, b *rules.Appointment) bool { return slices.Equal(a.Users, b.Users) },
		func(to, from *rules.Appointment) { to.Users = from.Users }},
	text("notes", func(a *rules.Appointment) *string { return &a.Notes }),
	text("source", func(a *rules.Appointment) *string { return &a.Source }),
	{"startTime",
		func(a, b *rules.Appointment) bool { return a.StartTime.Equal(b.StartTime) && a.AllDay == b.AllDay },
		func(to, from *rules.Appointment) { to.StartTime, to.AllDay = from.StartTime, from.AllDay }},
	moment("endTime", func(a *rules.Appointment) *time.Time { return &a.EndTime }),
	moment("dateAdded", func(a *rules.Appointment) *time.Time { return &a.DateAdded }),
	moment("dateUpdated", func(a *rules.Appointment) *time.Time { return &a.DateUpdated }),
}
