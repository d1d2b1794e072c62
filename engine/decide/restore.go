package decide

import (
	"encoding/json"
	"fmt"
	"slices"

	"bellhop/engine/payload"
	"bellhop/engine/record"
	"bellhop/rules"
)

// DecodeState decodes the recorded state of an appointment. It returns nil for nil: the appointment was never seen.
func DecodeState(data []byte) (*Memory, error) {
	if data == nil {
		return nil, nil
	}
	state := new(Memory)
	return state, json.Unmarshal(data, state)
}

// Visits returns what reads the other appointments of a contact for an event. states returns their recorded states.
func Visits(ev *rules.Event, states func(record.Visitor) ([]json.RawMessage, error)) func(contact string) ([]rules.Appointment, error) {
	location, source, appointment := ev.LocationID, ev.Source, ev.Appointment.ID
	return func(contact string) ([]rules.Appointment, error) {
		list, err := states(record.Visitor{Location: location, Contact: contact, Source: source, Appointment: appointment})
		if err != nil {
			return nil, err
		}
		return appointments(list)
	}
}

// appointments returns the appointments with some recorded states. One that was deleted is cancelled.
func appointments(states []json.RawMessage) ([]rules.Appointment, error) {
	list := make([]rules.Appointment, 0, len(states))
	for _, data := range states {
		m, err := DecodeState(data)
		if err != nil {
			return nil, fmt.Errorf("stored state of an appointment: %w", err)
		}
		if m == nil {
			continue
		}
		if m.Deleted {
			m.AppointmentStatus = rules.Cancelled
		}
		list = append(list, m.Appointment)
	}
	return list, nil
}

// Restore returns a recorded event as the rules see it. n reads its body.
func Restore(n *payload.Normaliser, e *record.Event) (*rules.Event, error) {
	ev, _, err := restore(n, e)
	return ev, err
}

// restore is like [Restore] and also returns the state after the event, nil if there is none.
func restore(n *payload.Normaliser, e *record.Event) (*rules.Event, *Memory, error) {
	ev, err := n.Event(e.Source, e.Body, e.ReceivedAt)
	if err != nil {
		return nil, nil, fmt.Errorf("recorded body: %w", err)
	}
	ev.ID, ev.Type, ev.On, ev.Changed = e.ID, e.Type, e.On, e.Changed
	after, err := DecodeState(e.After)
	if err != nil {
		return nil, nil, fmt.Errorf("recorded state: %w", err)
	}
	before, err := DecodeState(e.Before)
	if err != nil {
		return nil, nil, fmt.Errorf("recorded state: %w", err)
	}
	if after != nil {
		ev.Appointment = after.Appointment
		if slices.Contains(rules.Statuses(), after.AppointmentStatus) { // the source's statuses have translated the word
			ev.Problems = slices.DeleteFunc(ev.Problems, func(p rules.Problem) bool { return p.Field == "appointmentStatus" })
		}
	}
	if before != nil {
		ev.Previous = before.Appointment
	}
	return ev, after, nil
}

// Answers returns what was looked up for deliveries; nil if nothing was. An error says that a record cannot be used.
func Answers(deliveries ...record.Delivery) (all *rules.Directory, err error) {
	for i := range deliveries {
		d := &deliveries[i]
		if d.People == nil {
			continue
		}
		if all == nil {
			all = new(rules.Directory)
		}
		if err := json.Unmarshal(d.People, all); err != nil {
			return nil, RecordError{fmt.Errorf("what was looked up for delivery %s: %w", d.ID, err)}
		}
	}
	return all, nil
}
