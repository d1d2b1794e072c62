package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"bellhop/rules"
)

// A comment silences the warnings that it names where it is written, and causes a warning if it silences none.
func TestIgnore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, src, want string }{
		{"at the end of a line", `rules:
- name: a
  on: booked
  when: custom.n > 5 # bellhop: ignore missing-value
  then: [{slack: {channel: desk, text: hi}}]
`, ""},
		{"another warning", `rules:
- name: a
  on: booked
  when: custom.n > 5 # bellhop: ignore always-true
  then: [{slack: {channel: desk, text: hi}}]
`, "4:9 missing-value, 4:40 ignore"},
		{"misspelt", `rules:
- name: a
  on: booked
  when: custom.n > 5 # bellhop: ignore mising-value
  then: [{slack: {channel: desk, text: hi}}]
`, "4:9 missing-value, 4:40 ignore missing-value"},
		{"several", `rules:
- name: a
  on: booked
  when: custom.n > 5 && 1 > 0 # bellhop: ignore missing-value, always-true
  then: [{slack: {channel: desk, text: hi}}]
`, ""},
		{"above a key", `rules:
- name: a
  on: booked
  # bellhop: ignore missing-value
  when: |
    custom.m > 5 ||

    custom.n > 5
  then: [{slack: {channel: desk, text: '{{ contact.phone }}'}}]
`, "9:44 missing-value"},
		{"above a list", `rules:
- name: a
  on: booked
  when: custom.m > 5
  # bellhop: ignore missing-value
  then:
  - slack: {channel: desk, text: '{{ contact.phone }}'}
`, "4:9 missing-value"},
		{"above a rule", `rules:
# bellhop: ignore missing-value
# They all come with a phone.
- name: a
  on: booked
  when: custom.m > 5
  then: [{slack: {channel: desk, text: '{{ contact.phone }}'}}]
- name: b
  on: booked
  then: [{slack: {channel: desk, text: '{{ contact.phone }}'}}]
`, "10:44 missing-value"},
		{"nothing", `rules:
- name: a # bellhop: ignore missing-value
  on: booked
  then: [{slack: {channel: desk, text: hi}}]
`, "2:29 ignore"},
		{"at the end", `rules:
- name: a
  on: booked
  then: [{slack: {channel: desk, text: hi}}]
# bellhop: ignore missing-value
`, "5:19 ignore"},
		{"a mistake", `rules:
- name: a
  on: booked
  when: appointment.titel == "" # bellhop: ignore unknown-field
  then: [{slack: {channel: desk, text: hi}}]
`, "4:21 unknown-field title, 4:51 ignore"},
		{"no code", `rules:
- name: a
  on: booked
  when: custom.n > 5 # bellhop: ignore
  then: [{slack: {channel: desk, text: hi}}]
`, "4:9 missing-value, 4:33 ignore"},
		{"another word", `rules:
- name: a
  on: booked
  when: custom.n > 5 # bellhop: disable missing-value
  then: [{slack: {channel: desk, text: hi}}]
`, "4:9 missing-value, 4:33 ignore ignore"},
		{"in a text", `rules:
- name: a
  on: booked
  when: custom.n > 5
  then:
  - slack:
      channel: desk
      text: |
        hi # bellhop: ignore missing-value
        # bellhop: ignore missing-value
  - slack: {channel: desk, text: 'hi # bellhop: ignore missing-value'}
`, "4:9 missing-value"},
	} {
		for end, src := range map[string]string{"LF": tt.src, "CRLF": strings.ReplaceAll(tt.src, "\n", "\r\n")} {
			_, findings := rules.Compile("t.yaml", []byte(src), options())
			var got []string
			for _, f := range findings {
				suggestion := ""
				if f.Code == "ignore" || f.Code == "unknown-field" {
					suggestion = f.Suggestion
				}
				got = append(got, strings.TrimSpace(fmt.Sprintf("%d:%d %s %s", f.Line, f.Column, f.Code, suggestion)))
			}
			if strings.Join(got, ", ") != tt.want {
				t.Errorf("%s, %s: got %q, want %q\n%s", tt.name, end, strings.Join(got, ", "), tt.want, render(findings, src))
			}
		}
	}
}

// Warnings about several files can be ignored where they are reported.
func TestIgnoreOverFiles(t *testing.T) {
	t.Parallel()
	file := func(name, comment string) *rules.File {
		f, findings := rules.Compile(name+".yaml", []byte("rules:\n- name: "+name+"\n  on: booked\n  then:\n  - slack: {channel: desk, text: hi} "+comment+"\n"), options())
		if f == nil || len(findings) > 0 {
			t.Fatal(findings)
		}
		return f
	}
	const ignore = "# bellhop: ignore same-send"
	for _, tt := range []struct{ a, b, want string }{
		{"", "", "b.yaml:5 same-send"},
		{"", ignore, ""},
		{ignore, "", "a.yaml:5 ignore, b.yaml:5 same-send"},
	} {
		_, findings := rules.NewSet([]*rules.File{file("a", tt.a), file("b", tt.b)})
		var got []string
		for _, f := range findings {
			got = append(got, fmt.Sprintf("%s:%d %s", f.File, f.Line, f.Code))
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%q, %q: got %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}
