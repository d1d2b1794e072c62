package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"bellhop/rules/text"
)

// sampleFiles compiles the sample files that load.
func sampleFiles(t *testing.T) (files []*File, findings [][]text.Finding) {
	t.Helper()
	o := Options{Connections: map[string]string{"mail": "email", "slack": "slack", "crm": "http"}}
	add := func(path string, data []byte) {
		if f, found := Compile(path, data, o); f != nil {
			files, findings = append(files, f), append(findings, found)
		}
	}
	for _, pattern := range []string{"../testdata/rules/*.yaml", "../testdata/demo/*.yaml", "../testdata/bad/*.yaml", "../cmd/bellhop/sample/rules/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatal("no files", pattern, err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			add(path, data)
		}
	}
	const two = "rules:\n  - name: one\n    on: booked\n    then: [{slack: {channel: a, text: 'é {{ appointment.title }}'}}]\n\n  # a comment\n  -\n    # and another\n    name: two\n    on: cancelled\n    let: {a: contact.name}\n    then: [{slack: {channel: a, text: '{{ raw.x + a }}'}}]\n"
	add("plain.yaml", []byte(two))
	add("crlf.yaml", []byte("\ufeff"+strings.ReplaceAll(two, "\n", "\r\n")))
	add("flow.yaml", []byte("rules: [{name: one, on: booked, then: [{slack: {channel: a, text: '{{ contact.name }}'}}]}]\n"))
	add("odd.yaml", []byte("rules:\n  - name: odd\n    on: booked\n    when: 'appointment.title startsWith \"éaéaéaéaéaéaéa\" || appointment.title == \"\\u0000\"'\n    then: [{slack: {channel: a, text: b}}]\n"))
	add("anchor.yaml", []byte("rules:\n  - name: one\n    on: booked\n    then: &then [{slack: {channel: a, text: '{{ custom.x }}'}}]\n  - name: two\n    on: cancelled\n    then: *then\n"))
	add("for.yaml", []byte("for: {locations: [north, l2]}\nrules:\n  - name: one\n    on: booked\n    then: [{http: {connection: its-own, path: /x}}]\n"))
	return files, findings
}

// everythingOf returns all that a file does with many events: what its conditions and steps give, now and when they are
// due.
func everythingOf(t *testing.T, f *File) []string {
	t.Helper()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	set, findings := NewSet([]*File{f})
	out := []string{fmt.Sprint(findings)}
	for _, name := range Names() {
		for _, status := range []string{"confirmed", Cancelled} {
			for _, contact := range []Contact{{}, {ID: "c", FirstName: "Guest", Email: "guest@example.com", Timezone: "Europe/Paris", Tags: []string{"vip"}}} {
				ev := &Event{
					ID: "e", Source: "hoopai", Type: Create, LocationID: "l", ReceivedAt: now, On: []string{Create, name}, People: People{Contact: contact},
					Appointment: Appointment{ID: "a", Title: "Haircut", CalendarID: "c", AppointmentStatus: status, StartTime: now.Add(50 * time.Hour), EndTime: now.Add(51 * time.Hour)},
					Custom:      map[string]any{"n": 1}, Body: json.RawMessage(`{"type":"AppointmentCreate"}`),
				}
				for _, e := range set.Explain(ev, now) {
					data, err := json.Marshal(e)
					if err != nil {
						t.Fatal(err)
					}
					out = append(out, string(data))
				}
				for _, m := range set.Match(ev, now) {
					out = append(out, fmt.Sprint(m.Rule.Name, m.Rule.Description, m.Rule.On, m.Rule.Enabled, m.Rule.Shadow, m.Err))
					for _, st := range m.Steps {
						out = append(out, fmt.Sprintf("%+v", st))
						held := Held{Rule: m.Rule.Name, Step: st.Number, Key: st.Key, Planned: now, At: st.At}
						due, shadow := set.Due(held, ev, st.At)
						out = append(out, fmt.Sprintf("%+v %v %v %q", due, shadow, set.ForCancelled(held, ev), set.Destination(held, "")))
					}
				}
			}
		}
	}
	return out
}

// A rule does the same whether its file was checked, or recalled from a digest, and whether it is read from its own lines
// or from the whole file.
func TestRecall(t *testing.T) {
	t.Parallel()
	files, findings := sampleFiles(t)
	alone, rules := 0, 0
	for i, f := range files {
		digest, err := f.Digest(findings[i])
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(digest) || strings.Contains(digest, "\x00") {
			t.Errorf("%s: not every database takes the digest %q", f.Path, digest)
		}
		var data []byte
		var o Options
		if rules += len(f.Rules); len(f.Rules) > 0 {
			data, o = f.Rules[0].text.in.data, f.Rules[0].text.in.o
		}
		recalled, found, err := Recall(f.Path, data, digest, o)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(found, findings[i]) || !reflect.DeepEqual(recalled.ignores, f.ignores) {
			t.Errorf("%s: the findings are %v, not %v", f.Path, found, findings[i])
		}
		again, err := recalled.Digest(found)
		if err != nil || again != digest {
			t.Errorf("%s: the digest is %q and then %q", f.Path, digest, again)
		}
		whole, _, _ := Recall(f.Path, data, digest, o)
		for k, rule := range whole.Rules {
			if rule.text.lines.To > 0 {
				alone++
			}
			rule.text.lines = text.Lines{}
			rule.text.in.rules = whole.Rules
			if f.Rules[k].line != rule.line {
				t.Errorf("%s: %s is in line %d, not %d", f.Path, rule.Name, rule.line, f.Rules[k].line)
			}
		}
		want := everythingOf(t, whole)
		for name, of := range map[string]*File{"checked": f, "recalled": recalled} {
			if got := everythingOf(t, of); !slices.Equal(got, want) {
				k := 0
				for k < min(len(got), len(want)) && got[k] == want[k] {
					k++
				}
				t.Errorf("%s, %s:\n got %s\nwant %s", f.Path, name, got[k], want[k])
			}
		}
	}
	if rules < 100 || alone == rules || alone < rules*9/10 {
		t.Errorf("of %d rules, %d are read from their own lines", rules, alone)
	}
}

// Events that ask first for the same rules at the same time match the same.
func TestBodiesMadeAtOnce(t *testing.T) {
	t.Parallel()
	files, _ := sampleFiles(t)
	for _, f := range files {
		if f.Path != "anchor.yaml" && f.Path != "plain.yaml" {
			continue
		}
		set, _ := NewSet([]*File{f})
		ev := &Event{Type: Create, On: []string{Create, Booked, Cancelled}, Body: json.RawMessage(`{"x":"y"}`), Custom: map[string]any{"x": "y"}}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if got := set.Match(ev, time.Now()); len(got) != 2 || got[0].Steps[0].Request == nil || got[1].Steps[0].Request == nil {
					t.Errorf("%s: got %+v", f.Path, got)
				}
			})
		}
		all.Wait()
	}
}

// A rule whose text cannot be read again, because a zone it names is gone, fails; it is not taken for one that is not
// meant.
func TestBodyThatCannotBeMade(t *testing.T) {
	t.Parallel()
	data := "rules:\n  - name: a\n    on: booked\n    timezone: Europe/Paris\n    then: [{at: appointment.endTime, slack: {channel: a, text: b}}]\n"
	o := Options{Connections: map[string]string{"slack": "slack"}}
	f, findings := Compile("a.yaml", []byte(data), o)
	digest, err := f.Digest(findings)
	if err != nil {
		t.Fatal(err)
	}
	f, _, err = Recall("a.yaml", []byte(strings.Replace(data, "Paris", "Pariz", 1)), digest, o)
	if err != nil {
		t.Fatal(err)
	}
	set, _ := NewSet([]*File{f})
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	ev := &Event{Type: Create, On: []string{Create, Booked}}
	if m := set.Match(ev, now); len(m) != 1 || m[0].Err == nil || !strings.HasPrefix(m[0].Err.Error(), "a.yaml:4:15: ") {
		t.Errorf("it matches %+v", m)
	}
	if due, _ := set.Due(Held{Rule: "a", Step: 1}, ev, now); due.Err == nil || due.Skip != "" {
		t.Errorf("its step is %+v", due)
	}
	if anew, _ := set.Anew("a", 1, "slack", ev, now); anew.Err == nil || anew.Skip != "" {
		t.Errorf("its step is %+v", anew)
	}
	if got := set.Explain(ev, now); got[0].Outcome != Failing {
		t.Errorf("it is explained as %+v", got)
	}
}

// A digest that is cut off or changed is an error or another file, but no panic.
func FuzzRecall(f *testing.F) {
	data := []byte("rules:\n  - name: a\n    on: [booked]\n    when: appointment.title == \"a\"\n    then: [{slack: {channel: a, text: '{{ appointment.title }}'}}]\n")
	o := Options{Connections: map[string]string{"slack": "slack"}}
	file, findings := Compile("a.yaml", data, o)
	digest, err := file.Digest(findings)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(digest)
	for i := range digest {
		f.Add(digest[:i])
	}
	f.Fuzz(func(t *testing.T, digest string) {
		recalled, _, err := Recall("a.yaml", data, digest, o)
		if (recalled == nil) != (err != nil) {
			t.Errorf("%v, %v", recalled, err)
		}
		if recalled != nil {
			everythingOf(t, recalled)
		}
	})
}

// What rules of a file have in common is checked once, and that hides no finding: a rule of testdata/bad has the same
// ones below another that says the same.
func TestCheckedOnceHidesNothing(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../testdata/bad/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	o := Options{Connections: map[string]string{"mail": "email", "slack": "slack", "crm": "http"}}
	compared, odd := 0, 0
	line := regexp.MustCompile(`in line \d+$`)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		body, ok := strings.CutPrefix(string(data), "rules:\n")
		body, _, _ = strings.Cut(body, "\n#! ")
		body += "\n"
		second := strings.ReplaceAll(body, "name: ", "name: z")
		_, want := Compile(path, []byte("rules:\n"+second), o)
		_, got := Compile(path, []byte("rules:\n"+body+second), o)
		if !ok || second == body || strings.Contains(body, "&") {
			continue // it cannot be written twice
		}
		if len(got) != 2*len(want) {
			odd++ // the first mistake keeps the rest from being read
			continue
		}
		above := strings.Count(body, "\n")
		for i := range want {
			want[i].Line += above
			want[i].EndLine += above
			want[i].Message = line.ReplaceAllString(want[i].Message, "")
		}
		got = got[len(want):]
		for i := range got {
			got[i].Message = line.ReplaceAllString(got[i].Message, "")
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", path, got, want)
		}
		compared++
	}
	if compared < len(paths)/2 || odd > 9 {
		t.Errorf("of %d files, %d were compared; %d have another number of findings", len(paths), compared, odd)
	}
}
