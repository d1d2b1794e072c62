package ruletest

import (
	"errors"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"bellhop/engine/decide"
	"bellhop/engine/payload"
	"bellhop/rules"
	"bellhop/rules/text"
)

// readState builds what is remembered of the appointment when the event comes.
func (f *file) readState(c *testCase, e text.Pair) {
	switch {
	case text.IsNull(e.Value):
		return // never seen, as without the key
	case c.event.Appointment.ID == "":
		f.doc.ErrorAt("state", e.Key, "", "the event names no appointment, so there is no state before it")
		return
	case e.Value.Kind == yaml.MappingNode:
		c.state = f.stateOf(c.event, e.Value)
		return
	}
	body, ok := f.payload(e.Value, `"state"`)
	if !ok {
		return
	}
	first, err := payload.Normalise(c.event.Source, body, time.Time{}, f.zone)
	if err == nil && !decide.OfAppointment(first) {
		err = errors.New("this event names no appointment")
	}
	if err != nil {
		f.doc.ErrorAt("event", e.Value, "", "%v", err)
		return
	}
	first.Appointment.ID = c.event.Appointment.ID // two sample events need not be of the same appointment
	state, _ := decide.Derive(nil, first)
	c.state = &state
}

// stateOf is the appointment as the event has it, but for what n says.
func (f *file) stateOf(ev *rules.Event, n *yaml.Node) *decide.Memory {
	given := map[string]any{}
	entries := f.doc.Entries(n, "the state", namesOf(stateKeys(), nil))
	for _, e := range entries {
		switch e.Name {
		case "deleted", "booked":
			given[e.Name], _ = f.doc.Bool(e.Value, text.Quote(e.Name))
		default:
			given[e.Name] = plain(e.Value)
		}
	}
	state, unread, err := decide.Before(&payload.Normaliser{Zone: f.zone}, ev, given)
	if err != nil {
		f.doc.ErrorAt("state", n, "", "%v", err)
	}
	for _, e := range entries {
		if slices.Contains(unread, e.Name) {
			f.doc.ErrorAt("type", e.Value, "", "this cannot be read as an appointment's %s", e.Name)
		}
	}
	return state
}
