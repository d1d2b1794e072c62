package decide

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"bellhop/engine/payload"
	"bellhop/rules"
)

// Before makes up the state of an appointment before an event, for tests of rules. It is the state that the event has,
// changed by given: fields of the appointment as payloads have them, and "deleted" and "booked" (true or false). An
// empty field is unknown in the state. n reads the fields, and an error is from n. unread are the fields that cannot be
// read, "deleted" and "booked" first, then in the order of [rules.AppointmentFields]; state is nil then.
func Before(n *payload.Normaliser, ev *rules.Event, given map[string]any) (state *Memory, unread []string, err error) {
	state = &Memory{Booked: true}
	for _, flag := range []struct {
		name string
		to   *bool
	}{{"deleted", &state.Deleted}, {"booked", &state.Booked}} {
		if v, named := given[flag.name]; named {
			var ok bool
			if *flag.to, ok = v.(bool); !ok {
				unread = append(unread, flag.name)
			}
		}
	}
	appointment := ev.Appointment
	// The last change was before this event. dateAdded is such a time, if the event has it.
	if a := &appointment; a.DateAdded.Before(a.DateUpdated) {
		a.DateUpdated = a.DateAdded
	} else {
		a.DateUpdated = time.Time{}
	}
	fields := map[string]any{}
	maps.Copy(fields, given)
	fields["id"] = ev.Appointment.ID
	body, err := json.Marshal(map[string]any{"type": rules.Update, "appointment": fields})
	if err != nil {
		return nil, nil, fmt.Errorf("encode its fields: %w", err)
	}
	said, err := n.Event(ev.Source, body, time.Time{})
	if err != nil {
		return nil, nil, err
	}
	var below, above map[string]any
	if err := errors.Join(remodel(&appointment, &below), remodel(&said.Appointment, &above)); err != nil {
		return nil, nil, err
	}
	for _, name := range rules.AppointmentFields() {
		switch v, named := fields[name]; {
		case !named:
		case said.Given.Has(name):
			below[name] = above[name]
			if name == "startTime" {
				below["allDay"] = said.Appointment.AllDay
			}
		case v == nil || v == "":
			delete(below, name)
		default:
			unread = append(unread, name)
		}
	}
	if len(unread) > 0 {
		return nil, unread, nil
	}
	return state, nil, remodel(below, &state.Appointment)
}

// remodel converts from to to through JSON.
func remodel(from, to any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("encode appointment: %w", err)
	}
	if err := json.Unmarshal(data, to); err != nil {
		return fmt.Errorf("decode appointment: %w", err)
	}
	return nil
}
