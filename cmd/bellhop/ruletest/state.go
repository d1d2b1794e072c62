package ruletest

import (
	"encoding/json"
	"errors"
	"fmt"
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

// readHistory reads the other appointments of the contact, and returns them as the server would: the latest first.
func (f *file) readHistory(e text.Pair) (list []rules.Appointment) {
	for _, n := range f.doc.Items(e.Value, text.Quote("history")) {
		given := map[string]any{"id": fmt.Sprint("history ", len(list)+1)}
		entries := f.doc.Entries(n, "an appointment of the history", namesOf(historyKeys(), nil))
		for _, e := range entries {
			given[e.Name] = plain(e.Value)
		}
		body, err := json.Marshal(map[string]any{"type": rules.Update, "appointment": given})
		var ev *rules.Event
		if err == nil {
			ev, err = payload.Normalise("", body, time.Time{}, f.zone)
		}
		if err != nil {
			f.doc.ErrorAt("event", n, "", "%v", err)
			continue
		}
		for _, e := range entries {
			if !ev.Given.Has(e.Name) && given[e.Name] != "" && given[e.Name] != nil {
				f.doc.ErrorAt("type", e.Value, "", "this cannot be read as an appointment's %s", e.Name)
			}
		}
		list = append(list, ev.Appointment)
	}
	slices.SortStableFunc(list, func(a, b rules.Appointment) int { return b.StartTime.Compare(a.StartTime) })
	return list
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
