package rules

import (
	"strings"
	"testing"
	"time"
)

// A value of a payload fills one segment or one parameter of an address, and adds no others.
func TestAddressesAreEscaped(t *testing.T) {
	t.Parallel()
	const hostile = "a/../../admin?x=1&y=2#z"
	for template, want := range map[string]string{
		`url: "https://api.example.com/appointments/{{ appointment.title }}"`:         `https://api.example.com/appointments/a%2F..%2F..%2Fadmin%3Fx=1&y=2%23z`,
		`url: "https://api.example.com/find?q={{ appointment.title }}&b=1"`:           `https://api.example.com/find?q=a%2F..%2F..%2Fadmin%3Fx%3D1%26y%3D2%23z&b=1`,
		`url: "https://api.example.com/{{ locationId }}/{{ appointment.title }}/end"`: `https://api.example.com/0007BWpSzSwfiuSl0tR2/a%2F..%2F..%2Fadmin%3Fx=1&y=2%23z/end`,
		`url: "{{ appointment.address }}"`:                                            `https://api.example.com/as/it/is?a=b`,
	} {
		text := "rules:\n  - name: r\n    on: booked\n    then:\n      - http:\n          " + template + "\n"
		file, findings := Compile("a.yaml", []byte(text), Options{})
		if file == nil {
			t.Fatalf("%s: %v", template, findings)
		}
		set, _ := NewSet([]*File{file})
		matches := set.Match(&Event{
			Type: Create, On: []string{Create, Booked}, LocationID: "0007BWpSzSwfiuSl0tR2",
			Appointment: Appointment{Title: hostile, Address: "https://api.example.com/as/it/is?a=b"},
		}, time.Time{})
		if len(matches) != 1 || matches[0].Err != nil || matches[0].Steps[0].Err != nil {
			t.Fatalf("%s: %+v", template, matches)
		}
		if got := strings.ReplaceAll(string(matches[0].Steps[0].Request), `\u0026`, "&"); !strings.Contains(got, `"`+want+`"`) {
			t.Errorf("%s\ngot  %s\nwant %s", template, got, want)
		}
	}
}
