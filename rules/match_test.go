package rules_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bellhop/rules"
)

// The cost of a pattern anchored at the beginning depends on its own length, however long the text is.
func TestAnchoredPatterns(t *testing.T) {
	t.Parallel()
	ev := booking()
	ev.Appointment.Notes = strings.Repeat("+44 ", 200_000)
	for when, want := range map[string]string{
		`any(1..1000, appointment.notes matches "^[+]?[0-9]{6,15}$")`:     "no",
		`all(1..1000, appointment.notes matches "^[+](44|33) ")`:          "yes",
		`all(1..1000, appointment.notes matches "(?i)^[+]44 ")`:           "yes",
		`appointment.notes matches "^[+]44.*x"`:                           "test.yaml:6:7: this takes more work than a rule may do; it was stopped",
		`any(1..1000, appointment.notes matches "(?m)^[+]?[0-9]{6,15}$")`: "test.yaml:6:7: this takes more work than a rule may do; it was stopped",
	} {
		if got := fires(t, when, ev); got != want {
			t.Errorf("%s: got %s, want %s", when, got, want)
		}
	}
}

// A condition is false if one of its operands is, even if another one failed or took too much work.
func TestFalseWhateverElse(t *testing.T) {
	t.Parallel()
	const endless, wrong = `any(1..10000, any(1..10000, # > raw.size + 99999))`, `raw.nothing > 5`
	long := ""
	for range 200 {
		long += ` && raw.size == 5`
	}
	ev := booking()
	for _, tt := range []struct{ when, want string }{
		{endless + ` && source == "x"`, "no"},
		{`source == "x" && ` + endless, "no"},
		{endless + ` && raw.title contains "x" && ` + endless, "no"},
		{endless + long + ` && source == "x"`, "no"},
		{endless + ` || source == "hoopai"`, "yes"},
		{`!(` + endless + ` || source == "hoopai")`, "no"},
		{`(` + endless + ` || ` + wrong + `) && source == "x"`, "no"},
		{wrong + ` && ` + endless + ` && source == "x"`, "no"},
		{endless + ` && source == "hoopai"`, "test.yaml:6:7: this takes more work than a rule may do; it was stopped"},
	} {
		if got := fires(t, tt.when, ev); got != tt.want {
			t.Errorf("%.90s: got %s, want %s", tt.when, got, tt.want)
		}
	}
}

// fires returns the result of a condition: "yes", "no" or its error.
func fires(t *testing.T, when string, ev *rules.Event) string {
	t.Helper()
	set := load(t, rule("when: |-\n  "+strings.ReplaceAll(when, "\n", "\n  ")))
	m := set.Match(ev, noon)
	switch {
	case len(m) == 0:
		return "no"
	case m[0].Err != nil:
		return m[0].Err.Error()
	}
	return "yes"
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ when, want string }{
		{`true`, "yes"},
		{`type == "AppointmentCreate" && source == "hoopai" && locationId == "loc1"`, "yes"},
		{`"booked" in on and not ("cancelled" in on)`, "yes"},
		{`"startTime" in changed`, "no"},
		{`appointment.calendarId in ["cal1", "cal2"]`, "yes"},
		{`appointment.calendarId not in ["cal1", "cal2"]`, "no"},
		{`"u2" in appointment.users`, "yes"},
		{`appointment.users == ["u1", "u2"]`, "yes"},
		{`appointment.users[0] == "u1" && appointment.users[-1] == "u2"`, "yes"},
		{`appointment.users[7] == "u1"`, "no"}, // a missing element is nil
		{`appointment.startTime > now()`, "yes"},
		{`appointment.startTime - duration("7d") < now()`, "yes"},
		{`appointment.startTime - now() > duration("1w")`, "no"},
		{`appointment.endTime - appointment.startTime == duration("60m")`, "yes"},
		{`appointment.startTime.Hour() == 10 && appointment.startTime.Year() == 2026 && appointment.startTime.YearDay() == 68`, "yes"},
		{`weekday(appointment.startTime) == "Monday" && timeOfDay(appointment.startTime) == "10:00"`, "yes"},
		{`timeOfDay(tz(appointment.startTime, "UTC")) == "04:30"`, "yes"},
		{`date(appointment.startTime, "2006-01-02") == "2026-03-09"`, "yes"},
		{`date("2026-03-09T04:30:00Z") == appointment.startTime`, "yes"},
		{`date("2026-03-02") == date("02/03/2026", "02/01/2006")`, "yes"},
		{`previous.title == "" && previous.startTime < now()`, "yes"}, // never nil: the comparison works
		{`contact.lastName == nil`, "no"},
		{`(contact.lastName ?? "none") == "none"`, "yes"},
		{`(contact.firstName ?? "none") == "Guest"`, "yes"},
		{`(previous.startTime ?? now()) == now()`, "yes"},
		{`(raw.note ?? raw.size ?? 1) == 5`, "yes"},
		{`"vip" in contact.tags`, "yes"},
		{`raw.size == 5 && raw.size > 4.5`, "yes"},
		{`raw.nothing.below.that == nil`, "yes"},
		{`raw["list"][1] == "y"`, "yes"},
		{`raw.list[5] == nil && raw.size.x == nil`, "yes"},
		{`raw?.appointment?.id == "a1"`, "yes"},
		{`custom.room == "4"`, "no"},
		{`raw.note == nil`, "yes"},
		{`raw.note startsWith "x"`, "no"},
		{`any(appointment.users, # startsWith "u") && all(appointment.users, len(#) == 2)`, "yes"},
		{`count(1..10, # > 5) == 5 && sum(1..4) == 10 && sum(1..3, # * 2) == 12`, "yes"},
		{`filter(1..6, # % 2 == 0) == [2, 4, 6] && map(["a"], upper(#)) == ["A"]`, "yes"},
		{`find(1..6, # > 3) == 4 && findIndex(1..6, # > 3) == 3 && findLast(1..6, # < 3) == 2`, "yes"},
		{`findIndex(1..3, # > 9) == nil`, "yes"},
		{`findLast(1..6, # > 9) == nil && findLastIndex(1..6, # > 9) == nil`, "yes"},
		{`findLastIndex(1..6, # % 2 == 1) == 4 && findLastIndex(appointment.users, # == "u1") == 0`, "yes"},
		{`any(1..3, findLast(1..6, # > 9) == nil && findLastIndex(1..2, # < 9) == 1) && (findLast(1..2, # > 9) ?? 7) == 7`, "yes"},
		{`reduce(1..4, #acc + #, 0) == 10 && reduce(1..4, #acc * #) == 24`, "yes"},
		{`sortBy(["b", "a"], #) == ["a", "b"] && sort([3, 1], "desc") == [3, 1]`, "yes"},
		{`keys(groupBy(["ab", "c"], len(#))) == ["1", "2"]`, "yes"},
		{`keys({"b": 1, "a": 2}) == ["a", "b"] && "a" in {"a": 1}`, "yes"},
		{`len("héé") == 3 && "héé"[1:2] == "é" && take([1, 2, 3], 2) == [1, 2]`, "yes"},
		{`split("a,b", ",") == ["a", "b"] && join(["a", "b"], "-") == "a-b" && trim(" x ") == "x"`, "yes"},
		{`"Haircut" in split(appointment.title, " ") && appointment.title matches "(?i)^HAIR"`, "yes"},
		{`replace("aXa", "X", "-") == "a-a" && indexOf("abc", "c") == 2 && repeat("ab", 2) == "abab"`, "yes"},
		{`max(1, 5, 3) == 5 && min([4, 2]) == 2 && mean(1..3) == 2.0 && abs(-2) == 2 && round(2.5) == 3`, "yes"},
		{`int("7") == 7 && float("1.5") == 1.5 && string(7) == "7" && 7 / 2 == 3.5 && 7 % 4 == 3 && 2 ** 3 == 8`, "yes"},
		{`toJSON({"a": [1]}) == '{"a":[1]}' && fromJSON("[1]")[0] == 1 && fromBase64(toBase64("x")) == "x"`, "yes"},
		{`uniq([1, 1, 2]) == [1, 2] && concat([1], [2]) == [1, 2] && flatten([[1], [2]]) == [1, 2] && reverse([1, 2]) == [2, 1]`, "yes"},
		{`first([1, 2]) == 1 && last([1, 2]) == 2 && get([1], 5) == nil && first(raw.list) == "x"`, "yes"},
		{`fromPairs([["a", 1]]) == {"a": 1} && values({"a": 1}) == [1] && toPairs({"a": 1}) == [["a", 1]]`, "yes"},
		{`let x = appointment.title; x contains "&" && !(x contains "?")`, "yes"},
		{`appointment.title == "" ? false : true`, "yes"},
		{`if source == "hoopai" { true } else { false }`, "yes"},
		{`"hi" | upper() == "HI"`, "yes"},
		{`1 < raw.size < 9`, "yes"},
		{`1 < raw.size < 4`, "no"},
		{`appointment.title[0:4] + "!" == "Hair!"`, "yes"},
		{`appointment["title"] == appointment.title && toJSON(contact) contains "guest@example.com"`, "yes"},
		{`duration("-90m") + duration("2h") == duration("30m") && duration("1h") * 2 == duration("2h")`, "yes"},

		// errors are recorded, in words
		{`raw.missing > 5`, "test.yaml:6:7: a missing value cannot be compared"},
		{`raw.size > "x"`, "test.yaml:6:7: a number and the text \"x\" cannot be compared"},
		{`raw.missing`, "test.yaml:6:7: the condition must be true or false, but it is nothing (the value is missing)"},
		{`!raw.size`, "test.yaml:6:7: the condition must be true or false, but it is a number"},
		{`raw.size ? true : false`, "test.yaml:6:7: true or false is needed, but the value is something else"},
		{`date(previous.startTime, "2006") == "2026"`, "test.yaml:6:7: date needs a time, but the time is missing"},
		{`raw.list.x == nil && upper(raw.size) == "A"`, "test.yaml:6:7: upper needs a text, but got a number"},
		{`raw.missing + "x" == "x"`, "test.yaml:6:7: nothing (the value is missing) and the text \"x\" cannot be added; string(…) makes a text of anything"},
		{`any(raw.missing, true)`, "test.yaml:6:7: a list is needed, but the value is missing or something else"},
		{`5 % int(raw.size - 5) == 1`, "test.yaml:6:7: a number is divided by 0"},
		{`tz(appointment.startTime, raw.list[0]) > now()`, "test.yaml:6:7: \"x\" is not a time zone"},

		// a && b is false if either is, a || b is true if either is, whatever the other one raises
		{`raw.missing > 5 && source == "other"`, "no"},
		{`source == "other" && raw.missing > 5`, "no"},
		{`source == "hoopai" && (raw.missing > 5 && source == "other")`, "no"},
		{`raw.missing > 5 || source == "hoopai"`, "yes"},
		{`!(raw.missing > 5 || source == "hoopai")`, "no"},
		{`raw.missing > 5 || source == "other"`, "test.yaml:6:7: a missing value cannot be compared"},
		{`raw.missing > 5 && source == "hoopai"`, "test.yaml:6:7: a missing value cannot be compared"},
		{`all(1..10000, all(1..10000, true)) && source == "other"`, "no"},
		{`all(1..10000, all(1..10000, true)) && source in ["other"]`, "no"},
		{`all(1..10000, all(1..10000, true)) && source startsWith "other"`, "no"},
	} {
		if got := fires(t, tt.when, booking()); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.when, got, tt.want)
		}
	}
}

// step renders the one step of a rule.
func step(t *testing.T, ev *rules.Event, lines ...string) rules.Step {
	t.Helper()
	set := load(t, rule(lines...))
	m := set.Match(ev, noon)
	if len(m) != 1 || m[0].Err != nil || len(m[0].Steps) != 1 {
		t.Fatalf("got %+v", m)
	}
	return m[0].Steps[0]
}

// rendered returns one field of the step's request.
func rendered(t *testing.T, s rules.Step, field string) any {
	t.Helper()
	if s.Err != nil || s.Skip != "" {
		t.Fatalf("not rendered: %v %s", s.Err, s.Skip)
	}
	var m map[string]any
	if err := json.Unmarshal(s.Request, &m); err != nil {
		t.Fatal(err)
	}
	return m[field]
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{`plain`, "plain"},
		{`{{ appointment.title }}!`, "Haircut & colour!"},
		{`{{appointment.id}}{{appointment.id}}`, "a1a1"},
		{`{{ "{{" }} and }}`, "{{ and }}"},
		{`{{ "}}" + '}}' }}`, "}}}}"},
		{`{{ {"a": {"b": 1}} }}`, `{"a":{"b":1}}`},
		{`{{ appointment.users }}`, "u1, u2"},
		{`{{ appointment.startTime }}`, "2026-03-09T10:00:00+05:30"},
		{`{{ date(appointment.startTime, "Mon 2 Jan 15:04") }}`, "Mon 9 Mar 10:00"},
		{`{{ 3 }} {{ 2.5 }} {{ raw.size }} {{ true }} {{ duration("90m") }}`, "3 2.5 5 true 1h30m"},
		{`{{ contact.lastName ?? "there" }}`, "there"},
		{`[{{ previous.title ?? "" }}]`, "[]"},
		{`{{ appointment.notes }}`, ""},
		{`{{ appointment.title | upper() }}`, "HAIRCUT & COLOUR"},
		{`it's {{ appointment.id }} o'clock`, "it's a1 o'clock"},
	} {
		s := step(t, booking(), "then: [{email: {to: a@example.com, subject: s, text: "+yamlQuote(tt.text)+"}}]")
		if got := rendered(t, s, "text"); got != tt.want && !(got == nil && tt.want == "") {
			t.Errorf("%s\n got %q\nwant %q", tt.text, got, tt.want)
		}
	}
}

func yamlQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func TestTimezone(t *testing.T) {
	t.Parallel()
	s := step(t, booking(), "timezone: America/Chicago",
		`then: [{email: {to: a@example.com, subject: s, text: '{{ date(appointment.startTime, "Mon 15:04") }} {{ weekday(appointment.startTime) }} {{ timeOfDay(appointment.startTime) }} {{ appointment.startTime }} {{ date("2026-03-09 10:00:00") }}'}}]`)
	if got, want := rendered(t, s, "text"), "Sun 23:30 Sunday 23:30 2026-03-09T10:00:00+05:30 2026-03-09T10:00:00-05:00"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLetIsComputedOnceInOrder(t *testing.T) {
	t.Parallel()
	s := step(t, booking(), "let:\n  a: appointment.title\n  b: a + \"!\"", "when: b contains a",
		`then: [{email: {to: a@example.com, subject: '{{ b }}', text: '{{ b }} {{ a }}'}}]`)
	if got := rendered(t, s, "text"); got != "Haircut & colour! Haircut & colour" {
		t.Errorf("got %s", got)
	}
}

func TestEscaping(t *testing.T) {
	t.Parallel()
	ev := booking()
	ev.Appointment.Title = `<b onclick="x">'&`
	ev.Appointment.Address = "javascript:alert(1)"
	ev.Appointment.Notes = "https://example.com/?a=1&b=2"
	s := step(t, ev, `then:
- email:
    to: a@example.com
    subject: "{{ appointment.title }}"
    text: "{{ appointment.title }}"
    html: |-
      <p title="{{ appointment.title }}">{{ appointment.title }}</p>
      <a href="{{ appointment.address }}">1</a><a href='{{ appointment.notes }}'>2</a>
      <a href="https://example.com/?q={{ appointment.title }}">3</a><!-- x --><style>p{}</style>{{ appointment.id }}`)
	for field, want := range map[string]string{
		"subject": ev.Appointment.Title, "text": ev.Appointment.Title,
		"html": `<p title="&lt;b onclick=&#34;x&#34;&gt;&#39;&amp;">&lt;b onclick=&#34;x&#34;&gt;&#39;&amp;</p>
<a href="#">1</a><a href='https://example.com/?a=1&amp;b=2'>2</a>
<a href="https://example.com/?q=%3Cb+onclick%3D%22x%22%3E%27%26">3</a><!-- x --><style>p{}</style>a1`,
	} {
		if got := rendered(t, s, field); got != want {
			t.Errorf("%s:\n got %s\nwant %s", field, got, want)
		}
	}
	s = step(t, ev, `then: [{slack: {channel: desk, text: "<!here> {{ appointment.title }}"}}]`)
	if got, want := rendered(t, s, "text"), `<!here> &lt;b onclick="x"&gt;'&amp;`; got != want {
		t.Errorf("slack: got %s, want %s", got, want)
	}
}

func TestTreeKeepsTypes(t *testing.T) {
	t.Parallel()
	ev := booking()
	s := step(t, ev, `then:
- http:
    connection: crm
    path: /x/{{ appointment.id }}
    json:
      list: "{{ appointment.users }}"
      number: "{{ raw.size }}"
      block: |
        {{ 1 + 1 }}
      text: "{{ raw.size }} of it"
      bool: "{{ source == 'hoopai' }}"
      time: "{{ appointment.startTime }}"
      none: "{{ raw.note ?? nil }}"
      object: "{{ {'a': appointment.startTime} }}"
      fixed: [1, 2.5, true, null, "x", 12345678901234567890123, 2026-01-01]
      deep: {"a\"b": "{{ appointment.title }}"}`)
	got, err := json.Marshal(rendered(t, s, "json"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"block":2,"bool":true,"deep":{"a\"b":"Haircut \u0026 colour"},"fixed":[1,2.5,true,null,"x",1.2345678901234568e+22,"2026-01-01"],` +
		`"list":["u1","u2"],"none":null,"number":5,"object":{"a":"2026-03-09T10:00:00+05:30"},"text":"5 of it","time":"2026-03-09T10:00:00+05:30"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	again := step(t, ev, `then: [{http: {connection: crm, path: /x, json: {z: 1, a: "{{ {'y': 1, 'b': 2} }}"}}}]`)
	for range 20 {
		if more := step(t, ev, `then: [{http: {connection: crm, path: /x, json: {z: 1, a: "{{ {'y': 1, 'b': 2} }}"}}}]`); string(more.Request) != string(again.Request) {
			t.Fatalf("%s and %s", more.Request, again.Request)
		}
	}
}

func TestRecipients(t *testing.T) {
	t.Parallel()
	ev := booking()
	ev.Contact = rules.Contact{}
	for _, to := range []string{`"{{ contact.email }}"`, `["{{ contact.email }}", "{{ raw.nobody }}"]`, `"{{ raw.nobody }}"`, `"{{ raw.nobody }}, {{ contact.email }}"`} {
		if s := step(t, ev, "then: [{email: {to: "+to+", subject: s, text: t}}]"); s.Skip != "unresolved recipient" || s.Err != nil {
			t.Errorf("%s: %+v", to, s)
		}
	}
	s := step(t, ev, `then: [{email: {to: ["{{ contact.email }}", "b@example.com"], cc: "{{ contact.email }}", subject: s, text: t}}]`)
	if got, _ := json.Marshal(rendered(t, s, "to")); string(got) != `["b@example.com"]` {
		t.Errorf("got %s", got)
	}
	if strings.Contains(string(s.Request), `"cc"`) {
		t.Errorf("an empty copy: %s", s.Request)
	}
	if s := step(t, ev, `then: [{slack: {channel: "{{ custom.channel }}", text: t}}]`); s.Skip != "unresolved recipient" {
		t.Errorf("%+v", s)
	}
	// An address from the payload is one recipient, whatever it contains.
	ev.Contact.Email = "a@example.com, b@example.com"
	s = step(t, ev, `then: [{email: {to: "{{ contact.email }}, c@example.com", subject: s, text: t}}]`)
	if s.Err == nil && len(rendered(t, s, "to").([]any)) != 2 {
		t.Errorf("%s", s.Request)
	}
	s = step(t, ev, `then: [{email: {to: '{{ map(appointment.users, # + "@example.com") }}', subject: s, text: t}}]`)
	if got, _ := json.Marshal(rendered(t, s, "to")); string(got) != `["u1@example.com","u2@example.com"]` {
		t.Errorf("got %s", got)
	}
}

func TestRenderErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ title, field, text, want string }{
		{"", "text", "{{ raw.nothing }}", "the value is missing"},
		{"", "text", "{{ previous.startTime }}", "the value is missing"},
		{"", "text", `{{ date(previous.startTime, "2006") }}`, "the time is missing"},
		{strings.Repeat("x", 60_000), "text", "{{ appointment.title }}{{ appointment.title }}", "longer than"},
		{strings.Repeat("x", 1_000_000), "text", "{{ upper(appointment.title) }}", "more work"},
	} {
		ev := booking()
		ev.Appointment.Title = tt.title
		fields := map[string]string{"subject": "s", "text": "t"}
		fields[tt.field] = tt.text
		s := step(t, ev, "then: [{email: {to: a@example.com, subject: "+yamlQuote(fields["subject"])+", text: "+yamlQuote(fields["text"])+"}}]")
		if s.Err == nil || !strings.Contains(s.Err.Error(), tt.want) || !strings.Contains(s.Err.Error(), "test.yaml:") {
			t.Errorf("%s: %v", tt.text, s.Err)
		}
	}
	ev := booking()
	ev.Appointment.Title = "a\r\n\tBcc: x@example.com\x00\u0085b"
	if got := rendered(t, step(t, ev, `then: [{email: {to: a@example.com, subject: "{{ appointment.title }}", text: t}}]`), "subject"); got != "a Bcc: x@example.com b" {
		t.Errorf("got %q", got)
	}
	ev.Appointment.Title = "a\xffb"
	if got := rendered(t, step(t, ev, `then: [{email: {to: a@example.com, subject: "{{ appointment.title }}", text: t}}]`), "subject"); got != "a\uFFFDb" {
		t.Errorf("got %q", got)
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	src := `rules:
  - {name: one, on: [booked, confirmed, AppointmentCreate], then: [{slack: {channel: a, text: b}}]}
  - {name: two, on: cancelled, then: [{slack: {channel: a, text: b}}]}
  - {name: off, on: booked, enabled: false, then: [{slack: {channel: a, text: b}}]}
  - {name: shadow, on: confirmed, mode: shadow, then: [{slack: {channel: a, text: b}}, {slack: {channel: c, text: d}}]}
`
	set := load(t, src)
	if n := len(set.Rules()); n != 4 {
		t.Errorf("%d rules", n)
	}
	var names []string
	for _, m := range set.Match(booking(), noon) {
		names = append(names, m.Rule.Name)
		if m.Rule.Shadow != (m.Rule.Name == "shadow") {
			t.Errorf("%s: shadow is %v", m.Rule.Name, m.Rule.Shadow)
		}
		for i, s := range m.Steps {
			if s.Number != i+1 || s.Action != "slack" || s.Connection != "slack" {
				t.Errorf("%+v", s)
			}
		}
	}
	if got := strings.Join(names, " "); got != "one shadow" {
		t.Errorf("fired: %s", got)
	}

	first, _ := rules.Compile("a.yaml", []byte(rule()), options())
	second, _ := rules.Compile("b.yaml", []byte(src+strings.TrimPrefix(rule(), "rules:\n")), options())
	third, _ := rules.Compile("c.yaml", []byte("rules:\n"), options())
	set, findings := rules.NewSet([]*rules.File{first, second, third})
	if len(findings) != 1 || findings[0].File != "b.yaml" || findings[0].Line != 6 || findings[0].Column != 11 || !strings.Contains(findings[0].Message, "a.yaml:2") {
		t.Errorf("%+v", findings)
	}
	if len(set.Rules()) != 1 {
		t.Errorf("%d rules", len(set.Rules()))
	}
}

func TestNow(t *testing.T) {
	t.Parallel()
	f, _ := rules.Compile("t.yaml", []byte(rule(`when: now() == date("2026-05-01T10:00:00Z")`)), options())
	set, _ := rules.NewSet([]*rules.File{f})
	if len(set.Match(booking(), time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC))) != 1 {
		t.Error("now() is not the time that was given")
	}
}
