package rules_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bellhop/rules"
)

// connections are the connections of the worked examples.
var connections = map[string]string{"mail": "email", "slack": "slack", "crm": "http"}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func options() rules.Options { return rules.Options{Connections: connections} }

// booking returns a confirmed booking for a week later, at ten in the morning of its own offset.
func booking() *rules.Event {
	start := time.Date(2026, 3, 9, 10, 0, 0, 0, time.FixedZone("", 5*3600+1800))
	return &rules.Event{
		ID: "ev1", Source: "hoopai", Type: rules.Create, LocationID: "loc1", ReceivedAt: noon,
		Appointment: rules.Appointment{
			ID: "a1", Title: "Haircut & colour", Address: "1 High Street", CalendarID: "cal1", AppointmentStatus: "confirmed",
			AssignedUserID: "u1", Users: []string{"u1", "u2"}, StartTime: start, EndTime: start.Add(time.Hour),
		},
		People: rules.People{
			Contact: rules.Contact{ID: "c1", FirstName: "Guest", Email: "guest@example.com", Tags: []string{"vip"}},
			User:    rules.User{ID: "u1", Slack: "U024BE7LH"},
		},
		Body: json.RawMessage(`{"type":"AppointmentCreate","appointment":{"id":"a1"},"size":5,"list":["x","y"],"note":null}`),
		On:   []string{rules.Create, rules.Booked, rules.Confirmed},
	}
}

// load compiles one file, which must have no errors, and returns its set.
func load(t *testing.T, src string) *rules.Set {
	t.Helper()
	f, findings := rules.Compile("test.yaml", []byte(src), options())
	if f == nil {
		t.Fatalf("does not load: %s\n%s", render(findings, src), src)
	}
	set, more := rules.NewSet([]*rules.File{f})
	if len(more) > 0 {
		t.Fatal(more)
	}
	return set
}

func TestWorkedExamples(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../testdata/rules/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal("no examples", err)
	}
	var files []*rules.File
	for _, path := range paths {
		if strings.HasSuffix(path, ".test.yaml") {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, findings := rules.Compile(path, data, options())
		if len(findings) > 0 {
			t.Errorf("%s", render(findings, string(data)))
		}
		if f != nil {
			files = append(files, f)
		}
	}
	set, findings := rules.NewSet(files)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	for _, m := range set.Match(booking(), noon) {
		if m.Err != nil {
			t.Errorf("%s: %v", m.Rule.Name, m.Err)
		}
		for _, s := range m.Steps {
			if s.Err != nil || s.Skip != "" {
				t.Errorf("%s, step %d: %v %s", m.Rule.Name, s.Number, s.Err, s.Skip)
			}
			t.Logf("%s %d %s %s", m.Rule.Name, s.Number, s.Connection, s.Request)
		}
	}
}
