package rules_test

import (
	"strings"
	"testing"

	"bellhop/rules"
)

// What can be told of a condition alone, and what must not be.
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

// A comparison that a missing value decides is doubted, unless its writer has thought of that.
func TestMissingInComparisons(t *testing.T) {
	t.Parallel()
	for condition, want := range map[string]int{
		`custom.vip == "yes"`:                         1,
		`custom["vip"] == "yes"`:                      1,
		`raw.a.b > 5`:                                 1,
		`"x" in custom.list`:                          1,
		`custom.kind in ["a", "b"]`:                   1,
		`custom.kind contains "a"`:                    1,
		`custom.a == custom.b`:                        2,
		`custom.vip != "yes"`:                         0,
		`(custom.vip ?? "") == "yes"`:                 0,
		`custom.vip != nil && custom.vip == "yes"`:    0,
		`custom.vip == nil || custom.vip > 5`:         0,
		`contact.email == "a@example.com"`:            0,
		`any(appointment.users, {# == custom.agent})`: 1,
	} {
		src := rule("when: '" + condition + "'")
		_, findings := rules.Compile("t.yaml", []byte(src), options())
		if len(findings) != want {
			t.Errorf("%s: want %d\n%s", condition, want, render(findings, src))
		}
		for _, f := range findings {
			if f.Code != "missing-value" || f.Severity != rules.Warning {
				t.Errorf("%s: %+v", condition, f)
			}
		}
	}
}
