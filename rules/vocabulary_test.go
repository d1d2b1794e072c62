package rules_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/rules"
	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// TestWordsAreDescribed looks for a name without a description.
func TestWordsAreDescribed(t *testing.T) {
	t.Parallel()
	lists := map[string][]lang.Word{
		"event": rules.Events(), "variable": rules.Variables(), "function": lang.Functions(), "method": lang.TimeMethods(), "operator": lang.Operators(), "word of late": rules.LateWords(),
		"field of appointment": rules.FieldsBelow("appointment"), "field of contact": rules.FieldsBelow("contact"), "field of previous": rules.FieldsBelow("previous"),
	}
	for what, words := range lists {
		if len(words) == 0 {
			t.Errorf("no %s", what)
		}
		for _, w := range words {
			if !strings.HasSuffix(w.Doc, ".") && !strings.HasSuffix(w.Doc, ")") && !strings.HasSuffix(w.Doc, `"`) {
				t.Errorf("%s %s is described as %q", what, w.Name, w.Doc)
			}
			if (what == "function" || what == "method") && len(w.Uses) == 0 {
				t.Errorf("%s %s does not say how it is used", what, w.Name)
			}
			for _, use := range w.Uses {
				if strings.Contains(use, ", ,") || strings.Contains(use, "(,") || strings.HasSuffix(use, "→ ") {
					t.Errorf("%s %s is used as %q", what, w.Name, use)
				}
			}
		}
	}
	for _, k := range append(rules.Keys(), rules.StepKeys()...) {
		if k.Doc == "" || k.Example == "" {
			t.Errorf("the key %s is not described", k.Name)
		}
	}
	var names []string
	for _, w := range rules.FieldsBelow("appointment") {
		names = append(names, w.Name)
	}
	if !slices.Equal(names, rules.AppointmentFields()) {
		t.Errorf("the fields of an appointment are %v", names)
	}
	if rules.FieldsBelow("raw") != nil {
		t.Error("what is below raw is not known")
	}
}

// TestWordsMeanSomething compiles an expression with every variable, field and operator, so that nothing is offered
// that does not work.
func TestWordsMeanSomething(t *testing.T) {
	t.Parallel()
	compiles := func(expression string) {
		t.Helper()
		src := "rules:\n  - name: x\n    on: booked\n    let:\n      v: |-\n        " + expression + "\n    then:\n      - slack: { channel: \"#x\", text: \"{{ toJSON(v) }}\" }\n"
		if f, findings := rules.Compile("x.yaml", []byte(src), options()); f == nil {
			t.Errorf("%s does not compile: %s", expression, render(findings, src))
		}
	}
	for _, k := range rules.StepKeys() {
		src := rule("then:\n- at: receivedAt\n  slack: {channel: desk, text: hi}\n  " + k.Name + ": " + yamlQuote(k.Example))
		if k.Name == "at" {
			src = strings.Replace(src, "- at: receivedAt\n      slack", "- slack", 1)
		}
		load(t, src)
	}
	for _, w := range rules.LateWords() {
		load(t, rule("then:\n- at: receivedAt\n  late: "+w.Name+"\n  slack: {channel: desk, text: hi}"))
	}
	for _, v := range rules.Variables() {
		compiles(v.Name)
		for _, f := range rules.FieldsBelow(v.Name) {
			compiles(v.Name + "." + f.Name)
		}
	}
	for _, m := range lang.TimeMethods() {
		compiles("appointment.startTime." + m.Name + "()")
	}
	examples := map[string]string{
		"and": "true and false", "or": "true or false", "not": "not true", "in": `"title" in changed`, "contains": `"ab" contains "a"`, "startsWith": `"ab" startsWith "a"`,
		"endsWith": `"ab" endsWith "b"`, "matches": `"ab" matches "^a"`, "true": "true", "false": "false", "nil": "nil",
	}
	for _, o := range lang.Operators() {
		if examples[o.Name] == "" {
			t.Errorf("no example of %s", o.Name)
			continue
		}
		compiles(examples[o.Name])
	}
}

// Every example of a function is an expression with a value.
func TestExamplesOfFunctions(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	ev := &rules.Event{
		Type: rules.Create, On: []string{rules.Create, rules.Booked}, ReceivedAt: now, Custom: map[string]any{"plan": "gold"},
		Appointment: rules.Appointment{ID: "a", Title: "VIP: massage", Notes: "{}", Users: []string{"u1", "u2"}, StartTime: now.Add(48 * time.Hour), EndTime: now.Add(49 * time.Hour)},
		People:      rules.People{Contact: rules.Contact{Email: "guest@example.com", Tags: []string{"vip", "regular"}}},
	}
	for _, w := range lang.Functions() {
		src := "rules:\n- name: a\n  on: booked\n  let: {it: " + text.Quoted(w.Example) + "}\n  when: string(it) != \"-\"\n  then: [{slack: {channel: desk, text: '{{ string(it) }}'}}]\n"
		f, findings := rules.Compile("t.yaml", []byte(src), options())
		if text.HasErrors(findings) || !strings.Contains(w.Example, w.Name+"(") {
			t.Errorf("%s: %s: %v", w.Name, w.Example, findings)
			continue
		}
		set, _ := rules.NewSet([]*rules.File{f})
		e := set.Explain(ev, now)[0]
		if len(e.Let) != 1 || e.Let[0].Error != "" || e.Let[0].Missing {
			t.Errorf("%s: %s is %+v", w.Name, w.Example, e.Let)
		}
	}
}
