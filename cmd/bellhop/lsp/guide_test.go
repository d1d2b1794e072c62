package lsp

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// cursor marks the cursor in the texts of the tests.
const cursor = "‸"

var testGuide = &guide{schema: rulesSchema(), connections: map[string]string{"mail": "email", "desk": "slack", "crm": "http"}, sources: []string{"hoopai"}}

func labels(text string) (names []string, inserts map[string]string) {
	at := strings.Index(text, cursor)
	text = strings.Replace(text, cursor, "", 1)
	p, ok := placeAt(text, at)
	if !ok {
		return nil, nil
	}
	words, _ := testGuide.choices(p)
	inserts = map[string]string{}
	for _, w := range words {
		names = append(names, w.Name)
		inserts[w.Name] = w.insert
	}
	return names, inserts
}

const head = "rules:\n  - name: a\n    on: booked\n"

func TestCompletion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text    string
		want    string // words that must be offered
		not     string // words that must not
		nothing bool
	}{
		"file":                 {text: "‸", want: "rules"},
		"half a key of a file": {text: "ru‸", want: "rules"},
		"first rule":           {text: "rules:\n  ‸", want: "name"},
		"first key":            {text: "rules:\n  - ‸", want: "name on when then", not: "rules slack"},
		"next key":             {text: head + "    ‸", want: "when then let mode", not: "name on"},
		"half a key":           {text: head + "    wh‸\n    then:\n      - slack: {}", want: "when let", not: "name on then"},
		"key with a colon":     {text: head + "    wh‸en: true\n", want: "let"},
		"key in between":       {text: "rules:\n  - name: a\n    ‸\n    on: booked\n", want: "when", not: "name on"},
		"event":                {text: "rules:\n  - name: a\n    on: ‸", want: "booked AppointmentCreate noshow", not: "name"},
		"event in brackets":    {text: "rules:\n  - name: a\n    on: [booked, ‸", want: "cancelled"},
		"event in a list":      {text: "rules:\n  - name: a\n    on:\n      - ‸", want: "cancelled"},
		"mode":                 {text: head + "    mode: sh‸", want: "shadow live"},
		"enabled":              {text: head + "    enabled: ‸", want: "true false"},
		"zone":                 {text: head + "    timezone: Europe/L‸", want: "Europe/London"},
		"whose zone":           {text: head + "    timezone: con‸", want: "contact"},
		"clock":                {text: head + "    when: clock(now(), \"0‸\") > now()", want: "09:00"},
		"calendar function":    {text: head + "    when: addD‸", want: "addDays"},
		"methods of a day":     {text: head + "    when: addDays(now(), 1).‸", want: "Hour"},
		"zone in quotes":       {text: head + "    timezone: \"Europe/L‸", want: "Europe/London"},
		"step":                 {text: head + "    then:\n      - ‸", want: "email slack http at", not: "name"},
		"step without a dash":  {text: head + "    then:\n      ‸", want: "email slack http"},
		"field":                {text: head + "    then:\n      - slack:\n          ‸", want: "channel text blocks connection", not: "to subject"},
		"next field":           {text: head + "    then:\n      - email:\n          to: a@example.com\n          ‸", want: "subject html invite", not: "to date invitation"},
		"field in brackets":    {text: head + "    then:\n      - slack: { channel: \"#x\", te‸ }", want: "text", not: "channel"},
		"field, open bracket":  {text: head + "    then:\n      - slack: { ‸", want: "channel text"},
		"connection":           {text: head + "    then:\n      - http:\n          connection: ‸", want: "crm", not: "mail desk"},
		"invite":               {text: head + "    then:\n      - email: { invite: ‸ }", want: "true false"},
		"beside an action":     {text: head + "    then:\n      - slack: { channel: c, text: t }\n        ‸", want: "at late", not: "slack email channel"},
		"action, beside at":    {text: head + "    then:\n      - at: receivedAt\n        ‸", want: "late slack email", not: "at"},
		"at before its action": {text: head + "    then:\n      - a‸\n        slack: { channel: c, text: t }", want: "at late", not: "slack email"},
		"step in brackets":     {text: head + "    then: [{ at: receivedAt, ‸ }]", want: "late slack", not: "at"},
		"not in the action":    {text: head + "    then:\n      - slack:\n          channel: c\n          ‸", not: "at late"},
		"second action's kind": {text: head + "    then:\n      - ema‸il: { to: a }", want: "at"},
		"moment":               {text: head + "    let: { begin: appointment.startTime }\n    then:\n      - at: ‸", want: "begin appointment receivedAt now duration", not: "skip slack"},
		"moment's field":       {text: head + "    then:\n      - at: appointment.‸", want: "startTime endTime"},
		"moment's duration":    {text: head + "    then:\n      - at: appointment.startTime - duration(\"‸", want: "24h 1w"},
		"moment in a block":    {text: head + "    then:\n      - at: |\n          appointment.startTime -\n            dura‸", want: "duration"},
		"moment in brackets":   {text: head + "    then: [{ at: appointment.‸, slack: {} }]", want: "startTime"},
		"template, brackets":   {text: head + "    then: [{ email: { to: [{{ contact.‸ }}] } }]", want: "email"},
		"moment below":         {text: head + "    then:\n      - slack: {}\n        at: contact.‸", want: "name"},
		"late":                 {text: head + "    then:\n      - at: receivedAt\n        late: ‸", want: "skip send 2h", not: "appointment"},
		"half a word of late":  {text: head + "    then:\n      - at: receivedAt\n        late: se‸", want: "send"},
		"nothing below late":   {text: head + "    then:\n      - late:\n          x: ‸", nothing: true},
		"condition":            {text: head + "    when: ‸", want: "appointment contact now any not true"},
		"half a name":          {text: head + "    when: appo‸", want: "appointment"},
		"fields":               {text: head + "    when: appointment.‸", want: "title startTime appointmentStatus", not: "email appointment"},
		"fields of a contact":  {text: head + "    when: contact.em‸", want: "email tags", not: "title"},
		"fields of previous":   {text: head + "    when: appointment.title == previous.‸", want: "title"},
		"methods":              {text: head + "    when: appointment.startTime.‸", want: "Hour YearDay", not: "title"},
		"methods of a call":    {text: head + "    when: tz(appointment.startTime, \"Europe/Paris\").‸", want: "Hour"},
		"nothing below a text": {text: head + "    when: appointment.title.‸", nothing: true},
		"nothing below raw":    {text: head + "    when: raw.‸", nothing: true},
		"status":               {text: head + "    when: appointment.appointmentStatus == \"‸", want: "confirmed noshow", not: "booked"},
		"status, quotes shut":  {text: head + "    when: appointment.appointmentStatus != \"con‸\" && true", want: "confirmed"},
		"status in a list":     {text: head + "    when: appointment.appointmentStatus not in [\"showed\", \"‸\"]", want: "confirmed"},
		"event of on":          {text: head + "    when: \"‸\" in on", want: "booked"},
		"field of changed":     {text: head + "    when: '\"st‸\" in changed'", want: "startTime"},
		"wire type":            {text: head + "    when: type == \"‸", want: "AppointmentCreate", not: "booked"},
		"weekday":              {text: head + "    when: weekday(appointment.startTime) == \"‸", want: "Monday"},
		"zone of tz":           {text: head + "    when: tz(appointment.startTime, \"Europe/‸\").Hour() > 9", want: "Europe/London"},
		"layout":               {text: head + "    let:\n      day: date(appointment.startTime, \"‸\")", want: "15:04"},
		"no words in a text":   {text: head + "    when: appointment.title == \"‸", nothing: true},
		"let":                  {text: head + "    let:\n      day: weekday(appointment.‸", want: "startTime"},
		"let above":            {text: head + "    let:\n      day: weekday(now())\n      x: ‸", want: "day", not: "x"},
		"let in a template":    {text: head + "    let: { day: weekday(now()) }\n    then:\n      - slack: { channel: c, text: \"on {{ ‸ }}\" }", want: "day appointment date"},
		"template, one line":   {text: head + "    then:\n      - slack:\n          text: \"New: {{ appointment.‸", want: "title", not: "text"},
		"template, shut":       {text: head + "    then:\n      - slack:\n          text: \"New: {{ appointment.‸ }}\"\n          channel: c", want: "title"},
		"template in a block":  {text: head + "    then:\n      - email:\n          text: |\n            Dear {{ contact.‸ }},\n\n            hello\n", want: "firstName"},
		"template, unquoted":   {text: head + "    then:\n      - email:\n          subject: {{ contact.‸", want: "firstName"},
		"template, in braces":  {text: head + "    then:\n      - email: { subject: {{ contact.‸ }} }", want: "firstName"},
		"template, single":     {text: head + "    then:\n      - email: { subject: 'it''s {{ appointment.‸ }}' }", want: "title"},
		"template, escapes":    {text: head + "    then:\n      - slack: { text: \"{{ date(appointment.startTime, \\\"‸\\\") }}\" }", want: "15:04"},
		"template in json":     {text: head + "    then:\n      - http:\n          json:\n            a:\n              - b: \"{{ ‸\"", want: "appointment"},
		"template in a list":   {text: head + "    then:\n      - email:\n          to:\n            - \"{{ contact.‸\"", want: "email"},
		"second template":      {text: head + "    then:\n      - slack:\n          text: \"{{ appointment.title }} by {{ contact.‸", want: "name"},
		"plain text":           {text: head + "    then:\n      - slack:\n          text: \"New: ‸", nothing: true},
		"after a template":     {text: head + "    then:\n      - slack:\n          text: \"{{ appointment.title }} ‸\"", nothing: true},
		"a name":               {text: "rules:\n  - name: ‸", nothing: true},
		"a comment":            {text: head + "    # wh‸", nothing: true},
		"below a broken line":  {text: "rules:\n  - name: \"a\n    on: [booked\n    when: appointment.‸\n", want: "title"},
		"below a broken quote": {text: head + "    when: appointment.title == \"x\n    then:\n      - slack:\n          text: \"{{ ‸", want: "appointment"},
		"above a broken line":  {text: head + "    when: appointment.‸\n    then: }\n\t- x", want: "title"},
		"condition in a block": {text: head + "    when: |\n      appointment.title == \"a\" &&\n      appointment.‸", want: "title"},
		"condition goes on":    {text: head + "    when: appointment.title == \"a\" and\n      contact.‸", want: "email"},
		"windows":              {text: strings.ReplaceAll(head+"    when: appointment.‸\n    then:\n", "\n", "\r\n"), want: "title"},
		"no rule file's key":   {text: "other:\n  ‸", nothing: true},
		"second rule":          {text: head + "    then:\n      - slack: {}\n  - ‸", want: "name on"},
		"second rule's let":    {text: head + "    let: { uno: \"1\" }\n  - name: b\n    let: { dos: \"2\" }\n    when: ‸", want: "dos", not: "uno"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := labels(c.text)
			for _, w := range strings.Fields(c.want) {
				if !slices.Contains(got, w) {
					t.Errorf("%s is not offered: %v", w, got)
				}
			}
			for _, w := range strings.Fields(c.not) {
				if slices.Contains(got, w) {
					t.Errorf("%s is offered", w)
				}
			}
			if c.nothing && len(got) > 0 {
				t.Errorf("offered are %v", got)
			}
		})
	}
}

func TestCompletionInserts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, name, insert string }{
		{head + "    wh‸", "when", "when: "},
		{head + "    wh‸: x", "when", "when"},
		{head + "    th‸", "then", "then:"},
		{head + "    then:\n      ‸", "slack", "- slack:"},
		{head + "    then:\n      - ‸", "slack", "slack:"},
		{head + "    then:\n      - ‸", "at", "at: "},
		{head + "    then:\n      - slack: {}\n        la‸: x", "late", "late"},
		{head + "    when: no‸", "now", "now("},
		{head + "    when: appointment.startTime.H‸", "Hour", "Hour()"},
		{head + "    when: appointment.t‸", "title", "title"},
	} {
		if _, inserts := labels(c.text); inserts[c.name] != c.insert {
			t.Errorf("%q: %s is written as %q, want %q", c.text, c.name, inserts[c.name], c.insert)
		}
	}
}

func TestHover(t *testing.T) {
	t.Parallel()
	const text = head + "    when: weekday(appointment.startTime) == \"Monday\" && \"confirmed\" in on\n" +
		"    let: { day: date(now(), \"15:04\") }\n    then:\n      - email:\n          subject: \"{{ day }} {{ contact.firstName }}\"\n          invite: true\n        at: appointment.endTime + duration(\"2h\")\n        late: send\n"
	for word, want := range map[string]string{
		"na‸me: a":     "unique over all rule files",
		"bo‸oked":      "seen for the first time",
		"‸when:":       "The condition",
		"week‸day":     "weekday(time) → text",
		"weekday‸(":    "weekday(time) → text",
		"app‸ointment": "as it is with this event",
		"start‸Time":   "a time",
		"conf‸irmed":   "became confirmed",
		"no‸w()":       "now() → time",
		"em‸ail":       "e-mail",
		"sub‸ject":     "The subject line",
		"{{ da‸y":      "under let",
		"first‸Name":   "The first name",
		"inv‸ite":      "calendar invitation",
		"a‸t: app":     "When the step is done",
		"end‸Time":     "a time",
		"dura‸tion":    "duration(text) → duration",
		"la‸te":        "whose moment has passed",
		"se‸nd":        "however late",
		"2‸h":          "",
		"Mon‸day":      "",
		"{‸{ day":      "",
	} {
		plain := strings.Replace(word, cursor, "", 1)
		at := strings.Index(text, plain)
		if at < 0 {
			t.Fatal(word)
		}
		got := ""
		if p, ok := placeAt(text, at+strings.Index(word, cursor)); ok {
			got, _ = testGuide.describe(p)
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

// FuzzGuide asks for help at any place in any text. The guide must return.
func FuzzGuide(f *testing.F) {
	for _, pattern := range []string{"../../../testdata/bad/*.yaml", "../../../testdata/rules/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatal(err)
		}
		for i, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(data), i*37)
		}
	}
	for _, s := range []string{"- - - -", "a: [{[{", "a: {{{{", "\ufeffrules:", "- \"", "a: 'x\n\n\n y", "? x", "&a *b", "a: |\n", "{", "]", "a: {b}c}", "when: \"\\"} {
		f.Add(s, len(s))
	}
	f.Fuzz(func(t *testing.T, text string, at int) {
		if len(text) > 1<<14 {
			return
		}
		at = min(max(at, 0), len(text))
		for at > 0 && at < len(text) && !utf8.RuneStart(text[at]) {
			at--
		}
		if p, ok := placeAt(text, at); ok {
			testGuide.choices(p)
			testGuide.describe(p)
		}
		if utf8.ValidString(text) && offset(text, positionOf(text, at)) != at && !(at > 0 && at < len(text) && text[at-1] == '\r' && text[at] == '\n') {
			t.Fatalf("%d becomes %v becomes %d", at, positionOf(text, at), offset(text, positionOf(text, at)))
		}
	})
}
