package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"bellhop/rules"
	"bellhop/rules/text"
)

// Two rules that send the same to the same recipient for the same event cause a warning at the later one, in whatever
// files they are. Rules that differ in anything that matters do not.
func TestSameSends(t *testing.T) {
	t.Parallel()
	const send = "then:\n- slack: {channel: desk, text: 'New: {{ appointment.title }}'}"
	const dated = "then:\n- slack: {channel: desk, text: '{{ date(appointment.startTime, \"15:04\") }}'}"
	const named = "then:\n- slack: {channel: desk, text: '{{ x }}'}"
	const dayBefore = "then:\n- at: appointment.startTime - duration('24h')\n  slack: {channel: desk, text: hi}"
	const namedMoment = "then:\n- at: x\n  slack: {channel: desk, text: hi}"
	tests := []struct {
		name string
		a, b []string
		same bool
	}{
		{"at one moment", []string{dayBefore}, []string{dayBefore}, true},
		{"at one moment, late or not", []string{dayBefore}, []string{strings.Replace(dayBefore, "\n  slack", "\n  late: send\n  slack", 1)}, true},
		{"at two moments", []string{dayBefore}, []string{strings.Replace(dayBefore, "24h", "2h", 1)}, false},
		{"at once and later", []string{dayBefore}, nil, false},
		{"one name for two moments", []string{namedMoment, "let: {x: appointment.startTime}"}, []string{namedMoment, "let: {x: appointment.endTime}"}, false},
		{"one name for one moment", []string{namedMoment, "let: {x: appointment.startTime}"}, []string{namedMoment, "let: {x: appointment.startTime}"}, true},
		{"twice", []string{send}, []string{send}, true},
		{"written in another order", []string{send}, []string{"then:\n- slack:\n    text: \"New: {{ appointment.title }}\"\n    channel: desk"}, true},
		{"the connection by name", []string{send}, []string{"then:\n- slack: {connection: slack, channel: desk, text: 'New: {{ appointment.title }}'}"}, false},
		{"another channel", []string{send}, []string{"then:\n- slack: {channel: office, text: 'New: {{ appointment.title }}'}"}, false},
		{"another event", []string{send}, []string{send, "on: cancelled"}, false},
		{"one event in common", []string{send, "on: [booked, confirmed]"}, []string{send, "on: [confirmed, showed]"}, true},
		{"two words for one event", []string{send, "on: AppointmentCreate"}, []string{send, "on: booked"}, true},
		{"the same condition", []string{send, `when: appointment.title == "a"`}, []string{send, `when: appointment.title == "a"`}, true},
		{"only one has a condition", []string{send}, []string{send, `when: appointment.title == "a"`}, true},
		{"one condition implies the other", []string{send, `when: appointment.title in ["a", "b"]`}, []string{send, `when: appointment.title == "a" && source == "hoopai"`}, true},
		{"other way round", []string{send, `when: appointment.startTime > now() + duration("48h")`}, []string{send, "when: appointment.startTime > now()"}, true},
		{"conditions apart", []string{send, `when: appointment.title == "a"`}, []string{send, `when: appointment.title == "b"`}, false},
		{"conditions of which neither implies the other", []string{send, `when: appointment.title == "a"`}, []string{send, `when: source == "b"`}, false},
		{"one is switched off", []string{send}, []string{send, "enabled: false"}, false},
		{"one is on trial", []string{send, "mode: shadow"}, []string{send}, false},
		{"another zone", []string{dated, "timezone: Europe/Paris"}, []string{dated, "timezone: Asia/Tokyo"}, false},
		{"the same zone", []string{dated, "timezone: Europe/Paris"}, []string{dated, "timezone: Europe/Paris"}, true},
		{"one name for two values", []string{named, "let: {x: appointment.title}"}, []string{named, "let: {x: appointment.address}"}, false},
		{"one name for one value", []string{named, "let: {x: appointment.title}"}, []string{named, "let: {x: appointment.title}"}, true},
		{"one name for two values in conditions, a fixed text", []string{"let: {x: appointment.title}", `when: x == "a"`}, []string{"let: {x: appointment.address}", `when: x == "a"`}, false},
		{"one name for one value in conditions, a fixed text", []string{"let: {x: appointment.title}", `when: x == "a"`}, []string{"let: {x: appointment.title}", `when: x == "a" && source == "b"`}, true},
		{"one name for two values in conditions", []string{send, "let: {x: appointment.title}", `when: x == "a"`}, []string{send, "let: {x: appointment.address}", `when: x == "a"`}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var files []*rules.File
			for i, lines := range [][]string{tt.a, tt.b} {
				src := strings.Replace(rule(lines...), "name: test", fmt.Sprintf("name: test %d", i), 1)
				f, findings := rules.Compile(fmt.Sprintf("%d.yaml", i), []byte(src), options())
				if f == nil {
					t.Fatal(render(findings, src))
				}
				files = append(files, f)
			}
			set, findings := rules.NewSet(files)
			if len(set.Rules()) != 2 {
				t.Error("a warning took a rule out of the set")
			}
			if !tt.same {
				if len(findings) > 0 {
					t.Error(findings)
				}
				return
			}
			if len(findings) != 1 {
				t.Fatal(findings)
			}
			f := findings[0]
			if f.File != "1.yaml" || f.Severity != text.Warning || f.Code != "same-send" || !strings.Contains(f.Message, `rule "test 0" in 0.yaml:`) {
				t.Errorf("%+v", f)
			}
		})
	}
}

// The warning points at the step in the later file.
func TestSameSendPlace(t *testing.T) {
	t.Parallel()
	src := `rules:
  - name: a
    on: booked
    then:
      - slack: {channel: desk, text: hi}
      - email: {to: a@example.com, subject: s, text: t}
      - slack: {channel: desk, text: hi}
  - name: b
    on: booked
    then:
      - email: {to: a@example.com, subject: s, text: t}
`
	f, _ := rules.Compile("t.yaml", []byte(src), options())
	_, findings := rules.NewSet([]*rules.File{f})
	want := `t.yaml:7:9: warning: for the same event this sends the same as step 1 in line 5 [same-send]
     7 |       - slack: {channel: desk, text: hi}
       |         ^^^^^
t.yaml:11:9: warning: for the same event this sends the same as rule "a" in t.yaml:6 [same-send]
    11 |       - email: {to: a@example.com, subject: s, text: t}
       |         ^^^^^
`
	if got := render(findings, src); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// The same step twice in one rule is fine if it is sent at two different moments.
func TestSameSendsOfOneRule(t *testing.T) {
	t.Parallel()
	const step = "\n- at: appointment.startTime - duration('24h')\n  slack: {channel: desk, text: hi}"
	for _, c := range []struct {
		second string
		want   int
	}{
		{step, 1},
		{strings.Replace(step, "24h", "2h", 1), 0},
		{strings.Replace(step, "at: ", "at:   ", 1), 1},
		{"\n- slack: {channel: desk, text: hi}", 0},
	} {
		src := rule("then:" + step + c.second)
		f, findings := rules.Compile("t.yaml", []byte(src), options())
		if f == nil {
			t.Fatal(render(findings, src))
		}
		if _, findings := rules.NewSet([]*rules.File{f}); len(findings) != c.want {
			t.Errorf("%s: %v", c.second, findings)
		}
	}
}

// The findings of a set are sorted by file and place, errors and warnings together.
func TestSetFindingsAreSorted(t *testing.T) {
	t.Parallel()
	var files []*rules.File
	for i, src := range []string{
		rule("then:\n- slack: {channel: a, text: b}\n- slack: {channel: a, text: b}"),
		strings.Replace(rule("then: [{slack: {channel: c, text: d}}]"), "name: test", "name: other", 1) + strings.TrimPrefix(rule("then: [{slack: {channel: e, text: f}}]"), "rules:\n"),
	} {
		f, findings := rules.Compile(fmt.Sprintf("%d.yaml", i), []byte(src), options())
		if f == nil {
			t.Fatal(render(findings, src))
		}
		files = append(files, f)
	}
	_, findings := rules.NewSet(files)
	if len(findings) != 2 || findings[0].Code != "same-send" || findings[1].Code != "duplicate-rule" || findings[1].File != "1.yaml" {
		t.Errorf("%+v", findings)
	}
}
