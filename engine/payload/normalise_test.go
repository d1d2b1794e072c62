package payload

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"bellhop/rules"
)

var update = flag.Bool("update", false, "write the golden files anew")

const eventFiles = "../../testdata/events/*.json"

var received = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// golden is the content of a golden file for an event.
type golden struct {
	Type        string            `json:"type"`
	LocationID  string            `json:"locationId"`
	WebhookID   string            `json:"webhookId,omitempty"`
	SentAt      time.Time         `json:"sentAt,omitzero"`
	Given       []string          `json:"given"`
	Appointment rules.Appointment `json:"appointment"`
	Contact     rules.Contact     `json:"contact"`
	User        rules.User        `json:"user,omitzero"`
	Calendar    rules.Calendar    `json:"calendar,omitzero"`
	Location    rules.Location    `json:"location,omitzero"`
	Custom      map[string]any    `json:"custom,omitempty"`
}

func goldenOf(ev *rules.Event) golden {
	g := golden{
		Type: ev.Type, LocationID: ev.LocationID, WebhookID: ev.WebhookID, SentAt: ev.SentAt, Given: []string{},
		Appointment: ev.Appointment, Contact: ev.Contact, User: ev.User, Calendar: ev.Calendar, Location: ev.Location, Custom: ev.Custom,
	}
	for _, name := range rules.AppointmentFields() {
		if ev.Given.Has(name) {
			g.Given = append(g.Given, name)
		}
	}
	return g
}

func TestNormaliseFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(eventFiles)
	if err != nil || len(files) < 20 {
		t.Fatalf("the sample events: %d files, %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			ev, err := Normalise("hoopai", body, received, mustZone(t, "Europe/London"))
			if err != nil {
				t.Fatal(err)
			}
			if ev.Source != "hoopai" || !ev.ReceivedAt.Equal(received) || !bytes.Equal(ev.Body, body) || ev.ID != "" {
				t.Errorf("source %q, received %v, id %q, or the body is not as it came", ev.Source, ev.ReceivedAt, ev.ID)
			}
			got, err := json.MarshalIndent(goldenOf(ev), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			path := filepath.Join("testdata", "normalised", name)
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")); !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func mustZone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func mustNormalise(t testing.TB, body string) *rules.Event {
	t.Helper()
	ev, err := Normalise("hoopai", []byte(body), received, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	return ev
}

func TestNormaliseWrappersAgree(t *testing.T) {
	t.Parallel()
	const fields = `"id":"a1","title":"T","calendarId":"c1","appointmentStatus":"confirmed","startTime":"2026-12-07T10:00:00+05:30"`
	const appointment = `{` + fields + `}`
	want := mustNormalise(t, `{"type":"AppointmentCreate","locationId":"L","appointment":`+appointment+`}`)
	if want.Appointment.ID != "a1" || want.Appointment.StartTime.IsZero() {
		t.Fatalf("the documented shape was not read: %+v", want)
	}
	for name, body := range map[string]string{
		"data":                    `{"type":"AppointmentCreate","locationId":"L","data":` + appointment + `}`,
		"data.appointment":        `{"type":"AppointmentCreate","locationId":"L","data":{"appointment":` + appointment + `}}`,
		"all in data":             `{"data":{"type":"AppointmentCreate","locationId":"L","appointment":` + appointment + `}}`,
		"flat in data":            `{"data":{"type":"AppointmentCreate","locationId":"L",` + fields + `}}`,
		"body":                    `{"type":"AppointmentCreate","locationId":"L","body":` + appointment + `}`,
		"body.data":               `{"body":{"type":"AppointmentCreate","locationId":"L","data":` + appointment + `}}`,
		"body.data.appointment":   `{"body":{"data":{"type":"AppointmentCreate","locationId":"L","appointment":` + appointment + `}}}`,
		"flat":                    `{"type":"AppointmentCreate","locationId":"L",` + fields + `}`,
		"type in the appointment": `{"locationId":"L","appointment":{"type":"AppointmentCreate",` + fields + `}}`,
		"locationId in it too":    `{"type":"AppointmentCreate","appointment":{"locationId":"L",` + fields + `}}`,
		"a wrapper's own type":    `{"type":"webhook","data":{"type":"AppointmentCreate","locationId":"L",` + fields + `}}`,
		"null wrappers":           `{"type":"AppointmentCreate","locationId":"L","appointment":null,"data":null,"body":"",` + fields + `}`,
		"another location within": `{"type":"AppointmentCreate","locationId":"L","appointment":{"locationId":"M",` + fields + `}}`,
		"a calendar beside":       `{"type":"AppointmentCreate","locationId":"L","calendar":{"id":"c2","name":"x"},` + fields + `}`,
		"the last of two counts":  `{"type":"AppointmentCreate","locationId":"L","appointment":{"id":"no"},"appointment":` + appointment + `}`,
		"a field given twice":     `{"type":"AppointmentCreate","locationId":"L","appointment":{"title":"no","id":"no","notes":"no","notes":null,` + fields + `}}`,
		"byte order mark":         "\uFEFF" + `{"type":"AppointmentCreate","locationId":"L","appointment":` + appointment + `}`,
		"escaped keys":            `{"t\u0079pe":"AppointmentCreate","locationId":"L","appoint\u006dent":` + appointment + `}`,
	} {
		got := mustNormalise(t, body)
		if !reflect.DeepEqual(goldenOf(got), goldenOf(want)) {
			t.Errorf("%s: got %+v\nwant %+v", name, goldenOf(got), goldenOf(want))
		}
	}
}

func TestNormaliseIgnored(t *testing.T) {
	t.Parallel()
	for body, wantType := range map[string]string{
		`{}`:                                  "",
		`{"type":"INSTALL","locationId":"L"}`: "INSTALL",
		`{"type":"ContactCreate","appointment":{"id":"a1"}}`:                      "ContactCreate",
		`{"type":"AppointmentCreate"}`:                                            rules.Create,
		`{"type":"AppointmentCreate","appointment":{}}`:                           rules.Create,
		`{"type":"AppointmentCreate","appointment":{"id":""}}`:                    rules.Create,
		`{"type":"AppointmentCreate","appointment":{"id":{"x":1}}}`:               rules.Create,
		`{"type":"AppointmentCreate","appointment":[{"id":"a1"}]}`:                rules.Create,
		`{"type":["AppointmentCreate"],"appointment":{"title":"no id"}}`:          "",
		`{"id":"x","email":"guest@example.com"}`:                                  "", // a contact, not an appointment
		`{"calendar":{"id":"c","startTime":"2026-12-07T10:00:00"}}`:               "",
		`{"data":{"data":{"data":{"data":{"data":{"appointment":{"id":"a"}}}}}}}`: "",
	} {
		ev := mustNormalise(t, body)
		if ev.Type != wantType || ev.Given != 0 || !reflect.DeepEqual(ev.Appointment, rules.Appointment{}) {
			t.Errorf("%s: type %q, given %b, %+v", body, ev.Type, ev.Given, ev.Appointment)
		}
	}
	// Without a type, these are clearly appointments.
	for _, body := range []string{
		`{"appointment":{"id":"a1"}}`,
		`{"id":"a1","calendarId":"c"}`,
		`{"data":{"id":"a1","startTime":"2026-12-07T10:00:00Z"}}`,
		`{"calendar":{"appointmentId":"a1"}}`,
	} {
		if ev := mustNormalise(t, body); ev.Type != "" || ev.Appointment.ID != "a1" {
			t.Errorf("%s: type %q, %+v", body, ev.Type, ev.Appointment)
		}
	}
}

func TestNormaliseErrors(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		``:                                  "empty",
		" \r\n\t":                           "empty",
		"\uFEFF":                            "empty",
		`null`:                              "not a JSON object",
		`[]`:                                "not a JSON object",
		`[{"type":"AppointmentCreate"}]`:    "not a JSON object",
		`"text"`:                            "not a JSON object",
		`12`:                                "not a JSON object",
		`{`:                                 "not valid JSON",
		`{"a":1}x`:                          "not valid JSON",
		`{"a":1}{"a":2}`:                    "not valid JSON",
		`{"a":1,}`:                          "not valid JSON",
		`{"a":01}`:                          "not valid JSON",
		`{'a':1}`:                           "not valid JSON",
		`{"a":NaN}`:                         "not valid JSON",
		`{"a":"` + "\x00" + `"}`:            "not valid JSON",
		`{"a":"` + "\n" + `"}`:              "not valid JSON",
		`{"a":"\ud8"}`:                      "not valid JSON",
		`type=AppointmentCreate`:            "not valid JSON",
		strings.Repeat(`{"a":`, 65) + "1":   "nested",
		strings.Repeat(`[`, 1<<20):          "nested",
		`{"a":` + strings.Repeat(`[`, 1000): "nested",
	} {
		ev, err := Normalise("hoopai", []byte(body), received, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %+v, %v; want an error with %q", body, ev, err, want)
		}
	}
	deepest := strings.Repeat(`{"a":`, 63) + `{}` + strings.Repeat(`}`, 63)
	if _, err := Normalise("hoopai", []byte(deepest), received, nil); err != nil {
		t.Errorf("64 levels: %v", err)
	}
	brackets := `{"a":"` + strings.Repeat(`[{\"`, 500) + `"}`
	if _, err := Normalise("hoopai", []byte(brackets), received, nil); err != nil {
		t.Errorf("brackets in a text are no nesting: %v", err)
	}
}

// The fields in Given are those of the stored appointment that the event replaces.
func TestNormaliseGiven(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, field, value, want string }{
		{rules.Update, "title", `"T"`, "id title"},
		{rules.Update, "title", `""`, "id title"},
		{rules.Update, "title", `null`, "id"},
		{rules.Update, "title", `{"x":1}`, "id"},
		{rules.Update, "title", `true`, "id"},
		{rules.Update, "title", `7`, "id title"},
		{rules.Update, "address", `""`, "id address"},
		{rules.Update, "notes", `""`, "id notes"},
		{rules.Update, "groupId", `""`, "id groupId"},
		{rules.Update, "assignedUserId", `""`, "id assignedUserId"},
		{rules.Update, "calendarId", `""`, "id"},
		{rules.Update, "contactId", `""`, "id"},
		{rules.Update, "appointmentStatus", `""`, "id"},
		{rules.Update, "source", `""`, "id"},
		{rules.Update, "startTime", `""`, "id"},
		{rules.Update, "startTime", `"soon"`, "id"},
		{rules.Update, "startTime", `"2026-12-07T10:00:00Z"`, "id startTime"},
		{rules.Update, "users", `""`, "id"},
		{rules.Update, "users", `null`, "id"},
		{rules.Update, "users", `[]`, "id users"},
		{rules.Update, "users", `"u1"`, "id users"},
		{rules.Delete, "title", `""`, "id"},
		{rules.Delete, "notes", `""`, "id"},
		{rules.Delete, "title", `"T"`, "id title"},
		{rules.Delete, "users", `[]`, "id users"},
	} {
		ev := mustNormalise(t, `{"type":"`+c.kind+`","appointment":{"id":"a1","`+c.field+`":`+c.value+`}}`)
		if got := strings.Join(goldenOf(ev).Given, " "); got != c.want {
			t.Errorf("%s with %s %s: given %q, want %q", c.kind, c.field, c.value, got, c.want)
		}
	}
}

func TestFoldStatus(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Confirmed": "confirmed", "CONFIRMED": "confirmed", " confirmed ": "confirmed", "canceled": "cancelled",
		"Cancelled": "cancelled", "CANCELED": "cancelled", "no_show": "noshow", "no-show": "noshow",
		"No Show": "noshow", "noShow": "noshow", "new": "new", "showed": "showed", "Invalid": "invalid",
		"active": "active", "completed": "completed", "Wait Listed": "Wait Listed", "": "",
		strings.Repeat(" ", 100) + "new": strings.Repeat(" ", 100) + "new",
	} {
		if got := foldStatus(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	for _, s := range rules.Statuses() {
		if !isStatus(s) || foldStatus(strings.ToUpper(s)) != s {
			t.Errorf("status %q is not known here", s)
		}
	}
}

func TestFoldType(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"AppointmentCreate": rules.Create, "appointmentcreate": rules.Create, "appointment.created": rules.Create,
		"APPOINTMENT_UPDATE": rules.Update, "appointment-updated": rules.Update, "Appointment Deleted": rules.Delete,
		"INSTALL": "INSTALL", "AppointmentCreateX": "AppointmentCreateX", "": "",
	} {
		got, ok := foldType(in)
		if got != want || ok != isAppointmentType(want) {
			t.Errorf("%q became %q, %v; want %q", in, got, ok, want)
		}
	}
}

func TestReadTime(t *testing.T) {
	t.Parallel()
	chicago := mustZone(t, "America/Chicago")
	for in, want := range map[string]string{
		`"2026-12-07T10:00:00+05:30"`:          "2026-12-07T10:00:00+05:30",
		`"2026-12-07T10:00:00+0530"`:           "2026-12-07T10:00:00+05:30",
		`"2026-12-07T10:00:00-08"`:             "2026-12-07T10:00:00-08:00",
		`"2026-12-07T10:00:00 +05:30"`:         "2026-12-07T10:00:00+05:30",
		`"2026-12-07T10:00:00Z"`:               "2026-12-07T10:00:00Z",
		`"2026-12-07t10:00:00z"`:               "2026-12-07T10:00:00Z",
		`"2026-12-07T10:00:00+00:00"`:          "2026-12-07T10:00:00Z",
		`"2026-12-07T10:00:00.123Z"`:           "2026-12-07T10:00:00.123Z",
		`"2026-12-07T10:00:00,123Z"`:           "2026-12-07T10:00:00.123Z",
		`"2026-12-07T10:00:00.1234567891234Z"`: "2026-12-07T10:00:00.123456789Z",
		`"2026-12-07 9:05"`:                    "2026-12-07T09:05:00-06:00",
		`"2026-12-07T10:00Z"`:                  "2026-12-07T10:00:00Z",
		`"2026-12-07T10:00:00"`:                "2026-12-07T10:00:00-06:00",
		`"2026-07-07T10:00:00"`:                "2026-07-07T10:00:00-05:00",
		`"2026-12-07 10:00:00"`:                "2026-12-07T10:00:00-06:00",
		`"2026-12-07 10:00:00.5"`:              "2026-12-07T10:00:00.5-06:00",
		`" 2026-12-07T10:00 "`:                 "2026-12-07T10:00:00-06:00",
		`"2026-12-07"`:                         "2026-12-07T00:00:00-06:00",
		`"2028-02-29T00:00:00Z"`:               "2028-02-29T00:00:00Z",
		`"2016-12-31T23:59:60Z"`:               "2016-12-31T23:59:59.999999999Z",
		`1795145000`:                           "2026-11-20T03:23:20Z",
		`1795145000.25`:                        "2026-11-20T03:23:20.25Z",
		`1795145000123`:                        "2026-11-20T03:23:20.123Z",
		`"1795145000"`:                         "2026-11-20T03:23:20Z",
		`"1795145000123"`:                      "2026-11-20T03:23:20.123Z",
		`"2027-02-29T00:00:00Z"`:               "",
		`"2026-13-07T10:00:00Z"`:               "",
		`"2026-00-07T10:00:00Z"`:               "",
		`"2026-12-32T10:00:00Z"`:               "",
		`"2026-12-00T10:00:00Z"`:               "",
		`"2026-12-07T24:00:00Z"`:               "",
		`"2026-12-07T10:60:00Z"`:               "",
		`"2026-12-07T10:00:61Z"`:               "",
		`"2026-12-07T10:00:00+24:00"`:          "",
		`"2026-12-07T10:00:00+05:3"`:           "",
		`"2026-12-07T10:00:00Zjunk"`:           "",
		`"2026-12-07T10:00:00."`:               "",
		`"2026-12-07T"`:                        "",
		`"2026-12"`:                            "",
		`"0001-01-01T00:00:00Z"`:               "", // the zero time of some languages
		`"0000-00-00 00:00:00"`:                "",
		`"07/12/2026 10:00"`:                   "",
		`"1e9"`:                                "",
		`0`:                                    "",
		`-5`:                                   "",
		`1e400`:                                "",
		`99999999999999999999`:                 "",
		`true`:                                 "",
		`null`:                                 "",
		`{}`:                                   "",
	} {
		got, ok := readTime(gjson.Parse(in), chicago)
		if ok != (want != "") || ok && got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %v, %v; want %q", in, got, ok, want)
		}
		if got.Location() == time.Local {
			t.Errorf("%s: in the machine's zone", in)
		}
	}
}

// parseTime reads every RFC 3339 time as package time does.
func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2026-12-07T10:00:00+05:30", "2026-12-07T10:00:00.5Z", "2026-02-30T10:00:00Z", "2026-12-07T10:00:00"} {
		f.Add(s)
	}
	odd := regexp.MustCompile(`[+-](24:..|..:60)$`) // offsets that only package time accepts
	f.Fuzz(func(t *testing.T, s string) {
		if odd.MatchString(s) {
			return
		}
		got, ok := parseTime(s, time.UTC)
		want, err := time.ParseInLocation(time.RFC3339, s, time.UTC)
		if err == nil && want.Year() > 1 && (!ok || !got.Equal(want)) {
			t.Errorf("%q: got %v, %v; want %v", s, got, ok, want)
		}
	})
}

func TestNormaliseZone(t *testing.T) {
	t.Parallel()
	const naive = `"2026-12-07T10:00:00"`
	for _, c := range []struct{ name, body, want string }{
		{"configured", `{"type":"AppointmentCreate","appointment":{"id":"a","startTime":` + naive + `}}`, "10:00 +0530"},
		{"the appointment's", `{"type":"AppointmentCreate","appointment":{"id":"a","startTime":` + naive + `,"timezone":"America/Chicago"}}`, "10:00 -0600"},
		{"the payload's", `{"type":"AppointmentCreate","timezone":"America/Chicago","appointment":{"id":"a","startTime":` + naive + `}}`, "10:00 -0600"},
		{"selected", `{"calendar":{"appointmentId":"a","startTime":` + naive + `,"selectedTimezone":"America/Chicago"}}`, "10:00 -0600"},
		{"not the contact's", `{"timezone":"America/Chicago","calendar":{"appointmentId":"a","startTime":` + naive + `}}`, "10:00 +0530"},
		{"unknown", `{"calendar":{"appointmentId":"a","startTime":` + naive + `,"selectedTimezone":"Mars/Base"}}`, "10:00 +0530"},
		{"never the machine's", `{"calendar":{"appointmentId":"a","startTime":` + naive + `,"selectedTimezone":"Local"}}`, "10:00 +0530"},
		{"no path", `{"calendar":{"appointmentId":"a","startTime":` + naive + `,"selectedTimezone":"../../etc/passwd"}}`, "10:00 +0530"},
	} {
		n := Normaliser{Zone: mustZone(t, "Asia/Kolkata")}
		for range 2 { // the second time, the zone is in the cache
			ev, err := n.Event("hoopai", []byte(c.body), received)
			if err != nil {
				t.Fatal(err)
			}
			if got := ev.Appointment.StartTime.Format("15:04 -0700"); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
	}
}

func TestNormaliseText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"\"a\xffb\"":           "a\uFFFDb",
		"\"\xed\xa0\x80\"":     "\uFFFD", // a surrogate encoded as UTF-8
		"\"\xc0\x80\"":         "\uFFFD",
		`"\ud83d\udcc5"`:       "📅",
		`"\ud83d"`:             "\uFFFD",
		`"\udcc5x"`:            "\uFFFDx",
		`"\ud83d\u0041"`:       "\uFFFDA",
		`"\uD83D\uD83D\uDCC5"`: "\uFFFD📅",
		`"\u0000x\u0000"`:      "\uFFFDx\uFFFD",
		`"a\u2028b\u2029"`:     "a\u2028b\u2029",
		`"\"\\\/\b\f\n\r\t"`:   "\"\\/\b\f\n\r\t",
		`12345678901234567890`: "12345678901234567890",
		`-1.5e+300`:            "-1.5e+300",
		`"` + strings.Repeat("x", 1<<20-100) + `"`: strings.Repeat("x", 1<<20-100),
	} {
		ev := mustNormalise(t, `{"type":"AppointmentCreate","appointment":{"id":"a1","title":`+in+`}}`)
		if ev.Appointment.Title != want {
			t.Errorf("%.60q: %.60q, want %.60q", in, ev.Appointment.Title, want)
		}
		if !json.Valid(ev.Body) || !utf8.Valid(ev.Body) {
			t.Errorf("%.60q: the body kept is not valid JSON in valid UTF-8", in)
		}
	}
}

// Reading a body of about 1 MiB takes at most 80 MiB of memory, whatever the body contains.
func TestNormaliseMemory(t *testing.T) {
	for name, body := range map[string]string{
		"deep lists":     `{"appointment":` + strings.Repeat(`[`, 1<<20-20),
		"deep objects":   strings.Repeat(`{"data":`, 1<<17),
		"many keys":      `{"type":"AppointmentCreate","appointment":{"id":"a"` + strings.Repeat(`,"title":"xxxxxxxx"`, 50_000) + `}}`,
		"many users":     `{"type":"AppointmentCreate","appointment":{"id":"a","users":["u"` + strings.Repeat(`,"u"`, 250_000) + `]}}`,
		"escaped text":   `{"type":"AppointmentCreate","appointment":{"id":"a","title":"` + strings.Repeat(`\ud83d`, 170_000) + `"}}`,
		"invalid UTF-8":  `{"type":"AppointmentCreate","appointment":{"id":"a","title":"` + strings.Repeat("a\xff", 500_000) + `"}}`,
		"a huge number":  `{"type":"AppointmentCreate","timestamp":` + strings.Repeat("9", 1<<20-100) + `,"appointment":{"id":"a"}}`,
		"huge custom":    `{"customData":{"x":[0` + strings.Repeat(`,0`, 500_000) + `]},"calendar":{"appointmentId":"a"}}`,
		"short customs":  `{"customData":{"x":[0` + strings.Repeat(`,[]`, 300_000) + `]},"calendar":{"appointmentId":"a"}}`,
		"many tags":      `{"tags":"` + strings.Repeat("a,", 500_000) + `","calendar":{"appointmentId":"a"}}`,
		"contact fields": `{"contact":{` + strings.Repeat(`"email":"x",`, 80_000) + `"id":"c"},"appointment":{"id":"a"}}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = Normalise("hoopai", []byte(body), received, nil)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 80<<20 {
			t.Errorf("%s: %d MiB for a body of 1 MiB", name, used>>20)
		} else {
			t.Logf("%s: %d KiB", name, used>>10)
		}
	}
}

func FuzzNormalise(f *testing.F) {
	files, err := filepath.Glob(eventFiles)
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`{"type":"AppointmentCreate","appointment":{"id":"\ud800","users":[{"id":1},[]],"startTime":1e308}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		ev, err := Normalise("hoopai", body, received, nil)
		valid := json.Valid(bytes.ToValidUTF8(bytes.TrimPrefix(body, []byte("\uFEFF")), []byte("\uFFFD")))
		if err != nil {
			var object map[string]json.RawMessage
			if valid && !tooDeep(body) && json.Unmarshal(body, &object) == nil && object != nil {
				t.Fatalf("refused a JSON object: %v", err)
			}
			return
		}
		if !valid {
			t.Fatal("accepted what is not JSON")
		}
		if !json.Valid(ev.Body) || !utf8.Valid(ev.Body) {
			t.Fatal("the body kept is not valid JSON in valid UTF-8")
		}
		var kept map[string]any
		if err := json.Unmarshal(ev.Body, &kept); err != nil && !strings.Contains(err.Error(), "cannot unmarshal number") {
			t.Fatalf("the body kept is no object: %v", err)
		}
		a := ev.Appointment
		for _, s := range append([]string{
			ev.Type, ev.LocationID, ev.WebhookID, a.ID, a.Address, a.Title, a.CalendarID, a.ContactID, a.GroupID, a.AppointmentStatus,
			a.AssignedUserID, a.Notes, a.Source, ev.Contact.ID, ev.Contact.Name, ev.Contact.FirstName, ev.Contact.LastName,
			ev.Contact.Email, ev.Contact.Phone, ev.Contact.Timezone,
		}, append(a.Users, ev.Contact.Tags...)...) {
			if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
				t.Fatalf("a text is not fit to keep: %q", s)
			}
		}
		if (a.ID == "") != (ev.Given == 0) || (a.ID == "" && !reflect.DeepEqual(a, rules.Appointment{})) {
			t.Fatalf("an appointment without an id, or the other way round: %+v, given %b", a, ev.Given)
		}
		for field, at := range map[string]time.Time{
			"startTime": a.StartTime, "endTime": a.EndTime, "dateAdded": a.DateAdded, "dateUpdated": a.DateUpdated,
		} {
			if ev.Given.Has(field) == at.IsZero() {
				t.Fatalf("%s is %v but given is %v", field, at, ev.Given.Has(field))
			}
		}
		// The body of the event can be read again, with the same result.
		again, err := Normalise("hoopai", ev.Body, received, nil)
		if err != nil {
			t.Fatalf("the body kept is refused: %v", err)
		}
		if !reflect.DeepEqual(goldenOf(again), goldenOf(ev)) {
			t.Fatalf("the body kept reads differently:\n%+v\n%+v", goldenOf(again), goldenOf(ev))
		}
	})
}

func BenchmarkNormalise(b *testing.B) {
	for _, name := range []string{"create", "workflow"} {
		body, err := os.ReadFile("../../testdata/events/" + name + ".json")
		if err != nil {
			b.Fatal(err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, body); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			n := &Normaliser{}
			b.SetBytes(int64(compact.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := n.Event("hoopai", compact.Bytes(), received); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
