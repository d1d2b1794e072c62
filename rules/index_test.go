package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bellhop/rules/lang"
)

// test returns a condition that an index can look up, or one that fails for some events.
func (d dice) test() string {
	text := d.of(`"a"`, `"ab"`, `"abc"`, `"abcd"`, `"bc"`, `""`)
	field := d.of("appointment.title", "contact.name", "locationId", "title", "(contact.name ?? \"abc\")", `((contact.name ?? "abc") ?? "ab")`, `appointment["title"]`)
	switch d.IntN(12) {
	case 0, 1:
		return field + " == " + text
	case 2:
		return field + " != " + text
	case 3:
		return field + d.of(" in ", " not in ") + "[" + text + ", " + d.of(`"b"`, "word") + "]"
	case 4, 5:
		return field + d.of(" startsWith ", " endsWith ") + text
	case 6, 7:
		return field + " contains " + text
	case 8:
		return d.of(`"vip"`, `"x"`, "word") + d.of(" in ", " not in ") + "contact.tags"
	case 9:
		return "custom.n > 1" // fails if it is missing
	case 10:
		return d.of("known", "both", `both ? title == "ab" : locationId == "a"`)
	}
	return d.of(`type == "AppointmentCreate"`, `source == "s"`, `"booked" in on`, "appointment.startTime > now()")
}

func (d dice) tests(depth int) string {
	if depth == 0 || d.IntN(4) == 0 {
		return d.test()
	}
	switch d.IntN(7) {
	case 0, 1, 2:
		return "(" + d.tests(depth-1) + " && " + d.tests(depth-1) + ")"
	case 3, 4:
		return "(" + d.tests(depth-1) + " || " + d.tests(depth-1) + ")"
	case 5:
		return "!(" + d.tests(depth-1) + ")"
	}
	return "(" + d.test() + " ? " + d.tests(depth-1) + " : " + d.test() + ")"
}

// indexedSet compiles a set of random rules.
func (d dice) indexedSet(t *testing.T, n int) *Set {
	t.Helper()
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range n {
		fmt.Fprintf(&b, `  - name: r%d
    on: [%s]
    enabled: %v
    let:
      title: appointment.title
      word: '"vip"'
      known: 'contact.name == "ab"'
      both: 'custom.n > 1 && locationId == "a"'
    when: %s
    then: [{slack: {channel: a, text: b}}]
`, i, strings.Join([]string{d.of(Names()...), d.of(Names()...)}[:1+d.IntN(2)], ", "), d.IntN(9) > 0, strconv.Quote(d.tests(3)))
	}
	f, findings := Compile("t.yaml", []byte(b.String()), Options{Connections: map[string]string{"slack": "slack"}})
	if f == nil {
		t.Fatal(findings, b.String())
	}
	set, _ := NewSet([]*File{f})
	return set
}

func (d dice) indexedEvent(now time.Time) *Event {
	long := strings.Repeat("x", lang.MaxLooked) + "abcd"
	ev := d.event(now)
	ev.Source, ev.LocationID = d.of("s", "other"), d.of("", "a", "ab", "abc")
	ev.Appointment.Title = d.of("", "a", "ab", "abc", "abcd", "xabcdx", "bc", long)
	ev.Contact.Name = d.of("", "a", "ab", "abcd", long)
	ev.Contact.Tags = [][]string{nil, {"vip"}, {"x", "vip"}, {"b"}, {long, "vip"}}[d.IntN(5)]
	ev.Custom = []map[string]any{nil, {"n": 1}, {"n": 2}}[d.IntN(3)]
	ev.On = []string{ev.Type, d.of(Names()[3:]...)}
	return ev
}

// linear is what [Set.Match] finds without an index: the rules that match, and those whose condition fails, with the
// error.
func linear(s *Set, ev *Event, now time.Time) (found []string) {
	for _, rule := range s.rules {
		if !rule.Enabled || eventNames(rule.On)&eventNames(ev.On) == 0 {
			continue
		}
		r := newRun(ev, now)
		r.start(rule)
		if yes, err := r.applies(); yes || err != nil {
			found = append(found, fmt.Sprint(rule.Name, " ", err))
		}
	}
	return found
}

func matched(s *Set, ev *Event, now time.Time) (found []string) {
	for _, m := range s.Match(ev, now) {
		found = append(found, fmt.Sprint(m.Rule.Name, " ", m.Err))
	}
	return found
}

// differs tries random sets and events and returns how often the index finds something else than a linear scan. change
// changes each index before.
func differs(t *testing.T, sets int, change func(*index)) (wrong int, first string) {
	t.Helper()
	d := dice{rand.New(rand.NewPCG(3, 4))}
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for range sets {
		set := d.indexedSet(t, 12)
		change(set.index)
		for range 40 {
			ev := d.indexedEvent(now)
			got, want := matched(set, ev, now), linear(set, ev, now)
			if slices.Equal(got, want) {
				continue
			}
			if wrong++; first == "" {
				first = fmt.Sprintf("%+v\ngot  %q\nwant %q", ev, got, want)
				for _, r := range set.rules {
					first += fmt.Sprintf("\n%s %v: %s", r.Name, r.On, r.body().when.Source)
				}
			}
		}
	}
	return wrong, first
}

// The index finds exactly what a scan of all rules finds, errors included.
func TestIndexIsALinearScan(t *testing.T) {
	t.Parallel()
	if wrong, first := differs(t, 150, func(*index) {}); wrong > 0 {
		t.Errorf("%d times something else: %s", wrong, first)
	}
}

// The comparison with a linear scan notices each kind of test that the index does not look up.
func TestIndexNeedsEveryTest(t *testing.T) {
	t.Parallel()
	drop := map[string]func(*index){
		"names": func(ix *index) { ix.names = nil },
		"large values": func(ix *index) {
			for i := range ix.lookups {
				ix.lookups[i].whole++
			}
		},
	}
	for _, test := range []lang.Test{lang.Equals, lang.Holds, lang.StartsWith, lang.EndsWith, lang.Contains} {
		drop["test "+string(test)] = func(ix *index) {
			for i := range ix.lookups {
				l := &ix.lookups[i]
				l.tests = slices.DeleteFunc(l.tests, func(l lang.Lookup) bool { return l.Test == test })
				if test == lang.Holds && l.field == "contact.tags" {
					l.field = ""
				}
			}
		}
	}
	for name, change := range drop {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if wrong, _ := differs(t, 40, change); wrong == 0 {
				t.Error("nothing is missed")
			}
		})
	}
}

// manyIndexed returns rules of an agency: nine of ten are for one calendar each, the others ask for a title, and all ask
// for the status of the appointment too. They are made of three, so that there can be many, each with needs of its own.
func manyIndexed(tb testing.TB, n int) []*Rule {
	tb.Helper()
	src := []string{
		`appointment.appointmentStatus == "confirmed" && appointment.calendarId == "cal0"`,
		`appointment.appointmentStatus == "confirmed" && appointment.title contains "Room 0 of"`,
		`appointment.appointmentStatus == "confirmed" && appointment.title startsWith "Room 0 of"`,
	}
	var of []*Rule
	for i, s := range src {
		data := fmt.Sprintf("rules:\n  - name: a\n    on: [booked, rescheduled]\n    when: %q\n    then: [{slack: {channel: a, text: b}}]\n", s)
		f, findings := Compile("t.yaml", []byte(data), Options{Connections: map[string]string{"slack": "slack"}})
		if f == nil {
			tb.Fatal(i, findings)
		}
		of = append(of, f.Rules[0])
	}
	rules := make([]*Rule, n)
	for i := range rules {
		kind, test, field, text := 0, lang.Equals, "appointment.calendarId", fmt.Sprint("cal", i)
		switch {
		case i%20 == 1:
			kind, test, field, text = 1, lang.Contains, "appointment.title", ""
		case i%20 == 11:
			kind, test, field, text = 2, lang.StartsWith, "appointment.title", fmt.Sprintf("Room %d of....", i)[:lang.MaxEnd-4]
		}
		rule := &Rule{On: of[kind].On, Enabled: true}
		rule.text.in, rule.text.lines = of[kind].text.in, of[kind].text.lines
		needs := []lang.Need{of[kind].needs[0]}
		if test == lang.Contains {
			part := fmt.Sprintf("Room %d of", i)
			for at := range len(part) - 2 {
				needs = append(needs, lang.NeedOf(test, field, part[at:at+3])...)
			}
		} else {
			needs = append(needs, lang.NeedOf(test, field, text)...)
		}
		rule.Name, rule.needs = fmt.Sprint(i), needs
		rules[i] = rule
	}
	return rules
}

func indexOf(rules []*Rule) *index {
	set, _ := NewSet([]*File{{Rules: rules}})
	return set.index
}

func agencyEvent() *Event {
	return &Event{
		Type: Create, On: []string{Create, Booked},
		Appointment: Appointment{ID: "a", CalendarID: "cal40", Title: "Colour and cut with Kim", AppointmentStatus: "confirmed"},
	}
}

// Rules with the same condition share one evaluation for an event.
func TestConditionIsEvaluatedOnce(t *testing.T) {
	t.Parallel()
	r := newRun(agencyEvent(), time.Now())
	r.known = map[conditionID]bool{}
	all := manyIndexed(t, 100)
	for _, rule := range all {
		r.start(rule)
		if _, err := r.applies(); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.known) != 3 { // calendar, title contains, title begins with
		t.Errorf("%d rules with 3 conditions: %d evaluations", len(all), len(r.known))
	}
}

// How many conditions an event has evaluated does not grow with the number of rules, nor does what a rule costs in the
// index.
func TestIndexIsFlat(t *testing.T) {
	t.Parallel()
	for _, n := range []int{100, 1_000, 10_000, 100_000} {
		ix := indexOf(manyIndexed(t, n))
		ev := agencyEvent()
		if got := len(ix.candidates(ev)); got != 1 {
			t.Errorf("%d rules: %d conditions are evaluated, want 1", n, got)
		}
		bytes := 8*len(ix.keys) + 4*len(ix.rules) + 4*len(ix.first) + 2*len(ix.hears)
		if each := bytes / n; each > 31 {
			t.Errorf("%d rules: the index keeps %d bytes for each", n, each)
		}
	}
}

// BenchmarkIndex looks up an event among many rules, without evaluating a condition.
func BenchmarkIndex(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ix := indexOf(manyIndexed(b, n))
			ev := agencyEvent()
			b.ReportAllocs()
			for b.Loop() {
				ix.candidates(ev)
			}
		})
	}
}
