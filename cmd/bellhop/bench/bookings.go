package bench

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// guests are the appointments of one connection. Its webhooks are sent one after the other, so that the events of an
// appointment come in their order.
type guests struct {
	*bench
	open []appointment
}

// maxOpen limits the appointments of a connection that can still change.
const maxOpen = 500

type appointment struct {
	id       string
	location int
	start    time.Time
}

// next makes the webhook n of the run: of ten, about six book, three move an appointment and one cancels it. accepted
// must be called if the server acknowledges it.
func (g *guests) next(n int) (body []byte, accepted func()) {
	at := rand.IntN(10)
	if at < 6 && len(g.open) < maxOpen || len(g.open) == 0 {
		a := appointment{fmt.Sprintf("%s-%d", g.run, n), rand.IntN(g.Locations), soon()}
		return g.webhook(n, "AppointmentCreate", "confirmed", a), func() { g.open = append(g.open, a) }
	}
	i := rand.IntN(len(g.open))
	a := g.open[i]
	last := len(g.open) - 1
	if at == 9 || len(g.open) == maxOpen {
		return g.webhook(n, "AppointmentUpdate", "cancelled", a), func() { g.open[i], g.open = g.open[last], g.open[:last] }
	}
	for moved := soon(); ; moved = soon() {
		if !moved.Equal(a.start) {
			a.start = moved
			return g.webhook(n, "AppointmentUpdate", "confirmed", a), func() { g.open[i] = a }
		}
	}
}

// soon returns a time in the next three months, at a full quarter of an hour.
func soon() time.Time {
	return time.Now().UTC().Truncate(15 * time.Minute).Add(time.Duration(4+rand.IntN(90*24*4)) * 15 * time.Minute)
}

func locationID(n int) string { return fmt.Sprintf("bench-location-%d", n) }

// webhook returns a webhook as the platform documents it.
func (g *guests) webhook(n int, kind, status string, a appointment) []byte {
	user := fmt.Sprintf("bench-user-%d", a.location)
	body, err := json.Marshal(map[string]any{
		"type": kind, "locationId": locationID(a.location), "webhookId": fmt.Sprintf("%s-webhook-%d", g.run, n), "timestamp": time.Now().UTC(),
		"appointment": map[string]any{
			"id": a.id, "address": "12 Example Street", "title": fmt.Sprintf("%s %d", g.run, n),
			"calendarId": fmt.Sprintf("bench-calendar-%d", a.location), "contactId": "bench-contact", "appointmentStatus": status,
			"assignedUserId": user, "users": []string{user}, "notes": "Asks for a quiet room, if there is one.", "source": "booking_widget",
			"startTime": a.start, "endTime": a.start.Add(30 * time.Minute), "dateUpdated": time.Now().UTC(),
		},
	})
	if err != nil {
		panic(err) // it is texts and times of this century
	}
	return body
}

// rulesEach is how many rules one file has.
const rulesEach = 100

// Rules returns rule files for the server: one rule for each location, and further ones for locations from which nothing
// comes, up to n. Each event applies to one rule, which calls the sink.
func Rules(locations, n int) [][]byte {
	var files [][]byte
	n = max(locations, n)
	for from := 0; from < n; from += rulesEach {
		files = append(files, rulesFrom(from, min(from+rulesEach, n)))
	}
	return files
}

func rulesFrom(from, to int) []byte {
	var b strings.Builder
	b.WriteString("# Written by bellhop bench.\nrules:\n")
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, `  - name: bench %d
    on: [booked, rescheduled, cancelled]
    when: locationId == %q && appointment.calendarId == "bench-calendar-%d"
    let: { words: 'split(appointment.title, " ")' }
    then:
      - http:
          connection: bench
          path: /bench
          json: { run: '{{ words[0] ?? "" }}', n: '{{ int(words[1] ?? "-1") }}', start: "{{ appointment.startTime }}", status: "{{ appointment.appointmentStatus }}" }
`, i, locationID(i), i)
	}
	return []byte(b.String())
}
