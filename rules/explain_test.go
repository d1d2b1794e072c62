package rules_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bellhop/rules"
	"bellhop/rules/lang"
)

// explained returns the explanation of a rule with the given condition for ev.
func explained(t *testing.T, ev *rules.Event, lines ...string) rules.Explanation {
	t.Helper()
	all := load(t, rule(lines...)).Explain(ev, noon)
	if len(all) != 1 {
		t.Fatalf("%d explanations", len(all))
	}
	return all[0]
}

// outline returns a part and those below it as indented lines; causes begin with ">".
func outline(p *lang.Part, indent string) string {
	line := indent
	if p.Cause {
		line += "> "
	}
	if p.Name != "" {
		line += p.Name + ": "
	}
	line += p.Source + " = " + p.Value
	if p.Missing {
		line += " (missing)"
	}
	if p.Error != "" {
		line += " ! " + p.Error
	}
	line += "\n"
	for i := range p.Parts {
		line += outline(p.Parts[i], indent+"  ")
	}
	return line
}

func TestExplainParts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ when, outcome, want string }{
		{
			`appointment.calendarId in ["cal9"] && contact.lastName == "Guest" && source == "hoopai"`, "not-true", `
appointment.calendarId in ["cal9"] && contact.lastName == "Guest" && source == "hoopai" = false
  > appointment.calendarId in ["cal9"] = false
    appointment.calendarId = "cal1"
  > contact.lastName == "Guest" = false
    contact.lastName = "" (missing)
  source == "hoopai" = true
    source = "hoopai"`,
		},
		{
			`(source == "other") || (raw.contact.email == "a@example.com")`, "not-true", `
(source == "other") || (raw.contact.email == "a@example.com") = false
  > source == "other" = false
    source = "hoopai"
  > raw.contact.email == "a@example.com" = false
    raw.contact.email = nothing (missing)
      raw.contact = nothing (missing)`,
		},
		{
			`not (source == "hoopai" && "u1" in appointment.users)`, "not-true", `
not (source == "hoopai" && "u1" in appointment.users) = false
  source == "hoopai" && "u1" in appointment.users = true
    > source == "hoopai" = true
      source = "hoopai"
    > "u1" in appointment.users = true
      appointment.users = ["u1","u2"]`,
		},
		{
			`appointment.calendarId not in ["cal1"]`, "not-true", `
> appointment.calendarId not in ["cal1"] = false
  appointment.calendarId = "cal1"`,
		},
		{
			`raw.missing > 5 && source == "hoopai"`, "failed", `
raw.missing > 5 && source == "hoopai" =  ! a missing value cannot be compared
  > raw.missing > 5 =  ! a missing value cannot be compared
    raw.missing = nothing (missing)
  source == "hoopai" = true
    source = "hoopai"`,
		},
		{
			`raw.missing > 5 && source == "other"`, "not-true", `
raw.missing > 5 && source == "other" = false
  raw.missing > 5 =  ! a missing value cannot be compared
    raw.missing = nothing (missing)
  > source == "other" = false
    source = "hoopai"`,
		},
		{
			`raw.size`, "failed", `
> raw.size =  ! the condition must be true or false, but it is a number`,
		},
		{
			`any(appointment.users, # startsWith "x")`, "not-true", `
> any(appointment.users, # startsWith "x") = false
  appointment.users = ["u1","u2"]
  # startsWith "x" = for each element: [false,false]`,
		},
		{
			`let t = lower(appointment.title); t contains "shave" || len(t) > 50`, "not-true", `
> let t = lower(appointment.title); t contains "shave" || len(t) > 50 = false
  lower(appointment.title) = "haircut & colour"
    appointment.title = "Haircut & colour"
  t contains "shave" || len(t) > 50 = false
    t contains "shave" = false
      t = "haircut & colour"
    len(t) > 50 = false
      len(t) = 16
        t = "haircut & colour"`,
		},
		{
			`(contact.lastName ?? contact.firstName) == "Other"`, "not-true", `
> (contact.lastName ?? contact.firstName) == "Other" = false
  contact.lastName ?? contact.firstName = "Guest"
    contact.lastName = "" (missing)
    contact.firstName = "Guest"`,
		},
		{
			`(contact.firstName ?? raw.missing) == "Other"`, "not-true", `
> (contact.firstName ?? raw.missing) == "Other" = false
  contact.firstName ?? raw.missing = "Guest"
    contact.firstName = "Guest"`,
		},
		{
			`source == "other" ? raw.missing > 5 : appointment.startTime < now() + duration("1h")`, "not-true", `
> source == "other" ? raw.missing > 5 : appointment.startTime < now() + duration("1h") = false
  source == "other" = false
    source = "hoopai"
  appointment.startTime < now() + duration("1h") = false
    appointment.startTime = 2026-03-09T10:00:00+05:30
    now() + duration("1h") = 2026-03-02T13:00:00Z
      now() = 2026-03-02T12:00:00Z`,
		},
		{
			`previous.startTime > now() or appointment.startTime.Hour() == 11`, "not-true", `
previous.startTime > now() or appointment.startTime.Hour() == 11 = false
  > previous.startTime > now() = false
    previous.startTime = no time (missing)
    now() = 2026-03-02T12:00:00Z
  > appointment.startTime.Hour() == 11 = false
    appointment.startTime.Hour() = 10
      appointment.startTime = 2026-03-09T10:00:00+05:30`,
		},
		{
			`source == "hoopai"`, "fired", `
source == "hoopai" = true
  source = "hoopai"`,
		},
	} {
		e := explained(t, booking(), "when: |-\n  "+tt.when)
		if e.When == nil {
			t.Errorf("%s: no condition", tt.when)
			continue
		}
		if got := "\n" + strings.TrimSuffix(outline(e.When, ""), "\n"); got != tt.want || string(e.Outcome) != tt.outcome {
			t.Errorf("%s\ngot %s%s\nwant %s%s", tt.when, e.Outcome, got, tt.outcome, tt.want)
		}
		if b, err := json.Marshal(e); err != nil || !json.Valid(b) {
			t.Error(err)
		}
	}
}

func TestExplainReasons(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ lines, outcome, want string }{
		{`when: source == "hoopai"`, "fired", "its condition is true"},
		{``, "fired", "the rule has no condition"},
		{`enabled: false`, "disabled", "the rule is switched off (enabled: false)"},
		{`when: appointment.calendarId == "x" && contact.lastName != ""`, "not-true", `appointment.calendarId == "x" is false (appointment.calendarId is "cal1"); contact.lastName != "" is false (contact.lastName is missing)`},
		{`when: raw.missing > 5`, "failed", "raw.missing > 5 failed: a missing value cannot be compared (raw.missing is missing)"},
		{`when: all(1..10000, all(1..10000, true))`, "failed", "all(1..10000, all(1..10000, true)) failed: this takes more work than a rule may do; it was stopped"},
	} {
		e := explained(t, booking(), strings.Split(tt.lines, "\n")...)
		if string(e.Outcome) != tt.outcome || e.Reason != tt.want {
			t.Errorf("%s\n got %s: %s\nwant %s: %s", tt.lines, e.Outcome, e.Reason, tt.outcome, tt.want)
		}
	}
	other := booking()
	other.On = []string{rules.Update, rules.Updated}
	set := load(t, "rules:\n- name: one\n  on: [booked, confirmed]\n  then:\n  - email: {to: a@example.com, subject: s, text: t}\n")
	if e := set.Explain(other, noon)[0]; e.Outcome != rules.OtherEvent ||
		e.Reason != "the rule is for booked and confirmed, but this event is AppointmentUpdate and updated" {
		t.Errorf("%s: %s", e.Outcome, e.Reason)
	}
	e, ok := set.ExplainRule(booking(), noon, "one")
	if !ok || e.Outcome != rules.Fired || len(e.Steps) != 1 || !strings.Contains(string(e.Steps[0].Request), "a@example.com") {
		t.Errorf("%v: %+v", ok, e)
	}
	if _, ok := set.ExplainRule(booking(), noon, "two"); ok {
		t.Error("there is no rule two")
	}
}

func TestExplainLet(t *testing.T) {
	t.Parallel()
	e := explained(t, booking(), "let:", "  who: contact.lastName ?? contact.firstName", "  late: who == \"x\" && raw.missing > 1", "  bad: raw.size + \"x\"", "when: late")
	var b strings.Builder
	for i := range e.Let {
		b.WriteString(outline(&e.Let[i], ""))
	}
	b.WriteString(outline(e.When, ""))
	want := `who: contact.lastName ?? contact.firstName = "Guest"
  contact.lastName = "" (missing)
  contact.firstName = "Guest"
late: who == "x" && raw.missing > 1 = false
  who == "x" = false
    who = "Guest"
  raw.missing > 1 =  ! a missing value cannot be compared
    raw.missing = nothing (missing)
bad: raw.size + "x" =  ! a number and the text "x" cannot be added; string(…) makes a text of anything
  raw.size = 5
> late = false
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestExplainWaitingSteps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ lines, at, step, want string }{
		{
			``, `appointment.startTime - duration("24h")`, `2026-03-08T10:00:00+05:30 sends "Guest at 2026-03-08T04:30:00Z"`, `
appointment.startTime - duration("24h") = 2026-03-08T10:00:00+05:30
  appointment.startTime = 2026-03-09T10:00:00+05:30`,
		},
		{
			"timezone: Europe/Berlin\nlet: { start: appointment.startTime }\nwhen: start > now() - duration(\"1h\")", `start - duration("24h")`,
			`2026-03-08T05:30:00+01:00 sends "Guest at 2026-03-08T05:30:00+01:00"`, `
start - duration("24h") = 2026-03-08T10:00:00+05:30
  start = 2026-03-09T10:00:00+05:30`,
		},
		{
			`when: appointment.startTime > now()`, `appointment.startTime + duration("1h")`, `2026-03-09T11:00:00+05:30 then: the condition is no longer true`, `
appointment.startTime + duration("1h") = 2026-03-09T11:00:00+05:30
  appointment.startTime = 2026-03-09T10:00:00+05:30`,
		},
		{
			``, `appointment.dateAdded + duration("1h")`, `skip: there is no time to count from: a time that "at" names is missing`, `
appointment.dateAdded + duration("1h") =  (missing)
  > appointment.dateAdded = no time (missing)`,
		},
		{
			`let: { added: appointment.dateAdded }`, `(added ?? previous.startTime) + duration("1h") + duration("1m")`, `skip: there is no time to count from: a time that "at" names is missing`, `
(added ?? previous.startTime) + duration("1h") + duration("1m") =  (missing)
  (added ?? previous.startTime) + duration("1h") = 0001-01-01T01:00:00Z
    added ?? previous.startTime = no time
      > added = no time (missing)
      > previous.startTime = no time (missing)`,
		},
		{
			``, `appointment.startTime - duration("1000h")`, `2026-01-26T18:00:00+05:30 skip: too late: it was due at 2026-01-26 18:00:00 +05:30`, `
appointment.startTime - duration("1000h") = 2026-01-26T18:00:00+05:30
  appointment.startTime = 2026-03-09T10:00:00+05:30`,
		},
		{
			``, `date(raw.when) + duration("1h")`, `error: at: test.yaml:5:13: date needs a text, but got nothing (the value is missing)`, `
date(raw.when) + duration("1h") =  ! date needs a text, but got nothing (the value is missing)
  > date(raw.when) =  ! date needs a text, but got nothing (the value is missing)
    raw.when = nothing (missing)`,
		},
	} {
		lines := strings.Split(tt.lines, "\n")
		if tt.lines == "" {
			lines = nil
		}
		e := explained(t, booking(), append(lines, "then:", "  - at: "+tt.at, `    http: { url: "https://api.example.com/", json: "{{ contact.firstName ?? 0 }} at {{ now() }}" }`)...)
		if len(e.Steps) != 1 || e.Steps[0].Moment == nil {
			t.Errorf("%s: %+v", tt.at, e)
			continue
		}
		s := e.Steps[0]
		said := ""
		if !s.At.IsZero() {
			said = s.At.Format(time.RFC3339) + " "
		}
		var request struct{ JSON json.RawMessage }
		switch {
		case s.Error != "":
			said += "error: " + s.Error
		case s.Skip != "":
			said += "skip: " + s.Skip
		case s.Then != "":
			said += "then: " + s.Then
		case json.Unmarshal(s.Request, &request) == nil:
			said += "sends " + string(request.JSON)
		}
		if said != tt.step || s.Destination != "https://api.example.com" {
			t.Errorf("%s\n got %s, through %s\nwant %s", tt.at, said, s.Destination, tt.step)
		}
		if got := "\n" + strings.TrimSuffix(outline(s.Moment, ""), "\n"); got != tt.want {
			t.Errorf("%s\ngot %s\nwant %s", tt.at, got, tt.want)
		}
	}
	set := load(t, rule("then:", "  - http: { url: \"https://api.example.com/\" }", "  - at: receivedAt", "    http: { url: \"{{ raw.url }}\" }"))
	if e := set.Explain(booking(), noon)[0]; e.Steps[0].Moment != nil || !e.Steps[0].At.IsZero() || e.Steps[1].Moment == nil || strings.Contains(e.Steps[1].Destination, "rule") {
		t.Errorf("%+v", e.Steps)
	}
}

// Explaining a rule is limited as matching is, whatever its author wrote.
func TestExplainIsBounded(t *testing.T) {
	t.Parallel()
	heavy := "all(1..10000, all(1..10000, true))"
	for _, when := range []string{
		strings.Repeat(heavy+" && ", 40) + "true",
		strings.Repeat("(", 90) + `source == "x"` + strings.Repeat(")", 90),
		strings.Repeat(`source == "x" || `, 390) + "false",
		strings.Repeat("len(", 1) + strings.Repeat("[", 50) + strings.Repeat("]", 50) + ") == 1 && toJSON(raw) == raw.x",
	} {
		set := load(t, rule("when: |-\n  "+when))
		var e rules.Explanation
		if took := took(func() { e = set.Explain(booking(), noon)[0] }); took > time.Second && !raceEnabled {
			t.Errorf("%.40s… took %s", when, took)
		}
		n := 0
		count(e.When, &n)
		if n > 3*200 {
			t.Errorf("%.40s… has %d parts", when, n)
		}
		if fired := len(set.Match(booking(), noon)) > 0 && set.Match(booking(), noon)[0].Err == nil; fired != (e.Outcome == rules.Fired) {
			t.Errorf("%.40s…: fired is %v, explained as %s", when, fired, e.Outcome)
		}
	}
}

func count(p *lang.Part, n *int) {
	*n++
	for i := range p.Parts {
		count(p.Parts[i], n)
	}
}

// For random conditions and events, Explain says what the engine does, and the parts it shows add up to that.
func TestExplainAgreesWithMatch(t *testing.T) {
	t.Parallel()
	outcomes := map[rules.Outcome]int{}
	rapid.Check(t, func(rt *rapid.T) {
		when := anyCondition(rt, 4)
		src := rule(`let:`, `  who: contact.firstName ?? "nobody"`, `  wide: raw.n > 3`, `when: `+yamlQuote(when))
		file, _ := rules.Compile("test.yaml", []byte(src), options())
		if file == nil {
			rt.Skip("does not load") // the checker knows that it can never be true, or never works
		}
		set, _ := rules.NewSet([]*rules.File{file})
		for range 5 { // events are cheaper than conditions
			ev := anyEvent(rt)
			want := "not-true"
			if m := set.Match(ev, noon); len(m) > 0 {
				want = "fired"
				if m[0].Err != nil {
					want = "failed"
				}
			}
			e := set.Explain(ev, noon)[0]
			outcomes[e.Outcome]++
			shown := outline(e.When, "")
			switch {
			case string(e.Outcome) != want:
				rt.Fatalf("%s: the engine says %s, the explanation %s\n%s", when, want, e.Outcome, shown)
			case addUp(e.When) != want:
				rt.Fatalf("%s: the parts add up to %s, but it is %s\n%s", when, addUp(e.When), want, shown)
			case want != "fired" && !strings.Contains(shown, "> "):
				rt.Fatalf("%s: no cause is marked\n%s", when, shown)
			}
		}
	})
	if outcomes[rules.Fired] == 0 || outcomes[rules.NotTrue] == 0 || outcomes[rules.Failing] == 0 {
		t.Errorf("too few kinds of outcomes: %v", outcomes)
	}
}

// addUp computes a condition from the parts that are shown, joined as in its text: the test's conditions put every
// operand of and, or and not into parentheses.
func addUp(p *lang.Part) string {
	own := map[string]string{"true": "fired", "false": "not-true"}[p.Value]
	if p.Error != "" {
		own = "failed"
	}
	op := operator(p.Source)
	if op == "" || len(p.Parts) == 0 {
		return own
	}
	if sum := joined(op, p.Parts); sum != own {
		return p.Source + " is " + own + ", but its parts add up to " + sum
	}
	return own
}

func joined(op string, parts []*lang.Part) string {
	if op == "not" {
		return map[string]string{"fired": "not-true", "not-true": "fired", "failed": "failed"}[addUp(parts[0])]
	}
	decisive, rest := "not-true", "fired"
	if op == "||" {
		decisive, rest = rest, decisive
	}
	out := rest
	for i := range parts {
		switch sum := addUp(parts[i]); sum {
		case decisive:
			return decisive
		case rest:
		case "failed":
			out = sum
		default:
			return sum
		}
	}
	return out
}

// operator returns what joins the outermost parentheses of a text: "&&", "||", "not", or "" if there are none.
func operator(source string) string {
	if strings.HasPrefix(source, "not (") || strings.HasPrefix(source, "!(") {
		return "not"
	}
	if !strings.HasPrefix(source, "(") {
		return ""
	}
	depth := 0
	for i, c := range source {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 && i+4 < len(source) {
				for _, op := range []string{" && ", " || "} {
					if strings.HasPrefix(source[i+1:], op) {
						return strings.TrimSpace(op)
					}
				}
			}
		}
	}
	return ""
}

var conditionLeaves = []string{
	`source == "hoopai"`, `source != "hoopai"`, `appointment.title contains "cut"`, `raw.n > 3`, `raw.n == 4`, `raw.text startsWith "a"`, `raw.deep.down.there == nil`, `raw.deep.down > 1`,
	`contact.email endsWith "example.com"`, `(contact.email ?? raw.text) == "abc"`, `appointment.startTime > now()`, `appointment.endTime - appointment.startTime > duration("45m")`,
	`"u1" in appointment.users`, `appointment.users[0] == "u2"`, `any(appointment.users, # == "u2")`, `all(raw.list, # > 1)`, `filter(raw.list, # > 1) == [2]`, `len(raw.text) > 2`, `raw.flag`, `wide`, `who == "Guest"`,
	`who in ["nobody", "x"]`, `appointment.calendarId not in ["cal1", "cal2"]`, `int(raw.text) == 5`, `date(previous.startTime, "2006") == "2026"`, `raw.n > 2 ? raw.flag : raw.n < 1`, `true`, `false`,
	`let x = raw.n; x > 2 && x < 5`, `1 < raw.n < 5`, `5 % raw.n == 1`, `"cancelled" in on`, `weekday(appointment.startTime) == "Monday"`, `raw.list == [1, 2]`, `toJSON(raw.list) == "[1,2]"`, `contact.tags == []`,
}

func anyCondition(rt *rapid.T, depth int) string {
	if depth == 0 {
		return rapid.SampledFrom(conditionLeaves).Draw(rt, "leaf")
	}
	switch rapid.IntRange(0, 4).Draw(rt, "shape") {
	case 0:
		return anyCondition(rt, 0)
	case 1:
		return rapid.SampledFrom([]string{"not (", "!("}).Draw(rt, "not") + anyCondition(rt, depth-1) + ")"
	default:
		op := rapid.SampledFrom([]string{" && ", " || "}).Draw(rt, "op")
		parts := make([]string, rapid.IntRange(2, 3).Draw(rt, "n"))
		for i := range parts {
			parts[i] = "(" + anyCondition(rt, depth-1) + ")"
		}
		return strings.Join(parts, op)
	}
}

func anyEvent(rt *rapid.T) *rules.Event {
	pick := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, label) }
	ev := booking()
	ev.Source = pick("source", "hoopai", "workflow")
	ev.Appointment.Title = pick("title", "", "Haircut", "Shave")
	ev.Appointment.CalendarID = pick("calendar", "", "cal1", "cal9")
	ev.Contact.Email = pick("email", "", "guest@example.com", "abc")
	ev.Contact.FirstName = pick("first", "", "Guest")
	ev.Appointment.Users = [][]string{nil, {"u1"}, {"u2", "u1"}}[rapid.IntRange(0, 2).Draw(rt, "users")]
	if rapid.Bool().Draw(rt, "past") {
		ev.Appointment.StartTime = noon.Add(-time.Hour)
	}
	if rapid.Bool().Draw(rt, "moved") {
		ev.Previous = ev.Appointment
	}
	ev.Body = json.RawMessage(fmt.Sprintf(`{"n": %s, "text": %s, "list": %s, "flag": %s, "deep": %s}`,
		pick("n", "null", "0", "2", "4", `"x"`), pick("text", "null", `"abc"`, `"5"`, "7"), pick("list", "null", "[]", "[1,2]", "[2]", `"no"`),
		pick("flag", "null", "true", "false", strconv.Itoa(1)), pick("deep", "null", `{"down": 3}`, `{"down": {"there": 1}}`)))
	return ev
}
