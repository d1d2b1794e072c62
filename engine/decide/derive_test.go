package decide

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/rules"
)

// A told is one event of a history, with the result that is expected.
type told struct {
	event string // type, then field=value pairs
	on    string // the names of what happened; "stale" if nothing did
}

func TestDerive(t *testing.T) {
	t.Parallel()
	const c, u, d = "AppointmentCreate ", "AppointmentUpdate ", "AppointmentDelete "
	tests := map[string][]told{
		"a booking's life": {
			{c + "status=new start=10 updated=1", c + "booked"},
			{u + "status=confirmed updated=2", u + "confirmed"},
			{u + "start=11 end=12 updated=3", u + "rescheduled"},
			{u + "user=u2 title=T updated=4", u + "reassigned updated"},
			{u + "status=showed updated=5", u + "showed"},
			{u + "status=noshow updated=6", u + "noshow"},
			{u + "status=invalid updated=7", u + "updated"},
			{u + "updated=8", u},
		},
		"booked as confirmed":             {{c + "status=confirmed", c + "booked confirmed"}},
		"first seen by an update":         {{u + "status=confirmed", u + "booked confirmed"}},
		"first seen by a cancelled one":   {{u + "status=cancelled", u + "cancelled"}, {u + "status=confirmed", u + "booked confirmed"}},
		"created as cancelled":            {{c + "status=cancelled", c + "cancelled"}},
		"first seen by its deletion":      {{d, d + "cancelled"}},
		"cancelled by status and deleted": {{c + "status=new", c + "booked"}, {u + "status=cancelled", u + "cancelled"}, {d, d}, {d, d}},
		"deleted and then cancelled":      {{c + "status=new updated=1", c + "booked"}, {d + "updated=1", d + "cancelled"}, {u + "status=cancelled updated=2", u}},
		"cancelled twice, taken back between": {
			{c + "status=new", c + "booked"}, {u + "status=cancelled", u + "cancelled"}, {u + "status=cancelled title=X", u + "updated"},
			{u + "status=confirmed", u + "confirmed"}, {u + "status=cancelled", u + "cancelled"},
		},
		"cancelled and moved at once":        {{c + "status=new start=10", c + "booked"}, {u + "status=cancelled start=11", u + "cancelled rescheduled"}},
		"an update overtaken by another":     {{c + "status=new updated=1", c + "booked"}, {u + "start=12 updated=3", u + "rescheduled"}, {u + "start=11 updated=2", "stale"}},
		"the same moment is not older":       {{c + "status=new updated=1", c + "booked"}, {u + "title=A updated=1", u + "updated"}},
		"an update without a date":           {{c + "status=new updated=1", c + "booked"}, {u + "title=A", u + "updated"}},
		"a create overtaken by an update":    {{u + "status=confirmed updated=2", u + "booked confirmed"}, {c + "status=new updated=1", c}},
		"a create overtaken by a cancelling": {{u + "status=cancelled updated=2", u + "cancelled"}, {c + "status=new updated=1", "stale"}},
		"a late update of a deleted one":     {{c + "status=new updated=1", c + "booked"}, {d + "updated=2", d + "cancelled"}, {u + "status=confirmed updated=2", "stale"}, {u + "status=confirmed", "stale"}},
		"a deletion dated before the update": {{c + "status=new updated=5", c + "booked"}, {d + "updated=2", d + "cancelled"}, {u + "title=A updated=4", "stale"}},
		"a deletion taken back":              {{c + "status=new updated=1", c + "booked"}, {d + "updated=2", d + "cancelled"}, {u + "status=confirmed updated=3", u + "confirmed"}, {d + "updated=4", d + "cancelled"}},
		"created twice":                      {{c + "status=new", c + "booked"}, {c + "status=new title=A", c + "updated"}},
		"a workflow's webhook":               {{" status=new", c + "booked"}, {" title=A", u + "updated"}},
		"a status in words unknown to us":    {{c + "status=new", c + "booked"}, {u + "status=waitlisted", u + "updated"}},
	}
	for name, history := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var prev *Memory
			for i, step := range history {
				ev := parse(t, step.event)
				next, stale := Derive(prev, ev)
				got := strings.Join(ev.On, " ")
				if stale {
					if got = "stale"; next.Title != prev.Title || next.AppointmentStatus != prev.AppointmentStatus {
						t.Errorf("event %d: a stale event changed the state", i+1)
					}
				}
				if got != strings.TrimSpace(step.on) {
					t.Errorf("event %d (%s):\ngot  %s\nwant %s", i+1, step.event, got, step.on)
				}
				prev = &next
			}
		})
	}
}

// parse returns the event of a text like "AppointmentUpdate status=new start=10". The times are hours of one day.
func parse(t *testing.T, text string) *rules.Event {
	t.Helper()
	words := strings.Split(text, " ")
	ev := &rules.Event{Type: words[0], Appointment: rules.Appointment{ID: "ocQHyuzHvysMo5N5VsXc"}}
	given := []string{"id"}
	for _, w := range words[1:] {
		if w == "" {
			continue
		}
		key, value, _ := strings.Cut(w, "=")
		a := &ev.Appointment
		hour := func(to *time.Time) {
			d, err := time.ParseDuration(value + "h")
			if err != nil {
				t.Fatal(err)
			}
			*to = time.Date(2026, 3, 2, 0, 0, 0, 0, time.FixedZone("", 19800)).Add(d)
		}
		name := map[string]string{"status": "appointmentStatus", "user": "assignedUserId", "start": "startTime", "end": "endTime", "updated": "dateUpdated", "title": "title"}[key]
		switch key {
		case "status":
			a.AppointmentStatus = value
		case "user":
			a.AssignedUserID = value
		case "title":
			a.Title = value
		case "start":
			hour(&a.StartTime)
		case "end":
			hour(&a.EndTime)
		case "updated":
			hour(&a.DateUpdated)
		default:
			t.Fatalf("no field %q", key)
		}
		given = append(given, name)
	}
	ev.Given = rules.FieldsOf(given...)
	return ev
}

// A field that an event does not contain keeps its value, in the state and in the event that rules see.
func TestDeriveMerges(t *testing.T) {
	t.Parallel()
	first := parse(t, "AppointmentCreate status=new title=Checkup start=10 updated=1")
	prev, _ := Derive(nil, first)
	ev := parse(t, "AppointmentDelete updated=2")
	Derive(&prev, ev)
	if ev.Appointment.Title != "Checkup" || ev.Previous.Title != "Checkup" {
		t.Errorf("the title is %q, before %q", ev.Appointment.Title, ev.Previous.Title)
	}
	if !slices.Equal(ev.Changed, []string{"dateUpdated"}) {
		t.Errorf("changed: %v", ev.Changed)
	}
	moved := parse(t, "AppointmentUpdate start=10 updated=1")
	moved.Appointment.StartTime = moved.Appointment.StartTime.UTC()
	Derive(&prev, moved)
	if len(moved.Changed) != 0 {
		t.Errorf("the same moment in another offset is a change: %v", moved.Changed)
	}
}

func TestFieldsAreAll(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range fields {
		names = append(names, fields[i].name)
	}
	if want := rules.AppointmentFields()[1:]; !slices.Equal(names, want) {
		t.Errorf("fields are\n%v, want\n%v", names, want)
	}
}

// The state remembers with the start whether it is a whole day. If that changes, the appointment is rescheduled.
func TestDeriveWholeDays(t *testing.T) {
	t.Parallel()
	midnight := time.Date(2026, 12, 7, 0, 0, 0, 0, time.UTC)
	ev := func(given rules.Fields, allDay bool) *rules.Event {
		return &rules.Event{Type: rules.Update, Given: given, Appointment: rules.Appointment{ID: "a", StartTime: midnight, AllDay: allDay, Title: "T"}}
	}
	state, _ := Derive(nil, ev(rules.FieldsOf("startTime"), true))
	if !state.AllDay {
		t.Error("a day became a time")
	}
	titled := ev(rules.FieldsOf("title"), false)
	if state, _ = Derive(&state, titled); !state.AllDay || !titled.Appointment.AllDay {
		t.Error("a new title makes a time of a day")
	}
	moved := ev(rules.FieldsOf("startTime"), false)
	before := state
	if state, _ = Derive(&state, moved); state.AllDay || !slices.Contains(moved.On, rules.Rescheduled) || !state.Moved(&before.Appointment) {
		t.Errorf("a time in place of a day: %v", moved.On)
	}
}
