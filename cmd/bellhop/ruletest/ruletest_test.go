package ruletest_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bellhop/actions"
	"bellhop/cmd/bellhop/ruletest"
	"bellhop/rules"
	"bellhop/rules/text"
)

var connections = map[string]string{"mail": "email", "slack": "slack", "crm": "http"}

// everyAction is how messages list the actions.
var everyAction = func() string {
	var names []string
	for _, k := range actions.Kinds() {
		names = append(names, k.Name)
	}
	return strings.Join(names, ", ")
}()

func options() ruletest.Options {
	return ruletest.Options{Rules: rules.Options{Connections: connections}}
}

// desk has the rules for most tests here.
const desk = `rules:
  - name: announce
    on: booked
    when: appointment.title != "Test"
    then:
      - slack: { channel: "#desk", text: "New: {{ appointment.title }}" }
      - slack: { channel: "#all", text: "{{ appointment.title }} at {{ appointment.startTime }}" }
  - name: confirm
    on: booked
    then:
      - email:
          to: "{{ contact.email }}"
          subject: Hello
          text: |
            Hello {{ contact.firstName ?? "there" }},

            {{ appointment.notes }}
  - name: sync
    on: AppointmentUpdate
    then:
      - http: { connection: crm, method: PUT, path: "/a/{{ appointment.id }}", timeout: 90s, json: { changed: "{{ changed }}", was: "{{ previous.title }}", n: 2 } }
  - name: broken
    on: AppointmentDelete
    when: fromJSON(appointment.notes) == 1
    then:
      - slack: { channel: "#desk", text: x }
  - name: off
    enabled: false
    on: booked
    then:
      - slack: { channel: "#desk", text: x }
`

const booking = `{"type":"AppointmentCreate","locationId":"l1","appointment":{"id":"a1","title":"First","startTime":"2026-12-07T10:00:00","dateAdded":"2026-12-01T08:00:00Z"}}`

// folder writes rule files, events and a test file, and returns the path of the test file.
func folder(t *testing.T, test string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "desk.test.yaml")
	for name, data := range map[string]string{"desk.yaml": desk, "wait.yaml": waiting, "booking.json": booking, "list.json": "[1]", "desk.test.yaml": test} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// told returns a result as a text: the findings, and the differences of each test.
func told(r *ruletest.Result, src string) string {
	var b strings.Builder
	for _, f := range r.Findings {
		line := strings.Split(src, "\n")[f.Line-1]
		what := ""
		if f.EndLine == f.Line {
			what = string([]rune(line)[f.Column-1 : f.EndColumn-1])
		}
		fmt.Fprintf(&b, "%d:%d %s %q -> %q | %s\n", f.Line, f.Column, f.Code, what, f.Suggestion, f.Message)
	}
	for i := range r.Tests {
		test := &r.Tests[i]
		if test.Status == ruletest.Passed {
			continue
		}
		fmt.Fprintf(&b, "%s %s\n", test.Name, test.Status)
		for _, d := range test.Differences {
			fmt.Fprintf(&b, "%d:%d %s\n%s", d.Line, d.Column, d.Message, d.Diff)
		}
	}
	return b.String()
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// oneTest returns a test file with one test called t, which has the given lines.
func oneTest(lines ...string) string {
	return strings.ReplaceAll("tests:\n  - name: t\n    "+strings.Join(lines, "\n    ")+"\n", "\n    \n", "\n\n")
}

// What tests can say, and the results. An empty result is a test that passes.
func TestCases(t *testing.T) {
	t.Parallel()
	inline := `event: { type: AppointmentUpdate, appointment: { id: a1, title: First, appointmentStatus: confirmed, dateUpdated: 2026-12-01T09:00:00Z } }`
	cases := map[string]struct{ test, want string }{
		"rules that fire": {oneTest(`event: booking.json`, `expect: { fires: [announce, confirm], skipped: [{ rule: confirm, step: 1, reason: unresolved }] }`), ""},
		"fires is all of them": {oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect: { fires: [confirm] }`),
			"t failed\n5:22 announce fired, but is not listed\n"},
		"not is some":       {oneTest(`event: booking.json`, `with: { email: g@example.com, appointment.title: Test }`, `expect: { not: announce }`), ""},
		"not, but it did":   {oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect: { not: [announce] }`), "t failed\n5:21 announce fired, but must not\n"},
		"why: the event":    {oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect: { fires: [announce, confirm, sync] }`), "t failed\n5:42 sync did not fire: it is for AppointmentUpdate, but this event is AppointmentCreate, booked\n"},
		"why: not enabled":  {oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect: { fires: [announce, confirm, off] }`), "t failed\n5:42 off did not fire: it is not enabled\n"},
		"why: no condition": {oneTest(`event: booking.json`, `with: { email: g@example.com, appointment.title: Test }`, `expect: { fires: [announce, confirm] }`), "t failed\n5:23 announce did not fire: its condition is not true\n"},
		"why: stale":        {oneTest(inline, `state: { dateUpdated: 2026-12-02T09:00:00Z }`, `expect: { fires: [sync] }`), "t failed\n5:23 sync did not fire: the event is older than the state, so nothing fires\n"},
		"why: ignored":      {oneTest(`event: { type: INSTALL }`, `now: 2026-12-01`, `expect: { fires: [sync] }`), "t failed\n5:23 sync did not fire: the event names no appointment, so nothing fires\n"},
		"a skip nobody listed": {oneTest(`event: booking.json`, `expect: { fires: [announce, confirm] }`),
			"t failed\n4:5 confirm, step 1 (email) was skipped: unresolved recipient\n"},
		"a skip that was none": {oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect: { skipped: [{ rule: confirm, step: 1 }] }`),
			"t failed\n5:25 confirm, step 1 was not skipped\n"},
		"skipped for another reason": {oneTest(`event: booking.json`, `expect: { skipped: [{ rule: confirm, step: 1, reason: too late }] }`),
			"t failed\n4:25 confirm, step 1 was skipped for another reason\n- too late\n+ unresolved recipient\n"},
		"a condition that failed":     {oneTest(`event: { type: AppointmentDelete, appointment: { id: a1, notes: "{" } }`, `now: 2026-12-01`, `expect: { fires: [], skipped: [{ rule: broken, reason: condition error }] }`), ""},
		"an unlisted condition error": {oneTest(`event: { type: AppointmentDelete, appointment: { id: a1, notes: "1" } }`, `now: 2026-12-01`, `expect: { fires: [broken] }`), ""},
		"fields that are rendered": {oneTest(`event: booking.json`, `with: { email: g@example.com, first_name: G, appointment.notes: "a\n\nb" }`, `expect:`,
			`  steps:`, `    - rule: confirm`, `      email:`, `        to: g@example.com`, `        text: |`, `          Hello G,`, ``, `          a`, ``, `          b`), ""},
		"a text of several lines": {oneTest(`event: booking.json`, `with: { email: g@example.com, appointment.notes: "1\n2\n3\n4\n5\n6\n7\n8\n9" }`, `expect:`,
			`  steps:`, `    - rule: confirm`, `      email:`, `        text: |-`, `          Hello there,`, ``, `          1`, `          2`, `          3`, `          4`, `          5`, `          6`, `          7`, `          8`, `          9`),
			"t failed\n9:19 confirm, step 1 (email): text differs\n  …\n  7\n  8\n  9\n+ (line break at the end)\n"},
		"two steps of one action": {oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect:`, `  steps:`,
			`    - { rule: announce, slack: { channel: "#desk" } }`, `    - { rule: announce, slack: { channel: "#all", text: "First at 2026-12-07T10:00:00Z" } }`), ""},
		"a step by its number": {oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect: { steps: [{ rule: announce, step: 2, slack: { channel: "#desk" } }] }`),
			"t failed\n5:68 announce, step 2 (slack): channel differs\n- #desk\n+ #all\n"},
		"a step too many": {oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect: { steps: [{ rule: announce, step: 3, slack: {} }, { rule: confirm, http: {} }, { rule: sync, http: {} }] }`),
			"t failed\n5:31 announce, step 3 (slack) is missing: the rule has no step 3\n5:71 confirm (http) is missing: the rule has no (other) step with http\n" +
				"5:100 sync (http) is missing: the rule did not fire: it is for AppointmentUpdate, but this event is AppointmentCreate, booked\n"},
		"a rule that did not fire is told of once": {oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect: { fires: [announce, confirm, off], steps: [{ rule: off, slack: {} }] }`),
			"t failed\n5:42 off did not fire: it is not enabled\n"},
		"a step of another action": {oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect: { steps: [{ rule: announce, step: 1, email: {} }] }`),
			"t failed\n5:31 announce, step 1, is slack, not email\n"},
		"a step that is not sent": {oneTest(`event: booking.json`, `expect: { steps: [{ rule: confirm, email: { subject: Hello } }] }`),
			"t failed\n4:31 confirm, step 1 (email) is not sent: unresolved recipient\n"},
		"json, numbers and lengths of time": {oneTest(inline, `state: { title: Zero }`,
			`expect: { steps: [{ rule: sync, http: { timeout: 1m30s, method: PUT, json: { n: 2.0, changed: [dateUpdated, title], was: Zero } } }] }`), ""},
		"json that differs": {oneTest(inline, `state: { title: Zero }`, `expect: { steps: [{ rule: sync, http: { json: { n: "2", changed: [dateUpdated, title], was: Zero } } }] }`),
			"t failed\n5:51 sync, step 1 (http): json differs\n  …\n      \"dateUpdated\",\n      \"title\"\n    ],\n" + `-   "n": "2",` + "\n" + `+   "n": 2,` + "\n" + `    "was": "Zero"` + "\n  }\n"},
		"an absent field": {oneTest(inline, `state: { title: Zero }`, `expect: { steps: [{ rule: sync, http: { headers: null, form: { a: "1" } } }] }`),
			"t failed\n5:66 sync, step 1 (http): form differs\n- {\n-   \"a\": \"1\"\n- }\n+ (nothing)\n"},
		"the state is as the event but for what it says": {oneTest(inline, `state: { appointmentStatus: New, title: null }`, `now: 2026-12-05T00:00:00Z`,
			`expect: { steps: [{ rule: sync, http: { json: { n: 2, was: "", changed: [appointmentStatus, dateUpdated, title] } } }] }`), ""},
		"the state as an earlier event": {oneTest(inline, `state: booking.json`,
			`expect: { fires: [sync], steps: [{ rule: sync, http: { json: { n: 2, was: First, changed: [appointmentStatus, dateUpdated] } } }] }`), ""},
		"a state that was never announced": {oneTest(`event: booking.json`, `with: { email: g@example.com }`, `state: { booked: false }`, `expect: { fires: [announce, confirm] }`), ""},
		"a state that was":                 {oneTest(`event: booking.json`, `state: {}`, `expect: { fires: [] }`), ""},
		"a deleted one":                    {oneTest(inline, `state: { deleted: yes, dateUpdated: 2026-12-01T09:00:00Z }`, `expect: { fires: [] }`), ""},
		"nothing expected":                 {oneTest(`event: booking.json`, `expect:`), "t failed\n4:5 this test expects nothing yet; bellhop test --update writes down what happens\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, told(ruletest.New(options()).Run(folder(t, c.test)), c.test), c.want)
		})
	}
}

// Mistakes in test files are reported at their positions, with a suggestion if it is clear what was meant. Tests with
// mistakes are not run.
func TestMistakes(t *testing.T) {
	t.Parallel()
	const notRun = "t not run\n"
	cases := map[string]struct{ test, want string }{
		"key of a file":     {"test: []\n", `1:1 unknown-key "test" -> "tests" | a test file has no "test"; did you mean "tests"?` + "\n"},
		"key of a test":     {oneTest(`event: booking.json`, `expects: {}`), `4:5 unknown-key "expects" -> "expect" | a test has no "expects"; did you mean "expect"?` + "\n" + notRun},
		"key of expect":     {oneTest(`event: booking.json`, `expect: { fire: [] }`), `4:15 unknown-key "fire" -> "fires" | "expect" has no "fire"; did you mean "fires"?` + "\n" + notRun},
		"key of a step":     {oneTest(`event: booking.json`, `expect: { steps: [{ rule: sync, htpp: {} }] }`), `4:37 unknown-key "htpp" -> "http" | an expected step has no "htpp"; did you mean "http"?` + "\n" + notRun},
		"key of an action":  {oneTest(`event: booking.json`, `expect: { steps: [{ rule: announce, slack: { chanel: x } }] }`), `4:50 unknown-key "chanel" -> "channel" | "slack" has no "chanel"; did you mean "channel"?` + "\n" + notRun},
		"key of a state":    {oneTest(`event: booking.json`, `state: { titel: x }`, `expect: {}`), `4:14 unknown-key "titel" -> "title" | the state has no "titel"; did you mean "title"?` + "\n" + notRun},
		"a rule":            {oneTest(`event: booking.json`, `expect: { fires: [anounce] }`), `4:23 unknown-rule "anounce" -> "announce" | there is no rule "anounce" among those tested; did you mean "announce"?` + "\n" + notRun},
		"a file":            {oneTest(`event: bocking.json`, `expect: {}`), `3:12 not-found "bocking.json" -> "booking.json" | there is no file "DIR/bocking.json"; did you mean "booking.json"?` + "\n" + notRun},
		"no event in it":    {oneTest(`event: list.json`, `expect: {}`), `3:12 event "list.json" -> "" | the body is not a JSON object` + "\n" + notRun},
		"a path":            {oneTest(`event: booking.json`, `with: { appointment.titel: x }`, `expect: {}`), `4:13 path "appointment.titel" -> "appointment.title" | the event has no "appointment.titel"; did you mean "appointment.title"?` + "\n" + notRun},
		"a path one short":  {oneTest(`event: booking.json`, `with: { title: x }`, `expect: {}`), `4:13 path "title" -> "appointment.title" | the event has no "title"; did you mean "appointment.title"?` + "\n" + notRun},
		"a path too long":   {oneTest(`event: booking.json`, `with: { locationId.x: x }`, `expect: {}`), `4:13 path "locationId.x" -> "" | "locationId" holds no fields in this event` + "\n" + notRun},
		"a time":            {oneTest(`event: booking.json`, `now: tomorrow`, `expect: {}`), `4:10 time "tomorrow" -> "" | "tomorrow" is not a time, such as 2026-12-01T09:00:00Z` + "\n" + notRun},
		"a time in a state": {oneTest(`event: booking.json`, `state: { startTime: soon }`, `expect: {}`), `4:25 type "soon" -> "" | this cannot be read as an appointment's startTime` + "\n" + notRun},
		"no time at all":    {oneTest(`event: { type: AppointmentCreate, appointment: { id: a1 } }`, `expect: {}`), `3:12 missing-key "{ type: AppointmentCreate, appointment: { id: a1 } }" -> "" | this event does not say when it was sent, so the test needs "now", such as now: 2026-12-01T09:00:00Z` + "\n" + notRun},
		"no event":          {oneTest(`expect: {}`), `2:11 missing-key "t" -> "" | this test has no "event", which is the file of an event or the event itself` + "\n" + notRun},
		"two actions":       {oneTest(`event: booking.json`, `expect: { steps: [{ rule: sync, http: {}, slack: {} }] }`), `4:47 two-actions "slack" -> "" | a step has one action, and this one has http already` + "\n" + notRun},
		"no action":         {oneTest(`event: booking.json`, `expect: { steps: [{ rule: sync }] }`), `4:23 missing-key "{ rule: sync }] }" -> "" | this step has nothing to compare: add ` + everyAction + ` with what is to be rendered` + "\n" + notRun},
		"a list":            {oneTest(`event: booking.json`, `expect: { steps: { rule: sync } }`), `4:22 type "{ rule: sync } }" -> "" | "steps" takes a list: each entry begins with -, but this is a map (key: value)` + "\n" + notRun},
		"the same name":     {oneTest(`event: booking.json`, `expect: { fires: [] }`) + "  - name: t\n    event: booking.json\n    expect: {}\n", `5:11 duplicate-test "t" -> "" | there is another test named "t", in line 2` + "\n" + "*"},
		"rules elsewhere":   {"rules: [nowhere.yaml]\n" + oneTest(`event: booking.json`, `expect: {}`), `1:9 not-found "nowhere.yaml" -> "" | there is no file or folder "DIR/nowhere.yaml"` + "\n" + notRun},
		"no YAML":           {"tests:\n  - name: 'open\n", "*"},
		"two documents":     {"tests: []\n---\ntests: []\n", `2:1 second-document "---" -> "" | a test file has one document: what follows this --- would be lost; put it in a file of its own` + "\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := folder(t, c.test)
			r := ruletest.New(options()).Run(path)
			if !text.HasErrors(r.Findings) {
				t.Error("no finding is an error")
			}
			got := strings.ReplaceAll(told(r, c.test), filepath.ToSlash(filepath.Dir(path)), "DIR")
			if before, ok := strings.CutSuffix(c.want, "*"); ok {
				got = got[:min(len(before), len(got))]
				c.want = before
			}
			expect(t, got, c.want)
		})
	}
}

// The expectations that --update writes pass. A second update changes nothing, and nothing is changed without need.
func TestUpdate(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ test, want string }{
		"texts, in the way they are written": {
			oneTest(`event: booking.json`, `with: { email: g@example.com, appointment.notes: Bye }`, `expect:`, `  steps:`,
				`    - rule: announce # the desk`, `      slack: { text: "x", channel: '#x' }   # first`,
				`    - rule: confirm`, `      email:`, `        subject: Helo`, `        text: |`, `          Helo`, ``, `        # the end`, `        to: [g@example.com]`),
			oneTest(`event: booking.json`, `with: { email: g@example.com, appointment.notes: Bye }`, `expect:`, `  steps:`,
				`    - rule: announce # the desk`, `      slack: { text: "New: First", channel: '#desk' }   # first`,
				`    - rule: confirm`, `      email:`, `        subject: Hello`, `        text: |`, `          Hello there,`, ``, `          Bye`, ``, `        # the end`, `        to: [g@example.com]`),
		},
		"rules, at both places": {
			oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect:`, `  not: [ announce, sync ] # never`, `  fires: [ confirm ]`),
			oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect:`, `  not: [sync] # never`, `  fires: [announce, confirm]`),
		},
		"what is missing, at the end": {
			"# head\ntests:\n  - event: booking.json\n    name: t\n    with:\n      email: g@example.com # mine\n\n  # next\n  - { name: u, event: booking.json, state: {}}\n",
			"# head\ntests:\n  - event: booking.json\n    name: t\n    with:\n      email: g@example.com # mine\n    expect:\n      fires: [announce, confirm]\n      steps:\n" +
				"        - rule: announce\n          step: 1\n          slack:\n            channel: \"#desk\"\n            text: \"New: First\"\n" +
				"        - rule: announce\n          step: 2\n          slack:\n            channel: \"#all\"\n            text: \"First at 2026-12-07T10:00:00Z\"\n" +
				"        - rule: confirm\n          email:\n            to: [g@example.com]\n            subject: Hello\n            text: \"Hello there,\\n\\n\\n\"\n" +
				"\n  # next\n  - { name: u, event: booking.json, state: {}, expect: {fires: []}}\n",
		},
		"steps and skips that are no longer": {
			oneTest(`event: booking.json`, `expect:`, `  # first`, `  fires: [announce, confirm]`, `  steps:`, `    - rule: sync # gone`, `      http: {}`, `    # stays`, `    - rule: announce`, `      slack: {}`, `  skipped:`, `    - { rule: announce, step: 1 }`) + "# last\n",
			oneTest(`event: booking.json`, `expect:`, `  # first`, `  fires: [announce, confirm]`, `  steps:`, `    # stays`, `    - rule: announce`, `      slack: {}`, `  skipped:`, `    - rule: confirm`, `      step: 1`, `      reason: unresolved recipient`) + "# last\n",
		},
		"what is missing behind its key": {
			oneTest(`event: booking.json`, `state: {}`, `expect: # nothing`) + "  - name: u\n    event: booking.json\n    expect: null   # what else\n    state: {}\n  - { name: v, event: booking.json, state: {}, expect:  }\n  - { name: w, event: booking.json, expect: ~, state: {} }\n",
			oneTest(`event: booking.json`, `state: {}`, `expect: # nothing`, `  fires: []`) + "  - name: u\n    event: booking.json\n    expect:    # what else\n      fires: []\n    state: {}\n" +
				"  - { name: v, event: booking.json, state: {}, expect: {fires: []}  }\n  - { name: w, event: booking.json, expect:  {fires: []}, state: {} }\n",
		},
		"comments behind and below what is written anew": {
			oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect:`, `  steps:`, `    - rule: sync`, `      http: {}`, `    - rule: announce`, `      slack: {} # stays`, `    # below`) +
				"\n  # before u\n  - name: u\n    event: booking.json\n    state: {}\n    expect: { fires: [] }\n",
			oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect:`, `  steps:`, `    - rule: announce`, `      slack: {} # stays`, `    # below`) +
				"\n  # before u\n  - name: u\n    event: booking.json\n    state: {}\n    expect: { fires: [] }\n",
		},
		"a value that is a list": {
			oneTest(`event: { type: AppointmentUpdate, appointment: { id: a1, title: "1" } }`, `now: 2026-12-01`, `state: { title: "0" }`, `expect: { steps: [{ rule: sync, http: { json: 1 } }] }`),
			oneTest(`event: { type: AppointmentUpdate, appointment: { id: a1, title: "1" } }`, `now: 2026-12-01`, `state: { title: "0" }`, `expect: {steps: [{rule: sync, http: {json: {changed: [title], n: 2, was: "0"}}}]}`),
		},
	}
	for name, c := range cases {
		for _, crlf := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, crlf %v", name, crlf), func(t *testing.T) {
				t.Parallel()
				test, want := c.test, c.want
				if crlf {
					test, want = "\uFEFF"+strings.ReplaceAll(test, "\n", "\r\n"), "\uFEFF"+strings.ReplaceAll(want, "\n", "\r\n")
				}
				path := folder(t, test)
				r, err := ruletest.New(options()).Update(path)
				if err != nil {
					t.Fatal(err)
				}
				if r.Updated == 0 {
					t.Error("nothing was updated")
				}
				got, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				expect(t, string(got), want)
				expect(t, told(r, want), "")
				again, err := ruletest.New(options()).Update(path)
				if err != nil || again.Updated != 0 {
					t.Errorf("the second time it updates %d tests: %v", again.Updated, err)
				}
				if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
					t.Error("left behind:", left, err)
				}
			})
		}
	}
}

// An expectation that two tests share cannot be right for both, so the file stays as it is.
func TestUpdateRefuses(t *testing.T) {
	t.Parallel()
	test := oneTest(`event: booking.json`, `with: { email: g@example.com }`, `expect: &shared { fires: [confirm] }`) +
		"  - name: u\n    event: booking.json\n    state: {}\n    expect: *shared\n"
	path := folder(t, test)
	if _, err := ruletest.New(options()).Update(path); err == nil || !strings.Contains(err.Error(), `change the test "u" by hand`) {
		t.Error("the error is", err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, string(got), test)
}

// A tested rule file that cannot be used is reported once, and its tests are not run.
func TestBrokenRules(t *testing.T) {
	t.Parallel()
	path := folder(t, "rules: .\n"+oneTest(`event: booking.json`, `expect: {}`))
	bad := filepath.Join(filepath.Dir(path), "bad.yaml")
	if err := os.WriteFile(bad, []byte("rules:\n  - name: x\n    on: bookd\n    then: [{slack: {channel: a, text: b}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runner := ruletest.New(options())
	r := runner.Run(path)
	if len(r.Findings) != 1 || r.Findings[0].File != bad || r.Findings[0].Line != 3 || r.Tests[0].Status != ruletest.NotRun {
		t.Errorf("%+v", r)
	}
	if r := runner.Run(path); len(r.Findings) != 0 || r.Tests[0].Status != ruletest.NotRun {
		t.Errorf("the second time %+v", r)
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	o := options()
	o.Select = regexp.MustCompile("^u")
	path := folder(t, oneTest(`event: booking.json`, `expect: {}`)+"  - name: u\n    event: booking.json\n    state: {}\n    expect: { fires: [] }\n")
	r := ruletest.New(o).Run(path)
	if len(r.Tests) != 1 || r.Tests[0].Name != "u" || r.Tests[0].Status != ruletest.Passed {
		t.Errorf("%+v", r.Tests)
	}
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	path := folder(t, oneTest(`event: booking.json`, `with: { email: g@example.com, appointment.title: "a\u0001 <b>" }`,
		`expect: { steps: [{ rule: announce, slack: { text: x } }] }`)+"  - name: u\n    evnt: booking.json\n")
	var b bytes.Buffer
	if err := ruletest.WriteJUnit(&b, []*ruletest.Result{ruletest.New(options()).Run(path)}); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure string `xml:"failure"`
			Error   string `xml:"error"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(b.Bytes(), &read); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	if read.Tests != 3 || read.Failures != 1 || read.Errors != 2 || len(read.Cases) != 3 {
		t.Errorf("%+v", read)
	}
	if !strings.Contains(read.Cases[1].Failure, "- x\n    + New: a\uFFFD &lt;b&gt;\n") {
		t.Errorf("the failure is %q", read.Cases[1].Failure)
	}
}
