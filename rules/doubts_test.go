package rules_test

import (
	"slices"
	"strings"
	"testing"

	"bellhop/rules"
	"bellhop/rules/text"
)

// What can be said of a condition on its own, and what must not be.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	const start, title = "appointment.startTime", "appointment.title"
	for verdict, conditions := range map[string][]string{
		"never-true": {
			start + " < now() && now() < " + start,
			start + " < now() && now() <= " + start,
			start + " <= now() && " + start + " >= now() && " + start + " != now()",
			start + " < appointment.endTime && appointment.endTime < now() && now() < " + start,
			"appointment.endTime - " + start + " > duration(\"2h\") && appointment.endTime <= " + start + " + duration(\"1h\")",
			start + ` > date("2026-02-01") && ` + start + ` < date("2026-01-01")`,
			`tz(` + start + `, "Asia/Tokyo") > now() && ` + start + ` < now()`,
			"len(appointment.users) > 1 && len(appointment.users) < 2",
			"len(appointment.users) == 1.5",
			"len(appointment.users) < 0",
			"len(appointment.users) * 2 > 6 && len(appointment.users) < 3",
			start + ".Hour() in 9..12 && " + start + ".Hour() in [14, 15]",
			start + ".Month() == 13",
			title + ` startsWith "a" && ` + title + ` startsWith "b"`,
			title + ` endsWith "a" && ` + title + ` endsWith "b"`,
			title + ` startsWith "ab" && !(` + title + ` startsWith "a")`,
			title + ` == "abc" && !(` + title + ` contains "b")`,
			title + ` in ["a", "b"] && ` + title + ` not in ["a", "b", "c"]`,
			title + ` in ["a", "b"] && ` + title + ` > "c"`,
			title + ` < "b" && ` + title + ` >= "b"`,
			title + ` == "a" && (` + title + ` == "b" || ` + title + ` == "c")`,
			`"u1" in appointment.users && "u1" not in appointment.users`,
			`(` + title + ` == "a" ? source == "x" : source == "y") && source == "z"`,
			`custom.x == 1 && custom.x == "1"`,
			title + " == nil",
			`"a" == "b"`,
			title + " != " + title,
			`upper(` + title + `) == "Vip"`,
		},
		"always-true": {
			start + " <= now() || " + start + " > now()",
			title + ` != "a" || ` + title + ` != "b"`,
			"len(appointment.users) >= 0",
			start + ".Hour() <= 23",
			`source != nil`,
			`(source == "a" && ` + title + ` == "b") || source != "a" || ` + title + ` != "b"`,
		},
		"": {
			start + " <= now() && now() <= " + start,
			start + " < now() + duration(\"2h\") && " + start + " > now() + duration(\"1h\")",
			start + " < appointment.endTime && appointment.endTime < now()",
			"len(appointment.users) > 1 && len(appointment.users) < 3",
			"receivedAt - " + start + " > duration(\"1h\") && receivedAt - " + start + " < duration(\"2h\")",
			title + ` startsWith "a" && ` + title + ` startsWith "ab"`,
			title + ` endsWith "b" && ` + title + ` startsWith "a"`,
			title + ` contains "a" && !(` + title + ` startsWith "a")`,
			title + ` >= "b" && ` + title + ` <= "b"`,
			title + ` != "a" && ` + title + ` != "b"`,
			title + ` == "a" || ` + title + ` == "b"`,
			`lower(` + title + `) contains "vip"`,
			`any(appointment.users, {# == "a"}) && any(appointment.users, {# == "b"})`,
			`type == "AppointmentCreate" && "booked" in on`,
			"now() > now() - duration(\"1h\") ? " + title + ` == "a" : true`,
		},
	} {
		for _, condition := range conditions {
			src := rule("on: [AppointmentCreate, AppointmentUpdate, AppointmentDelete]", "when: '"+strings.ReplaceAll(condition, "'", "''")+"'")
			f, findings := rules.Compile("t.yaml", []byte(src), options())
			if f == nil {
				t.Fatal(render(findings, src))
			}
			got := map[string]bool{}
			for _, f := range findings {
				switch {
				case f.Code == "missing-value" || verdict == "" && strings.Contains(condition, "?") && f.Code == "always-true":
				case f.Code == "unreachable":
				default:
					got[f.Code] = true
				}
			}
			if len(got) != len(verdict[:min(1, len(verdict))]) || verdict != "" && !got[verdict] {
				t.Errorf("%s: want %q\n%s", condition, verdict, render(findings, src))
			}
		}
	}
}

// An operation that fails for a missing value gets a warning, unless the author has thought of that. Comparing a
// missing value for equality, or looking for a part in it, is simply false.
func TestMissingInOperations(t *testing.T) {
	t.Parallel()
	for condition, want := range map[string]int{
		`custom.vip == "yes"`:                         0,
		`custom["vip"] == "yes"`:                      0,
		`"x" in custom.list`:                          0,
		`custom.kind in ["a", "b"]`:                   0,
		`custom.kind contains "a"`:                    0,
		`custom.a == custom.b`:                        0,
		`custom.vip != "yes"`:                         0,
		`any(appointment.users, {# == custom.agent})`: 0,
		`appointment.users[5] == "u1"`:                0,
		`find(appointment.users, # == "u1") != nil`:   0,
		`find(appointment.users, # == "u1") == nil`:   0,
		`first(appointment.users) != nil`:             0,
		`findIndex(appointment.users, # == "u1") == nil || findIndex(appointment.users, # == "u1") > 2`: 0,
		`contact.email == "a@example.com"`: 0,
		`string(custom.n) == "5"`:          0,

		`raw.a.b > 5`:                 1,
		`5 > raw.a.b`:                 1,
		`custom.vip`:                  1,
		`!custom.vip`:                 1,
		`custom.vip && true`:          1,
		`upper(custom.x) == "A"`:      1,
		`custom.n + 1 == 2`:           1,
		`any(custom.list, # > 1)`:     1,
		`any(raw.items, #.price > 5)`: 2,
		`any(raw.items, #.price != nil && #.price > 5)`:                       1, // raw.items
		`any(raw.items ?? [], #.price != nil && #.price > 5)`:                 0,
		`upper(appointment.users[0]) == "A"`:                                  1,
		`upper(first(appointment.users)) == "A"`:                              1,
		`upper(last(appointment.users)) == "A"`:                               1,
		`upper(get(appointment.users, 2)) == "A"`:                             1,
		`upper(find(appointment.users, # != "")) == "A"`:                      1,
		`upper(findLast(appointment.users, # != "")) == "A"`:                  1,
		`findIndex(appointment.users, # != "") > 0`:                           1,
		`findLastIndex(appointment.users, # != "") > 0`:                       1,
		`upper(split(appointment.title, " ")[1]) == "A"`:                      1,
		`upper(split(appointment.title, " ")[0]) == "A"`:                      0, // there is always a first part
		`upper(first(split(appointment.title, " "))) == "A"`:                  0,
		`upper(["a", "b"][1]) == "A"`:                                         0,
		`upper(true ? appointment.users[0] : "") == "A"`:                      1,
		`appointment.users[0][0:2] == "ab"`:                                   1,
		`len(appointment.users) > 0 && upper(appointment.users[0]) == "A"`:    0,
		`len(appointment.users) > 0 && upper(appointment.users[1]) == "A"`:    1,
		`len(appointment.users) > 0 && upper(last(appointment.users)) == "A"`: 0,
		`appointment.users[0] != nil && upper(appointment.users[0]) == "A"`:   0,
		`upper(appointment.users[0]) == "A" && appointment.users[0] != nil`:   0, // the order does not matter

		`(custom.vip ?? "") == "yes"`:                                  0,
		`custom.vip != nil && custom.vip > 5`:                          0,
		`custom.vip == nil || custom.vip > 5`:                          0,
		`custom.vip != nil || custom.vip > 5`:                          1,
		`custom.kind == "a" && upper(custom.kind) == "A"`:              0,
		`custom.kind in ["a", "b"] && upper(custom.kind) == "A"`:       0,
		`custom.kind startsWith "a" && upper(custom.kind) == "A"`:      0,
		`custom.kind matches "^a" && upper(custom.kind) == "A"`:        0,
		`(custom.kind ?? "") != "" && upper(custom.kind) == "A"`:       0,
		`"kind" in custom && upper(custom.kind) == "A"`:                0,
		`custom.kind != "a" && upper(custom.kind) == "A"`:              1,
		`custom.n > 5 && custom.n < 9`:                                 2, // neither side is false if it is missing
		`(custom.n != nil ? custom.n > 5 : false)`:                     0,
		`(custom.n == nil ? custom.n > 5 : false)`:                     1,
		`!(custom.n == nil || custom.m == nil) && custom.n > custom.m`: 0,
	} {
		src := rule("when: '" + condition + "'")
		_, findings := rules.Compile("t.yaml", []byte(src), options())
		if len(findings) != want {
			t.Errorf("%s: want %d\n%s", condition, want, render(findings, src))
		}
		for _, f := range findings {
			if f.Code != "missing-value" || f.Severity != text.Warning {
				t.Errorf("%s: %+v", condition, f)
			}
		}
	}
}

// What a rule's condition requires is known to be present in its named values and in what it sends.
func TestConditionAsksForValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		when, text string
		want       int
	}{
		{`true`, `{{ contact.phone }}`, 1},
		{`contact.phone != ""`, `{{ contact.phone }}`, 0},
		{`contact.phone != "" && source == "x"`, `{{ contact.phone }}`, 0},
		{`contact.phone != "" || source == "x"`, `{{ contact.phone }}`, 1},
		{`contact.phone startsWith "+44"`, `{{ contact.phone }}`, 0},
		{`contact.phone matches "^[+]44"`, `{{ contact.phone }}`, 0},
		{`contact.phone matches "^[+]?"`, `{{ contact.phone }}`, 1},
		{`contact.phone == ""`, `{{ contact.phone }}`, 1},
		{`contact.email != ""`, `{{ contact.phone }}`, 1},
		{`len(contact.phone) > 4`, `{{ contact.phone[-4:] }}`, 0},
		{`len(contact.phone) >= 0`, `{{ contact.phone[-4:] }}`, 1},
		{`true`, `{{ {"a": "b"}.a }}`, 0},
		{`true`, `{{ {"a": "b"}.c }}`, 1},
		{`(contact.phone ?? "none") != "none"`, `{{ contact.phone }}`, 0},
		{`custom.plan == "gold"`, `{{ custom.plan }}`, 0},
		{`custom.plan == "gold"`, `{{ upper(custom.plan) }}`, 0},
		{`custom.plan != "gold"`, `{{ upper(custom.plan) }}`, 1},
		{`custom.plan != "gold"`, `{{ custom.plan }}`, 1},
		{`(custom.plan ?? "free") == "gold"`, `{{ custom.plan }}`, 0},
		{`(custom.plan ?? "free") == "free"`, `{{ custom.plan }}`, 1},
		{`"plan" in custom`, `{{ custom.plan }}`, 0},
		{`(custom.n ?? 0) == 3`, `{{ custom.n + 1 }}`, 0},
		{`len(appointment.users) > 1`, `{{ appointment.users[1] }}`, 0},
		{`len(appointment.users) > 1`, `{{ appointment.users[-2] }}`, 0},
		{`len(appointment.users) > 1`, `{{ appointment.users[2] }}`, 1},
		{`true`, `{{ appointment.users[2] }}`, 1},
		{`true`, `{{ first(appointment.users) }}`, 1},
		{`true`, `{{ find(appointment.users, # != "x") }}`, 1},
		{`true`, `{{ split(appointment.title, " ")[1] }}`, 1},
		{`true`, `{{ split(appointment.title, " ")[0] }}`, 0},
		{`true`, `{{ first(appointment.users) ?? "nobody" }}`, 0},
		{`true`, `{{ source == "x" ? first(appointment.users) : "nobody" }}`, 1},
		{`true`, `{{ len(appointment.users) > 0 ? first(appointment.users) : "nobody" }}`, 0},
		{`true`, `{{ contact.firstName != "" ? contact.firstName : "you" }}`, 0},
		{`true`, `{{ contact.firstName == "" ? "you" : contact.firstName }}`, 0},
		{`true`, `{{ date(previous.startTime, "15:04") }}`, 1},
		{`previous.startTime.Year() > 1`, `{{ date(previous.startTime, "15:04") }}`, 0},
		{`(previous.startTime ?? nil) != nil`, `{{ date(previous.startTime, "15:04") }}`, 0},
		{`previous.startTime > now()`, `{{ date(previous.startTime, "15:04") }}`, 1}, // now() is not a fixed time
	} {
		src := rule("when: '"+tt.when+"'", "then: [{slack: {channel: desk, text: '"+tt.text+"'}}]")
		_, findings := rules.Compile("t.yaml", []byte(src), options())
		findings = slices.DeleteFunc(findings, func(f text.Finding) bool { return f.Code == "always-true" })
		if len(findings) != tt.want || tt.want > 0 && findings[0].Code != "missing-value" {
			t.Errorf("when: %s, %s: want %d\n%s", tt.when, tt.text, tt.want, render(findings, src))
		}
	}
	// A map literal has the entries written in it.
	for text, want := range map[string]int{`{{ emails.u1 }}`: 0, `{{ emails["u1"] }}`: 0, `{{ emails.u2 }}`: 1, `{{ emails[appointment.assignedUserId] }}`: 1} {
		src := rule(`let: {emails: '{"u1": "a@example.com"}'}`, "then: [{slack: {channel: desk, text: '"+text+"'}}]")
		if _, findings := rules.Compile("t.yaml", []byte(src), options()); len(findings) != want {
			t.Errorf("%s: want %d\n%s", text, want, render(findings, src))
		}
	}
	// A named value is computed only if the condition is true, or to decide it.
	for when, want := range map[string]int{
		`custom.n != nil && big > 5`: 0, `big > 5`: 1, `custom.n != nil || big > 5`: 1,
	} {
		src := rule("let: {big: custom.n * 10}", "when: '"+when+"'")
		if _, findings := rules.Compile("t.yaml", []byte(src), options()); len(findings) != want {
			t.Errorf("when: %s: want %d\n%s", when, want, render(findings, src))
		}
	}
}
