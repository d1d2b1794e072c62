package decide

import (
	"slices"
	"testing"
	"time"

	"bellhop/engine/payload"
	"bellhop/rules"
)

func TestBefore(t *testing.T) {
	t.Parallel()
	n := &payload.Normaliser{Zone: time.UTC}
	ev, err := n.Event("hoopai", []byte(`{"type":"AppointmentUpdate","appointment":{"id":"a1","title":"Tea","appointmentStatus":"confirmed","users":["u1"],
		"startTime":"2026-05-01T10:00:00Z","dateAdded":"2026-04-01T00:00:00Z","dateUpdated":"2026-04-02T00:00:00Z"}}`), time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	ten := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	added := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	as := func(change func(*Memory)) *Memory {
		s := &Memory{Booked: true, Appointment: rules.Appointment{
			ID: "a1", Title: "Tea", AppointmentStatus: "confirmed", Users: []string{"u1"}, StartTime: ten, DateAdded: added, DateUpdated: added,
		}}
		change(s)
		return s
	}
	for name, tt := range map[string]struct {
		given  map[string]any
		want   *Memory
		unread []string
	}{
		"nothing said": {map[string]any{}, as(func(*Memory) {}), nil},
		"fields as events write them": {
			map[string]any{"appointmentStatus": "Canceled", "startTime": "2026-05-01T09:00:00", "dateUpdated": "2026-04-01T12:00:00Z"},
			as(func(s *Memory) {
				s.AppointmentStatus, s.StartTime, s.DateUpdated = "cancelled", ten.Add(-time.Hour), added.Add(12*time.Hour)
			}), nil,
		},
		"empty is unknown": {
			map[string]any{"title": "", "startTime": nil, "users": []any{}},
			as(func(s *Memory) { s.Title, s.StartTime, s.Users = "", time.Time{}, nil }), nil,
		},
		"deleted and never booked": {
			map[string]any{"deleted": true, "booked": false}, as(func(s *Memory) { s.Deleted, s.Booked = true, false }), nil,
		},
		"of the same appointment, whatever is said": {map[string]any{"id": "other"}, as(func(*Memory) {}), nil},
		"not readable": {
			map[string]any{"startTime": "soon", "dateAdded": true, "title": "Coffee", "deleted": "yes"}, nil, []string{"deleted", "startTime", "dateAdded"},
		},
	} {
		before := *ev
		state, unread, err := Before(n, ev, tt.given)
		if err != nil || !slices.Equal(unread, tt.unread) || (state == nil) != (tt.want == nil) {
			t.Errorf("%s: %+v %v %v", name, state, unread, err)
			continue
		}
		if state != nil {
			got, want := state.Appointment, tt.want.Appointment
			times := got.StartTime.Equal(want.StartTime) && got.DateUpdated.Equal(want.DateUpdated) && got.DateAdded.Equal(want.DateAdded)
			if !times || got.ID != want.ID || got.Title != want.Title || got.AppointmentStatus != want.AppointmentStatus || !slices.Equal(got.Users, want.Users) ||
				state.Deleted != tt.want.Deleted || state.Booked != tt.want.Booked {
				t.Errorf("%s: %+v, want %+v", name, state, tt.want)
			}
		}
		if ev.Appointment.Title != before.Appointment.Title || tt.given["id"] == "a1" {
			t.Errorf("%s: what was given has changed", name)
		}
	}
}
