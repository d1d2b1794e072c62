package rules_test

import (
	"encoding/json"
	"net/mail"
	"strings"
	"testing"

	"bellhop/rules"
)

// hostileValues are values with which somebody who books would choose recipients.
var hostileValues = []string{
	"a@example.com, b@example.org", "a@example.com,b@example.org", "a@example.com;b@example.org", "a@example.com b@example.org",
	"g: a@example.com, b@example.org;", "undisclosed: b@example.org;", "Ann <a@example.com>, b@example.org", `"x" <b@example.org>`, `x" <b@example.org>, "y`,
	"<b@example.org>", "b@example.org>, <c@example.org", "x <b@example.org> y", "a@example.com\r\nBcc: b@example.org", "a@example.com\n b@example.org",
	"(b@example.org) a@example.com", `"a,b"@example.com`, `\", b@example.org, \"`, "=?utf-8?q?b=40example.org?=", "=?utf-8?q?=2C_b=40example.org?= <a@example.com>",
	"a@example.com\x00b@example.org", "Ann\\", "Ann\", <b@example.org>, \"", ",", ";", "<", ">", "\"", "a@b@c", "Ann, Lady <x> \"of\" Mercia", "",
}

// Whatever a value looks like, it adds no recipient: n addresses in the text give at most n recipients, and the text
// around the value stays.
func TestValueIsOneRecipient(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		to    string
		most  int
		fixed string // an address written in the rule
	}{
		{`"{{ contact.email }}"`, 1, ""},
		{`"{{ contact.name }} <{{ contact.email }}>"`, 1, ""},
		{`'"{{ contact.name }}" <{{ contact.email }}>'`, 1, ""},
		{`"{{ contact.name }} <desk@example.net>"`, 1, "desk@example.net"},
		{`"Dr {{ contact.firstName }} {{ contact.name }} <desk@example.net>"`, 1, "desk@example.net"},
		{`"desk@example.net, {{ contact.email }}"`, 2, "desk@example.net"},
		{`"{{ contact.email }}, desk@example.net"`, 2, "desk@example.net"},
		{`["{{ contact.email }}", "Desk {{ contact.name }} <desk@example.net>"]`, 2, "desk@example.net"},
		{`"{{ contact.name }}@example.net"`, 1, ""},
		{`"Desk <{{ contact.name }}@example.net>"`, 1, ""},
		{`'"\"The Desk\", {{ contact.name }}" <desk@example.net>'`, 1, "desk@example.net"},
		{`'"\"{{ contact.name }}\"" <{{ contact.email }}>'`, 1, ""},
	} {
		for _, value := range hostileValues {
			ev := booking()
			ev.Contact.Name, ev.Contact.FirstName, ev.Contact.Email = value, value, value
			for _, email := range []string{value, "a@example.com"} {
				ev.Contact.Email = email
				s := step(t, ev, "then: [{email: {to: "+tt.to+", subject: s, text: t}}]")
				if s.Err != nil || s.Skip != "" {
					if s.Request != nil {
						t.Errorf("%s with %q: a request beside %v %s", tt.to, value, s.Err, s.Skip)
					}
					continue
				}
				got := recipientsOf(t, s)
				if len(got) > tt.most {
					t.Errorf("%s with %q, %q: %q", tt.to, value, email, got)
				}
				for _, a := range got {
					if strings.HasSuffix(a, "@example.org") && email == "a@example.com" && !strings.Contains(tt.to, "@example.net\"") {
						t.Errorf("%s with the name %q goes to %s", tt.to, value, a)
					}
				}
				if tt.fixed != "" && !strings.Contains(strings.Join(got, " "), tt.fixed) {
					t.Errorf("%s with %q lost %s: %q", tt.to, value, tt.fixed, got)
				}
			}
		}
	}
}

// An empty address is left out, with a name or without. The rest is sent, or the step is skipped.
func TestEmptyAddresses(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		`"{{ contact.name }} <{{ contact.email }}>"`:                     "",
		`"{{ contact.name }} < {{ contact.email }} >"`:                   "",
		`'"{{ contact.name }}" <{{ contact.email }}>'`:                   "",
		`'"\"The\" {{ contact.name }}" <{{ custom.email ?? "" }}>'`:      "",
		`"<{{ contact.email }}>"`:                                        "",
		`"desk@example.net, {{ contact.name }} <{{ contact.email }}>"`:   "desk@example.net",
		`["{{ contact.name }} <{{ contact.email }}>", desk@example.net]`: "desk@example.net",
	} {
		ev := booking()
		ev.Contact.Name, ev.Contact.Email = "Ann", ""
		s := step(t, ev, "then: [{email: {to: "+to+", subject: s, text: t}}]")
		got := ""
		if s.Request != nil {
			got = strings.Join(recipientsOf(t, s), " ")
		}
		if s.Err != nil || got != want || want == "" && s.Skip != "unresolved recipient" {
			t.Errorf("%s: %q, skip %q, error %v; want %q", to, got, s.Skip, s.Err, want)
		}
	}
}

// A list in a payload does not turn one booking into a mailing.
func TestTooManyRecipients(t *testing.T) {
	t.Parallel()
	for n, fails := range map[string]bool{"1..100": false, "1..101": true} {
		s := step(t, booking(), `then: [{email: {to: "{{ map(`+n+`, 'a' + string(#) + '@example.com') }}", subject: s, text: t}}]`)
		if fails != (s.Err != nil) || fails && (s.Request != nil || !strings.Contains(s.Err.Error(), "more than 100 recipients")) {
			t.Errorf("%s: %v", n, s.Err)
		}
	}
	s := step(t, booking(), `then: [{email: {to: "{{ map(1..60, 'a' + string(#) + '@example.com') }}", bcc: "{{ map(1..60, 'b' + string(#) + '@example.com') }}", subject: s, text: t}}]`)
	if s.Err == nil {
		t.Error("sixty twice are taken")
	}
}

// Whatever the values are, each adds at most one recipient, at its place, and the written text stays.
func FuzzRecipients(f *testing.F) {
	for _, v := range hostileValues {
		f.Add(v, "a@example.com")
		f.Add("Ann", v)
	}
	set := make([]*rules.Set, 0, len(fuzzedRecipients))
	for _, to := range fuzzedRecipients {
		file, findings := rules.Compile("t.yaml", []byte(rule("then: [{email: {to: "+to+", subject: s, text: t}}]")), options())
		if file == nil {
			f.Fatal(findings)
		}
		s, _ := rules.NewSet([]*rules.File{file})
		set = append(set, s)
	}
	f.Fuzz(func(t *testing.T, name, email string) {
		for i, s := range set {
			ev := booking()
			ev.Contact.Name, ev.Contact.Email = name, email
			step := s.Match(ev, noon)[0].Steps[0]
			if step.Request == nil {
				continue // a recorded error or skip
			}
			var req struct{ To []string }
			if err := json.Unmarshal(step.Request, &req); err != nil {
				t.Fatal(err)
			}
			written := false
			for _, text := range req.To {
				a, err := mail.ParseAddress(text)
				if err != nil {
					if list, err := mail.ParseAddressList(text); err == nil {
						t.Errorf("%s with %q and %q opens %q", fuzzedRecipients[i], name, email, list)
					}
					continue // composing the mail fails, which is recorded
				}
				written = written || a.Address == "desk@example.net"
			}
			if len(req.To) > 2 || strings.Contains(fuzzedRecipients[i], "desk@") && !written {
				t.Errorf("%s with %q and %q goes to %q", fuzzedRecipients[i], name, email, req.To)
			}
		}
	})
}

var fuzzedRecipients = []string{
	`"{{ contact.email }}"`,
	`"{{ contact.name }} <{{ contact.email }}>"`,
	`'"{{ contact.name }}" <{{ contact.email }}>'`,
	`'"\"The\" {{ contact.name }}" <desk@example.net>'`,
	`"Dr {{ contact.name }} <desk@example.net>, {{ contact.email }}"`,
	`"{{ contact.email }}, Desk <desk@example.net>"`,
}

// recipientsOf returns the addresses that a mail server would be told, as far as the text can be read.
func recipientsOf(t *testing.T, s rules.Step) (all []string) {
	t.Helper()
	var req struct{ To []string }
	if err := json.Unmarshal(s.Request, &req); err != nil {
		t.Fatal(err)
	}
	for _, text := range req.To {
		list, err := mail.ParseAddressList(text)
		if err != nil {
			continue // composing it fails
		}
		for _, a := range list {
			all = append(all, a.Address)
		}
	}
	return all
}

func TestRecipientsThatAreWell(t *testing.T) {
	t.Parallel()
	ev := booking()
	ev.Contact.Name, ev.Contact.Email = `Zoë "Z" O'Hara, Jr.`, " zoe@example.com. "
	for to, want := range map[string]string{
		`"{{ contact.email }}"`:                              `zoe@example.com`,
		`"{{ contact.name }} <{{ contact.email }}>"`:         `"Zoë \"Z\" O'Hara, Jr." <zoe@example.com>`,
		`"{{ 'Ann <ann@example.com>' }}"`:                    `Ann <ann@example.com>`,
		`"{{ appointment.assignedUserId }}@example.com"`:     ev.Appointment.AssignedUserID + `@example.com`,
		`"{{ map(['a', 'b'], # + '@example.com') }}"`:        `a@example.com|b@example.com`,
		`"{{ raw.none ?? '' }} <desk@example.com>"`:          `<desk@example.com>`,
		`"Office, {{ contact.name }} <{{ contact.email }}>"`: ``,
		`"desk@example.com., {{ contact.email ?? '' }}"`:     `desk@example.com.|zoe@example.com`,
		`["Desk <desk@example.com>", "{{ contact.email }}"]`: `Desk <desk@example.com>|zoe@example.com`,
	} {
		if want == "" {
			continue
		}
		s := step(t, ev, "then: [{email: {to: "+to+", subject: s, text: t}}]")
		var req struct{ To []string }
		if s.Err != nil || json.Unmarshal(s.Request, &req) != nil {
			t.Errorf("%s: %v", to, s.Err)
		} else if got := strings.Join(req.To, "|"); got != want {
			t.Errorf("%s: got %s, want %s", to, got, want)
		}
	}
}

// An empty value, or one such as "..", never changes the path of a call.
func TestEmptySegmentIsSkipped(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", ".", ".."} {
		ev := booking()
		ev.Appointment.ContactID = value
		for _, where := range []string{`connection: crm, path: "/contacts/{{ appointment.contactId }}/notes"`, `url: "https://example.com/a/{{ appointment.contactId }}"`} {
			s := step(t, ev, "then: [{http: {"+where+"}}]")
			if !strings.Contains(s.Skip, "a value in the path is") || s.Request != nil || s.Err != nil {
				t.Errorf("%q in %s: %+v", value, where, s)
			}
		}
		if s := step(t, ev, `then: [{http: {url: "https://example.com/a?x={{ appointment.contactId }}"}}]`); s.Request == nil {
			t.Errorf("in a query: %+v", s)
		}
	}
}

// A value in a path is one segment, or a part of one, wherever it stands.
func TestValueIsOneSegment(t *testing.T) {
	t.Parallel()
	for where, want := range map[string]string{
		`path: "{{ contact.name }}/notes"`:                                             "a%2Fb%3Fc/notes",
		`path: "{{ contact.name }}?x=1"`:                                               "a%2Fb%3Fc?x=1",
		`path: "{{ contact.name }}"`:                                                   "a/b?c", // the whole path, because the rule says so
		`path: "/x/pre-{{ contact.name }}/y"`:                                          "/x/pre-a%2Fb%3Fc/y",
		`path: "/x/pre-{{ contact.firstName }}/y"`:                                     "/x/pre-/y",
		`path: "/x/{{ contact.firstName }}-post"`:                                      "/x/-post",
		`path: "/x/{{ contact.firstName }}?y=1"`:                                       "",
		`path: "{{ contact.firstName }}/y"`:                                            "",
		`path: "/{{ contact.firstName }}/y"`:                                           "",
		`path: "/x/pre{{ contact.lastName }}"`:                                         "",
		`path: "/x/{{ contact.name }}/{{ source }}/{{ contact.firstName ?? 'none' }}"`: "/x/a%2Fb%3Fc/hoopai/none",
	} {
		ev := booking()
		ev.Contact.Name, ev.Contact.FirstName, ev.Contact.LastName = "a/b?c", "", ".."
		s := step(t, ev, "then: [{http: {connection: crm, "+where+"}}]")
		var req struct{ Path string }
		if s.Request != nil {
			if err := json.Unmarshal(s.Request, &req); err != nil {
				t.Fatal(err)
			}
		}
		if req.Path != want || s.Err != nil || (s.Skip == "") != (want != "") {
			t.Errorf("%s: %q, skip %q, error %v; want %q", where, req.Path, s.Skip, s.Err, want)
		}
	}
}

// A body written as JSON stays JSON, whatever its values contain. Numbers and texts of a tree stay as written.
func TestJSONBody(t *testing.T) {
	t.Parallel()
	ev := booking()
	ev.Appointment.Title = `a "b" \ {c}` + "\n<d>"
	s := step(t, ev, `then: [{http: {url: "https://example.com/", body: '{"title": "T: {{ appointment.title }}", "bare": {{ appointment.title }}, "n": {{ 1 + 1 }}, "yes": {{ true }}}'}}]`)
	if s.Err != nil {
		t.Fatal(s.Err)
	}
	var req struct{ Body string }
	if err := json.Unmarshal(s.Request, &req); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(req.Body), &got); err != nil {
		t.Fatalf("%s: %v", req.Body, err)
	}
	if got["title"] != "T: "+ev.Appointment.Title || got["bare"] != ev.Appointment.Title || got["n"] != 2.0 || got["yes"] != true {
		t.Errorf("got %v", got)
	}
	// A text stays a text even if it looks like something else: it does not become an object.
	for _, title := range []string{`{"admin":true}`, "true", "123", "null", `"x"`} {
		ev := booking()
		ev.Appointment.Title = title
		s := step(t, ev, `then: [{http: {url: "https://example.com/", body: '{"bare": {{ appointment.title }}, "users": {{ appointment.users }}}'}}]`)
		var got map[string]any
		if err := json.Unmarshal(s.Request, &req); err != nil || json.Unmarshal([]byte(req.Body), &got) != nil || got["bare"] != title {
			t.Errorf("%s: %s, %v", title, req.Body, s.Err)
		}
		if users, ok := got["users"].([]any); !ok || len(users) != len(ev.Appointment.Users) {
			t.Errorf("a list is %v", got["users"])
		}
	}
	if s := step(t, ev, `then: [{http: {url: "https://example.com/", body: 'Title: {{ appointment.title }}'}}]`); !strings.Contains(string(s.Request), `\"b\"`) {
		t.Errorf("a plain body: %s", s.Request)
	}
	s = step(t, ev, `then: [{http: {url: "https://example.com/", json: {zip: 01234, plus: +0049, n: 1.10, big: 12345678901234567890, hex: 0x1F, none: 0, part: .5, long: 1_0.5}}}]`)
	if want := `{"big":12345678901234567890,"hex":31,"long":10.5,"n":1.10,"none":0,"part":0.5,"plus":"+0049","zip":"01234"}`; !strings.Contains(string(s.Request), want) {
		t.Errorf("got %s, %v", s.Request, s.Err)
	}
}

// In Slack's blocks only text of type mrkdwn is escaped; addresses are encoded as addresses.
func TestSlackBlockEscapes(t *testing.T) {
	t.Parallel()
	ev := booking()
	ev.Appointment.Title = `R&D <b> x/y`
	s := step(t, ev, `then:
      - slack:
          channel: a
          text: "{{ appointment.title }}"
          blocks:
            - { type: section, text: { type: mrkdwn, text: "{{ appointment.title }}" } }
            - { type: header, text: { type: plain_text, text: "{{ appointment.title }}" } }
            - type: actions
              elements:
                - { type: button, text: { type: plain_text, text: Open }, url: "https://example.com/a?x=1&id={{ appointment.title }}", value: "{{ appointment.title }}" }
                - { type: button, text: { type: plain_text, text: Open }, url: "https://example.com/{{ appointment.title }}/z" }`)
	if s.Err != nil {
		t.Fatal(s.Err)
	}
	var req struct {
		Text   string
		Blocks []struct {
			Text     struct{ Text string }
			Elements []struct{ URL, Value string }
		}
	}
	if err := json.Unmarshal(s.Request, &req); err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		req.Text:                        "R&amp;D &lt;b&gt; x/y",
		req.Blocks[0].Text.Text:         "R&amp;D &lt;b&gt; x/y",
		req.Blocks[1].Text.Text:         "R&D <b> x/y",
		req.Blocks[2].Elements[0].URL:   "https://example.com/a?x=1&id=R%26D+%3Cb%3E+x%2Fy",
		req.Blocks[2].Elements[1].URL:   "https://example.com/R&D%20%3Cb%3E%20x%2Fy/z",
		req.Blocks[2].Elements[0].Value: "R&D <b> x/y",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
