package ruletest

import (
	"encoding/json"
	"errors"
	"time"

	"gopkg.in/yaml.v3"

	"bellhop/engine/hook"
	"bellhop/engine/receive"
	"bellhop/rules"
)

// readState builds what is remembered of the appointment when the event comes.
func (f *file) readState(c *testCase, e rules.Entry) {
	switch {
	case rules.IsNull(e.Value):
		return // never seen, as without the key
	case c.event.Appointment.ID == "":
		f.doc.Errorf("state", e.Key, "", "the event names no appointment, so there is no state before it")
		return
	case e.Value.Kind == yaml.MappingNode:
		c.state = f.stateOf(c.event, e.Value)
		return
	}
	body, ok := f.payload(e.Value, `"state"`)
	if !ok {
		return
	}
	first, err := hook.Normalise(c.event.Source, body, time.Time{}, f.zone)
	if err == nil && !receive.OfAppointment(first) {
		err = errors.New("this event names no appointment")
	}
	if err != nil {
		f.doc.Errorf("event", e.Value, "", "%v", err)
		return
	}
	first.Appointment.ID = c.event.Appointment.ID // two sample events need not be of the same appointment
	state, _ := receive.Derive(nil, first)
	c.state = &state
}

// stateKeys are the fields of an appointment and what else is remembered of one.
func stateKeys() []string { return append(rules.AppointmentFields()[1:], "deleted", "booked") }

// stateOf is the appointment as the event has it, but for what n says.
func (f *file) stateOf(ev *rules.Event, n *yaml.Node) *receive.State {
	state := &receive.State{Appointment: ev.Appointment, Booked: true}
	// It was last changed before this event: when it was added, if the event says when that was.
	if a := &state.Appointment; a.DateAdded.Before(a.DateUpdated) {
		a.DateUpdated = a.DateAdded
	} else {
		a.DateUpdated = time.Time{}
	}
	given := map[string]any{"id": ev.Appointment.ID}
	var fields []rules.Entry
	for _, e := range f.doc.Entries(n, "the state", stateKeys()) {
		switch e.Name {
		case "deleted":
			state.Deleted, _ = f.doc.Bool(e.Value, `"deleted"`)
		case "booked":
			state.Booked, _ = f.doc.Bool(e.Value, `"booked"`)
		default:
			given[e.Name] = plain(e.Value)
			fields = append(fields, e)
		}
	}
	// The fields are read as those of an event, so that a status or a time may be written as events do.
	body, err := json.Marshal(map[string]any{"type": rules.Update, "appointment": given})
	if err != nil {
		f.doc.Errorf("state", n, "", "this state cannot be written as JSON")
		return nil
	}
	said, err := hook.Normalise(ev.Source, body, time.Time{}, f.zone)
	if err != nil {
		f.doc.Errorf("state", n, "", "%v", err)
		return nil
	}
	lay, err := overlay(&state.Appointment, &said.Appointment)
	if err != nil {
		f.doc.Errorf("state", n, "", "this state cannot be read")
		return nil
	}
	for _, e := range fields {
		switch empty := rules.IsNull(e.Value) || e.Value.Kind == yaml.ScalarNode && e.Value.Value == ""; {
		case empty:
			lay.clear(e.Name)
		case said.Given.Has(e.Name):
			lay.take(e.Name)
		default:
			f.doc.Errorf("type", e.Value, "", "this cannot be read as an appointment's %s", e.Name)
		}
	}
	appointment, err := lay.appointment()
	if err != nil {
		f.doc.Errorf("state", n, "", "this state cannot be read")
		return nil
	}
	state.Appointment = appointment
	return state
}

// A layer changes single fields of an appointment by their names.
type layer struct{ below, above map[string]any }

func overlay(below, above *rules.Appointment) (*layer, error) {
	l := &layer{}
	for _, m := range []struct {
		of *rules.Appointment
		to *map[string]any
	}{{below, &l.below}, {above, &l.above}} {
		data, err := json.Marshal(m.of)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, m.to); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *layer) clear(field string) { delete(l.below, field) }

func (l *layer) take(field string) { l.below[field] = l.above[field] }

func (l *layer) appointment() (a rules.Appointment, err error) {
	data, err := json.Marshal(l.below)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(data, &a)
}
