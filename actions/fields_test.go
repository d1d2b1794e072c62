package actions

import (
	"encoding/json"
	"errors"
	"net/mail"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestEveryFieldIsDescribed(t *testing.T) {
	t.Parallel()
	types := []reflect.Type{
		reflect.TypeFor[string](), reflect.TypeFor[List](), reflect.TypeFor[bool](), reflect.TypeFor[Duration](), reflect.TypeFor[[]int](),
		reflect.TypeFor[map[string]string](), reflect.TypeFor[any](),
	}
	for _, k := range Kinds() {
		if found, ok := Lookup(k.Name); !ok || found.Summary != k.Summary {
			t.Errorf("Lookup(%q) does not find the kind", k.Name)
		}
		keys := map[string]bool{}
		for _, f := range slices.Concat(Fields(k), fieldsOf(reflect.TypeOf(k.NewConnection()).Elem())) {
			keys[f.Name] = true
			if f.Doc == "" || !strings.HasSuffix(f.Doc, ".") {
				t.Errorf("%s: %s has no sentence: %q", k.Name, f.Name, f.Doc)
			}
			if f.Example == "" && !f.Internal {
				t.Errorf("%s: %s has no example", k.Name, f.Name)
			}
		}
		for _, f := range Fields(k) {
			if !f.Internal && !slices.Contains(types, f.Type) {
				t.Errorf("%s: %s has type %s, which rule files cannot hold", k.Name, f.Name, f.Type)
			}
		}
		for _, key := range k.ConnectionKeys {
			if !keys[key] {
				t.Errorf("%s: no field for the connection key %s", k.Name, key)
			}
		}
	}
	if _, ok := Lookup("fax"); ok {
		t.Error("Lookup finds an action that does not exist")
	}
}

func TestFieldsReadsTheTags(t *testing.T) {
	t.Parallel()
	byName := map[string]Field{}
	for _, f := range Fields(emailKind) {
		byName[f.Name] = f
	}
	if f := byName["to"]; !f.Required || !f.Recipient || !f.Header || f.Literal || f.Internal || f.Type != reflect.TypeFor[List]() {
		t.Errorf("to: %+v", f)
	}
	if f := byName["html"]; f.Escape != "html" || f.Required {
		t.Errorf("html: %+v", f)
	}
	if f := byName["invite"]; !f.Literal {
		t.Errorf("invite: %+v", f)
	}
	if f := byName["date"]; !f.Internal {
		t.Errorf("date: %+v", f)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		`"a@example.com"`:                                    {"a@example.com"},
		`" a@example.com ,, b@example.com, "`:                {"a@example.com", "b@example.com"},
		`"\"Doe, Jane\" <a@example.com>, b@example.com"`:     {`"Doe, Jane" <a@example.com>`, "b@example.com"},
		`"\"a \\\" , b\" <a@example.com>, c"`:                {`"a \" , b" <a@example.com>`, "c"},
		`"<a,b@example.com>,c"`:                              {"<a,b@example.com>", "c"},
		`"{{ join([\"a}}\", 'b'], \",\") }}, c@example.com"`: {`{{ join(["a}}", 'b'], ",") }}`, "c@example.com"},
		`"{{ unclosed, b"`:                                   {"{{ unclosed, b"},
		`["a, b", " c ", ""]`:                                {"a, b", "c"},
		`""`:                                                 nil,
		`null`:                                               nil,
		`[]`:                                                 nil,
		`"O'Brien <o'brien@example.com>, d'arcy@example.com, \"x\""`: {"O'Brien <o'brien@example.com>", "d'arcy@example.com", `"x"`},
	} {
		var got List
		if err := json.Unmarshal([]byte(in), &got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v; want %q", in, got, err, want)
		}
	}
	var l List
	for _, in := range []string{`5`, `{}`, `[1]`, `true`} {
		if err := json.Unmarshal([]byte(in), &l); err == nil {
			t.Errorf("%s is taken as a list", in)
		}
	}
}

func FuzzSplitList(f *testing.F) {
	for _, s := range []string{"a, b", `"a, b" <c@example.com>, d@example.com`, "{{ a, b }},c", "<a", `"`, `"\`, "{{\"}}", ",,,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) { // JSON never contains it
			return
		}
		list := SplitList(s)
		for _, item := range list {
			if item == "" || strings.TrimSpace(item) != item {
				t.Fatalf("%q: item %q is not trimmed", s, item)
			}
			if !strings.Contains(s, item) {
				t.Fatalf("%q: item %q is not in the text", s, item)
			}
			if again := SplitList(item); len(again) != 1 || again[0] != item {
				t.Fatalf("%q: item %q splits again into %q", s, item, again)
			}
		}
		squeeze := func(s string) string {
			return strings.Map(func(r rune) rune {
				if r == ',' || strings.TrimSpace(string(r)) == "" {
					return -1
				}
				return r
			}, s)
		}
		if squeeze(strings.Join(list, "")) != squeeze(s) {
			t.Fatalf("%q: something is lost in %q", s, list)
		}
		// A list of plain addresses that the mail parser accepts is split into the same addresses.
		if strings.ContainsAny(s, "(){}:;") {
			return
		}
		whole, err := mail.ParseAddressList(s)
		if err != nil {
			return
		}
		var parts []*mail.Address
		for _, item := range list {
			a, err := mail.ParseAddress(item)
			if err != nil {
				t.Fatalf("%q is a list of addresses, but its item %q is none: %v", s, item, err)
			}
			parts = append(parts, a)
		}
		if !reflect.DeepEqual(whole, parts) {
			t.Fatalf("%q: split %v, whole %v", s, parts, whole)
		}
	})
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "90m": 90 * time.Minute, "1d12h": 36 * time.Hour, "2w": 14 * 24 * time.Hour, "250ms": 250 * time.Millisecond,
		"1.5h": 90 * time.Minute, "0s": 0, "1w2d3h4m5s6ms": 9*24*time.Hour + 3*time.Hour + 4*time.Minute + 5*time.Second + 6*time.Millisecond,
	} {
		got, err := ParseDuration(in)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
		if again, err := ParseDuration(Duration(want).String()); err != nil || again != want {
			t.Errorf("%v is written as %q, which reads as %v, %v", want, Duration(want), again, err)
		}
	}
	for in, suggestion := range map[string]string{
		"": "", "24": "", "1.5": "", "-1h": "", "h": "", "1h1h": "", "1m1h": "", "1x": "", "1..5h": "", "99999999w": "", "1h30": "", "1M": "1m",
		"24 hours": "24h", "1 day, 12 hrs": "1d12h", "1d 12h": "1d12h", "5Min": "5m", " 2h": "2h", "2 weeks": "2w", "10 secs": "10s", "3 fortnights": "",
	} {
		_, err := ParseDuration(in)
		d, ok := errors.AsType[*DurationError](err)
		if !ok || d.Suggestion != suggestion {
			t.Errorf("%q: %v (suggestion %+v), want suggestion %q", in, err, d, suggestion)
		}
	}
	var d Duration
	if err := json.Unmarshal([]byte(`30`), &d); err == nil || !strings.Contains(err.Error(), "write 30s") {
		t.Errorf("a bare number: %v", err)
	}
	if err := json.Unmarshal([]byte(`"1d"`), &d); err != nil || d != Duration(24*time.Hour) {
		t.Errorf("1d: %v, %v", d, err)
	}
}
