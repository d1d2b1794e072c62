package ruletest_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"bellhop/cmd/bellhop/ruletest"
)

// waiting has rules whose steps wait.
const waiting = `rules:
  - name: remind
    on: [booked, rescheduled]
    when: appointment.title != "Test"
    then:
      - at: appointment.startTime - duration("24h")
        email: { to: "{{ contact.email }}", subject: "Tomorrow: {{ appointment.title }}", text: "See you at {{ timeOfDay(appointment.startTime) }}" }
      - at: appointment.startTime - duration("1h")
        slack: { channel: "#desk", text: "Soon, it is {{ timeOfDay(now()) }}: {{ appointment.title }}" }
      - slack: { channel: "#desk", text: "New: {{ appointment.title }}" }
  - name: nudge
    on: AppointmentUpdate
    when: appointment.startTime > now()
    then:
      - at: receivedAt + duration("4h")
        slack: { channel: "#desk", text: "Not confirmed yet" }
  - name: leave
    on: AppointmentDelete
    then:
      - at: appointment.startTime - duration("1h")
        late: send
        slack: { channel: "#desk", text: "{{ appointment.title }}" }
      - at: appointment.startTime - duration("2h")
        slack: { channel: "#desk", text: "{{ appointment.title }}" }
  - name: welcome
    on: noshow
    then:
      - at: appointment.startTime + duration("1h")
        late: send
        email: { to: "{{ contact.email }}", subject: "{{ fromJSON(appointment.notes) }}", text: x }
`

// ofWaiting returns a test file with one test of the rules in waiting.
func ofWaiting(lines ...string) string { return "rules: wait.yaml\n" + oneTest(lines...) }

const (
	booked  = `event: { type: AppointmentCreate, email: g@example.com, appointment: { id: a1, title: First, startTime: "2026-12-07T10:00:00+05:30" } }`
	changed = `event: { type: AppointmentUpdate, appointment: { id: a1, title: First, startTime: "2026-12-07T10:00:00+05:30" } }`
	deleted = `event: { type: AppointmentDelete, appointment: { id: a1, title: First, startTime: "2026-12-07T10:00:00+05:30" } }`
	missed  = `event: { type: AppointmentCreate, email: g@example.com, appointment: { id: a1, title: Test, notes: "{", appointmentStatus: noshow, startTime: "2026-12-07T10:00:00+05:30" } }`
	early   = `now: 2026-12-01T09:00:00Z`
)

// What tests can say about steps that wait, and the results.
func TestHeld(t *testing.T) {
	t.Parallel()
	const lateOnes = "leave, step 2 (slack) was skipped: too late: it was due at 2026-12-07 08:00:00 +05:30\n"
	cases := map[string]struct{ test, want string }{
		"until when, and what is rendered then": {ofWaiting(booked, early, `expect:`, `  fires: [remind]`, `  steps:`, `    - { rule: remind, slack: { text: "New: First" } }`, `  held:`,
			`    - { rule: remind, until: 2026-12-06T10:00:00+05:30, email: { to: g@example.com, subject: "Tomorrow: First" } }`,
			`    - { rule: remind, until: 2026-12-07T03:30:00Z, slack: { text: "Soon, it is 03:30: First" } }`), ""},
		"a time without an offset": {ofWaiting(booked, early, `expect: { held: [{ rule: remind, step: 2, until: 2026-12-07 03:30:00 }, { rule: remind, until: 2026-12-06 04:30 }] }`), ""},
		"only what is given":       {ofWaiting(booked, early, `expect: { held: [{ rule: remind }, { rule: remind, slack: {} }] }`), ""},
		"held need not be given":   {ofWaiting(booked, early, `expect: { fires: [remind] }`), ""},
		"held is all of them": {ofWaiting(booked, early, `expect: { held: [{ rule: remind, step: 2 }] }`),
			"t failed\n6:21 remind, step 1 (email) is held until 2026-12-06T10:00:00+05:30, but is not listed\n"},
		"none is": {ofWaiting(booked, early, `expect: { held: [] }`),
			"t failed\n6:21 remind, step 1 (email) is held until 2026-12-06T10:00:00+05:30, but is not listed\n6:21 remind, step 2 (slack) is held until 2026-12-07T09:00:00+05:30, but is not listed\n"},
		"none is, and it is so": {ofWaiting(booked, `with: { appointment.title: Test }`, early, `expect: { held: [] }`), ""},
		"another time": {ofWaiting(booked, early, `expect: { held: [{ rule: remind, until: 2026-12-06 10:00 }, { rule: remind }] }`),
			"t failed\n6:45 remind, step 1 (email) is held until another time\n- 2026-12-06T15:30:00+05:30\n+ 2026-12-06T10:00:00+05:30\n"},
		"another text": {ofWaiting(booked, early, `expect: { held: [{ rule: remind, email: { subject: x } }, { rule: remind }] }`),
			"t failed\n6:56 remind, step 1 (email): subject differs\n- x\n+ Tomorrow: First\n"},
		"another action": {ofWaiting(booked, early, `expect: { held: [{ rule: remind, step: 1, slack: {} }, { rule: remind, step: 2 }] }`),
			"t failed\n6:30 remind, step 1, is email, not slack\n"},
		"held, but listed as sent": {ofWaiting(booked, early, `expect: { steps: [{ rule: remind, email: {} }] }`),
			"t failed\n6:31 remind, step 1 (email) is not sent now: it is held until 2026-12-06T10:00:00+05:30; list it under held\n"},
		"held, but listed as skipped": {ofWaiting(booked, early, `expect: { skipped: [{ rule: remind, step: 1 }] }`),
			"t failed\n6:25 remind, step 1 was not skipped: it is held until 2026-12-06T10:00:00+05:30; list it under held\n"},
		"sent, but listed as held": {ofWaiting(booked, early, `expect: { held: [{ rule: remind }, { rule: remind }, { rule: remind, step: 3 }] }`),
			"t failed\n6:66 remind, step 3 (slack) is not held: it is sent at once; list it under steps\n"},
		"no such step": {ofWaiting(booked, early, `expect: { held: [{ rule: remind }, { rule: remind }, { rule: remind, step: 4 }, { rule: remind }, { rule: nudge }] }`),
			"t failed\n6:66 remind, step 4 is not held: the rule has no step 4\n6:93 remind is not held: the rule has no (other) such step that waits\n" +
				"6:111 nudge is not held: the rule did not fire: it is for AppointmentUpdate, but this event is AppointmentCreate, booked\n"},
		"no recipient at its moment": {ofWaiting(booked, `with: { email: "" }`, early, `expect: { fires: [remind] }`),
			"t failed\n7:5 remind, step 1 (email) is held until 2026-12-06T10:00:00+05:30, but then is not sent: unresolved recipient\n"},
		"and that is right": {ofWaiting(booked, `with: { email: "" }`, early, `expect: { held: [{ rule: remind, then: unresolved }, { rule: remind }] }`), ""},
		"its condition will no longer be true": {ofWaiting(changed, `state: {}`, `now: 2026-12-07 03:00`, `expect: { held: [{ rule: nudge, until: 2026-12-07 07:00 }] }`),
			"t failed\n7:30 nudge, step 1 (slack) is held until 2026-12-07T07:00:00Z, but then is not sent: the condition is no longer true\n"},
		"and that is expected": {ofWaiting(changed, `state: {}`, `now: 2026-12-07 03:00`, `expect: { held: [{ rule: nudge, until: 2026-12-07 07:00, then: no longer true }] }`), ""},
		"for another reason": {ofWaiting(changed, `state: {}`, `now: 2026-12-07 03:00`, `expect: { held: [{ rule: nudge, then: unresolved }] }`),
			"t failed\n7:43 nudge, step 1 (slack) is held until 2026-12-07T07:00:00Z, but then is not sent for another reason\n- unresolved\n+ the condition is no longer true\n"},
		"it is sent all the same": {ofWaiting(changed, `state: {}`, early, `expect: { held: [{ rule: nudge, then: no longer true }] }`),
			"t failed\n7:43 nudge, step 1 (slack) is held until 2026-12-01T13:00:00Z, and is sent then\n"},
		"too late": {ofWaiting(booked, `now: 2026-12-07 01:00`, `expect: { held: [{ rule: remind, slack: { text: "Soon, it is 03:30: First" } }], skipped: [{ rule: remind, step: 1, reason: too late }] }`), ""},
		"too late, but listed as held": {ofWaiting(booked, `now: 2026-12-07 01:00`, `expect: { held: [{ rule: remind, step: 2 }, { rule: remind, email: {} }] }`),
			"t failed\n6:57 remind, step 1 (email) is not held: it was skipped: too late: it was due at 2026-12-06 10:00:00 +05:30\n"},
		"sent late": {ofWaiting(deleted, `now: 2026-12-07 04:00`, `expect: { steps: [{ rule: leave, slack: { text: First } }], held: [], skipped: [{ rule: leave, step: 2 }] }`), ""},
		"sent late, but listed as held": {ofWaiting(deleted, `now: 2026-12-07 04:00`, `expect: { held: [{ rule: leave, step: 1 }] }`),
			"t failed\n6:30 leave, step 1 (slack) is not held: it is sent at once; list it under steps\n6:5 " + lateOnes},
		"what fails at its moment": {ofWaiting(missed, `now: 2026-12-07 05:00`, `expect: { held: [{ rule: welcome, until: 2026-12-07 05:30, then: "rendering error" }] }`), ""},
		"sent late, which fails":   {ofWaiting(missed, `now: 2026-12-07 06:00`, `expect: { held: [], skipped: [{ rule: welcome, step: 1, reason: rendering error }] }`), ""},
		"a step that fails":        {ofWaiting(booked, `with: { appointment.startTime: "" }`, early, `expect: { held: [], skipped: [{ rule: remind, step: 1, reason: no time to count from }, { rule: remind, step: 2 }] }`), ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, told(ruletest.New(options()).Run(folder(t, c.test)), c.test), c.want)
		})
	}
}

func TestHeldMistakes(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ line, want string }{
		"a key":      {`expect: { held: [{ rule: remind, untill: 2026-12-07 }] }`, `6:38 unknown-key "untill" -> "until" | a held step has no "untill"; did you mean "until"?`},
		"a time":     {`expect: { held: [{ rule: remind, until: 24h }] }`, `6:45 time "24h" -> "" | "24h" is not a time, such as 2026-12-01T09:00:00Z`},
		"no rule":    {`expect: { held: [{ step: 1 }] }`, `6:22 missing-key "{ step: 1 }] }" -> "" | this held step has no "rule", which says whose step is meant`},
		"a rule":     {`expect: { held: [{ rule: remnd }] }`, `6:30 unknown-rule "remnd" -> "remind" | there is no rule "remnd" among those tested; did you mean "remind"?`},
		"both":       {`expect: { held: [{ rule: remind, email: {}, then: x }] }`, `6:55 then "x" -> "" | "then" says why the step is not sent at its moment, so there is no email to compare; leave out one of the two`},
		"no list":    {`expect: { held: { rule: remind } }`, `6:21 type "{ rule: remind } }" -> "" | "held" takes a list: each entry begins with -, but this is a map (key: value)`},
		"a step key": {`expect: { steps: [{ rule: remind, until: 2026-12-07, email: {} }] }`, `6:39 unknown-key "until" -> "" | an expected step has no "until"; it has rule, step, ` + everyAction},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test := ofWaiting(booked, early, c.line)
			expect(t, told(ruletest.New(options()).Run(folder(t, test)), test), c.want+"\nt not run\n")
		})
	}
}

// A time without an offset is in the configured zone.
func TestHeldZone(t *testing.T) {
	t.Parallel()
	o := options()
	var err error
	if o.Rules.Zone, err = time.LoadLocation("America/Chicago"); err != nil {
		t.Fatal(err)
	}
	test := ofWaiting(`event: { type: AppointmentCreate, email: g@example.com, appointment: { id: a1, title: First, startTime: "2026-12-07 10:00" } }`, `now: 2026-12-07 07:00`,
		`expect: { held: [{ rule: remind, until: 2026-12-07 09:00, slack: { text: "Soon, it is 09:00: First" } }], skipped: [{ rule: remind, step: 1 }] }`)
	expect(t, told(ruletest.New(o).Run(folder(t, test)), test), "")

	// Before there were time zones, offsets had seconds, which cannot be written in a test file.
	test = ofWaiting(`event: { type: AppointmentCreate, email: g@example.com, appointment: { id: a1, title: First, startTime: "1850-01-02 12:00" } }`, `now: 1850-01-02 10:00`,
		`expect: { held: [{ rule: remind, until: 1850-01-02 10:30 }], skipped: [{ rule: remind, step: 1 }] }`)
	path := folder(t, test)
	expect(t, told(ruletest.New(o).Run(path), test), "t failed\n6:45 remind, step 2 (slack) is held until another time\n- 1850-01-02T16:20:36Z\n+ 1850-01-02T16:50:36Z\n")
	if r, err := ruletest.New(o).Update(path); err != nil || r.Updated != 1 {
		t.Errorf("%+v: %v", r, err)
	}
}

// What --update writes for steps that wait.
func TestUpdateHeld(t *testing.T) {
	t.Parallel()
	email := "        email:\n          to: [g@example.com]\n          subject: \"Tomorrow: First\"\n          text: \"See you at 10:00\"\n"
	slack := "        slack:\n          channel: \"#desk\"\n          text: \"Soon, it is 03:30: First\"\n"
	all := "      held:\n        - rule: remind\n          step: 1\n          until: 2026-12-06T10:00:00+05:30\n" + strings.ReplaceAll(email, "        ", "          ") +
		"        - rule: remind\n          step: 2\n          until: 2026-12-07T09:00:00+05:30\n" + strings.ReplaceAll(slack, "        ", "          ")
	all = strings.ReplaceAll(all, "                    ", "            ")
	cases := map[string]struct{ test, want string }{
		"all": {
			ofWaiting(booked, early, `expect:`),
			ofWaiting(booked, early, `expect:`, `  fires: [remind]`, `  steps:`, `    - rule: remind`, `      step: 3`, `      slack:`, `        channel: "#desk"`, `        text: "New: First"`) + all,
		},
		"times and texts, in the way they are written": {
			ofWaiting(booked, early, `expect:`, `  held:`, `    - { rule: remind, until: 2026-12-06 10:00 } # first`, `    - { rule: remind, until: '2026-12-06', slack: { text: 'x' } }`),
			ofWaiting(booked, early, `expect:`, `  held:`, `    - { rule: remind, until: 2026-12-06T10:00:00+05:30 } # first`, `    - { rule: remind, until: '2026-12-07T09:00:00+05:30', slack: { text: 'Soon, it is 03:30: First' } }`),
		},
		"one that was listed as sent": {
			ofWaiting(booked, early, `expect:`, `  steps:`, `    - { rule: remind, email: {} }`, `    - rule: remind # now`, `      slack: {}`),
			ofWaiting(booked, early, `expect:`, `  steps:`, `    - rule: remind # now`, `      slack: {}`) + all,
		},
		"one that comes to nothing": {
			ofWaiting(changed, `state: {}`, `now: 2026-12-07 03:00`, `expect:`, `  fires: nudge # only`),
			ofWaiting(changed, `state: {}`, `now: 2026-12-07 03:00`, `expect:`, `  fires: nudge # only`, `  held:`, `    - rule: nudge`, `      until: 2026-12-07T07:00:00Z`, `      then: the condition is no longer true`),
		},
		"one that does no longer": {
			ofWaiting(changed, `state: {}`, early, `expect:`, `  held:`, `    # four hours`, `    - { rule: nudge, then: the condition }`),
			ofWaiting(changed, `state: {}`, early, `expect:`, `  held:`, `    # four hours`, `    - rule: nudge`, `      until: 2026-12-01T13:00:00Z`, `      slack:`, `        channel: "#desk"`, `        text: Not confirmed yet`),
		},
		"for another reason": {
			ofWaiting(changed, `state: {}`, `now: 2026-12-07 03:00`, `expect: { held: [{ rule: nudge, then: unresolved }] }`),
			ofWaiting(changed, `state: {}`, `now: 2026-12-07 03:00`, `expect: { held: [{ rule: nudge, then: the condition is no longer true }] }`),
		},
		"one that is too late": {
			ofWaiting(booked, `now: 2026-12-07 01:00`, `expect:`, `  held:`, `    - { rule: remind, email: {} }`, `    - rule: remind # an hour`, `      slack: {}`),
			ofWaiting(booked, `now: 2026-12-07 01:00`, `expect:`, `  held:`, `    - rule: remind # an hour`, `      slack: {}`, `  skipped:`, `    - rule: remind`, `      step: 1`, `      reason: "too late: it was due at 2026-12-06 10:00:00 +05:30"`),
		},
		"one that is no longer held": {
			ofWaiting(booked, `with: { appointment.title: Test }`, early, `expect: { held: [{ rule: remind }] }`),
			ofWaiting(booked, `with: { appointment.title: Test }`, early, `expect: {held: []}`),
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := folder(t, c.test)
			r, err := ruletest.New(options()).Update(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, string(got), c.want)
			expect(t, told(r, c.want), "")
			again, err := ruletest.New(options()).Update(path)
			if err != nil || r.Updated != 1 || again.Updated != 0 {
				t.Errorf("it updates %d tests, the second time %d: %v", r.Updated, again.Updated, err)
			}
		})
	}
}

func TestHeldJUnit(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	path := folder(t, ofWaiting(booked, early, `expect: { held: [{ rule: remind, until: 2026-12-06 }, { rule: remind }] }`))
	if err := ruletest.WriteJUnit(&b, []*ruletest.Result{ruletest.New(options()).Run(path)}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<failure message="remind, step 1 (email) is held until another time" type="difference">`, "+ 2026-12-06T10:00:00+05:30"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s is not in\n%s", want, b.String())
		}
	}
}
