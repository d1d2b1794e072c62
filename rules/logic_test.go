package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// dice makes random conditions and events from so few values that many contradict each other.
type dice struct{ *rand.Rand }

func (d dice) of(words ...string) string { return words[d.IntN(len(words))] }

func (d dice) condition(depth int) string {
	if depth > 0 {
		switch d.IntN(7) {
		case 0, 1:
			return "(" + d.condition(depth-1) + " && " + d.condition(depth-1) + ")"
		case 2, 3:
			return "(" + d.condition(depth-1) + " || " + d.condition(depth-1) + ")"
		case 4:
			return "!(" + d.condition(depth-1) + ")"
		case 5:
			return "(" + d.condition(0) + " ? " + d.condition(depth-1) + " : " + d.condition(0) + ")"
		}
	}
	title := d.of(`"a"`, `"ab"`, `"b"`, `"ba"`, `""`)
	status := d.of(`"new"`, `"confirmed"`, `"cancelled"`)
	order := d.of("<", "<=", ">", ">=", "==", "!=")
	moment := d.of("now()", `now() + duration("1h")`, `now() - duration("1h")`, "appointment.endTime", `date("2026-03-02 12:00:00")`, `tz(now(), "Asia/Tokyo")`)
	switch d.IntN(20) {
	case 0:
		return "appointment.title " + d.of("==", "!=", "<", ">", "<=", ">=") + " " + title
	case 1:
		return "appointment.title " + d.of("contains", "startsWith", "endsWith") + " " + title
	case 2:
		return "appointment.title " + d.of("in", "not in") + " [" + title + ", " + d.of(`"a"`, `"ab"`, `"b"`) + "]"
	case 3:
		return "appointment.appointmentStatus " + d.of("==", "!=") + " " + status
	case 4:
		return "type " + d.of("==", "!=") + " " + d.of(`"AppointmentCreate"`, `"AppointmentUpdate"`, `"AppointmentDelete"`)
	case 5, 6, 7:
		return "appointment.startTime " + order + " " + moment
	case 8:
		return "len(appointment.users) " + order + " " + d.of("0", "1", "2", "1.5", "-1")
	case 9:
		return "appointment.startTime.Hour() " + d.of("in", "not in") + " " + d.of("9..11", "12..13", "11..30")
	case 10:
		return "appointment.endTime - appointment.startTime " + order + " " + d.of(`duration("1h")`, `duration("2h")`, `2 * duration("1h")`)
	case 11:
		return d.of(`"u1"`, `"u2"`) + d.of(" in ", " not in ") + "appointment.users"
	case 12:
		return "custom.x " + d.of("==", "!=") + " " + d.of("nil", "1", `"1"`, "true")
	case 13:
		return "lower(appointment.title) " + d.of("==", "contains", "startsWith") + " " + d.of(`"A"`, `"a"`, `"B"`)
	case 14:
		return "appointment.title " + d.of("==", "!=") + " " + d.of("appointment.notes", "appointment.title", "nil")
	case 15:
		return d.of("addDays", "addMonths", "addWorkdays") + "(appointment.startTime, " + d.of("-1", "0", "1") + ") " + order + " " + moment
	case 16:
		return d.of("clock(appointment.startTime, \"12:00\")", "startOfDay(appointment.startTime)", "max(appointment.startTime, appointment.endTime)", "min([appointment.startTime, now()])") + " " + order + " " + moment
	case 17:
		length := "(appointment.endTime - appointment.startTime)"
		return d.of(length, "-"+length, length+" / 2", "0.5 * "+length, "abs("+length+")", "max("+length+", duration(\"0m\"))") + " " + order + " " + d.of(`duration("1h")`, `-duration("1h")`, `duration("2h") / 2`, `duration("30m")`)
	case 18:
		return d.of("hours(appointment.endTime - appointment.startTime)", "daysBetween(appointment.startTime, now())", "minutes(duration(\"1h\"))", `duration("1h") / duration("30m")`) + " " + order + " " + d.of("-1", "0", "1", "2", "60")
	}
	return "len(appointment.users) * 2 - 1 " + order + " " + d.of("1", "3", "len(appointment.users)")
}

func (d dice) event(now time.Time) *Event {
	hour := func() time.Time { return now.Add(time.Duration(d.IntN(5)-2) * time.Hour) }
	return &Event{
		Type: d.of(Create, Update, Delete), ReceivedAt: now,
		Custom: []map[string]any{nil, {}, {"x": 1}, {"x": "1"}, {"x": true}}[d.IntN(5)],
		Appointment: Appointment{
			Title: d.of("", "a", "ab", "b", "ba", "aba", "AB"), Notes: d.of("a", "b"), AppointmentStatus: d.of(Statuses()...),
			Users: [][]string{nil, {"u1"}, {"u1", "u2"}, {"u2", "u3", "u4"}}[d.IntN(4)], StartTime: hour(), EndTime: hour(),
		},
	}
}

// No event makes true what the prover calls impossible. The prover may fail to call something impossible: it gives
// up.
func TestProverIsNeverWrong(t *testing.T) {
	t.Parallel()
	d := dice{rand.New(rand.NewPCG(1, 2))}
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	verdicts := map[string]int{}
	for range 2000 {
		src := d.condition(3)
		r, text := text.Alone(src)
		scope := lang.Scope{Env: world, Doc: r, Naive: time.UTC}
		program, as := scope.Compile(lang.WholeOf(text))
		if program == nil {
			t.Fatalf("%s: %v", src, r.Findings())
		}
		p := lang.NewProver(1)
		canBe, canFail := p.Possible(p.Claim(as, true)), p.Possible(p.Claim(as, false))
		verdicts[fmt.Sprint(canBe, canFail)]++
		if canBe && canFail {
			continue
		}
		for range 120 {
			run := newRun(d.event(now), now)
			run.start(&Rule{})
			v, err := run.Eval(program)
			if err != nil {
				continue
			}
			if b, _ := v.(bool); b && !canBe || !b && !canFail {
				t.Fatalf("%s is %v for %+v", src, b, run.ev.Appointment)
			}
		}
	}
	t.Log(verdicts)
	if verdicts["false true"] < 50 || verdicts["true false"] < 50 {
		t.Errorf("too few verdicts to show anything: %v", verdicts)
	}
}

// The names of an event fit what the prover assumes of them, as far as the prover itself can tell.
func TestFactsFitEvents(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		p := lang.NewProver(1)
		if !p.Possible(factsOf(name, strings.Join(Names(), " "))) {
			t.Errorf("an event cannot be %s", name)
		}
	}
}

// Analysing a condition ends soon, however long and tangled it is.
func TestProverGivesUp(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 60 {
		if i > 0 {
			b.WriteString(" && ")
		}
		fmt.Fprintf(&b, "(appointment.title != \"%d\" || appointment.notes != \"%d\" || appointment.startTime != now() + duration(\"%dh\"))", i, i, i)
	}
	src := "rules:\n  - name: a\n    on: booked\n    when: " + b.String() + "\n    then: [{slack: {channel: a, text: b}}]\n"
	start := time.Now()
	f, findings := Compile("t.yaml", []byte(src), Options{Connections: map[string]string{"slack": "slack"}})
	if f == nil || len(findings) > 0 {
		t.Fatal(findings)
	}
	if took := time.Since(start); took > 20*time.Second { // on any machine; without a limit it takes hours
		t.Errorf("it took %v", took)
	}
}
