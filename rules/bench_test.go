package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"bellhop/rules"
)

// manyRules returns a file of n rules, each for another calendar.
func manyRules(n int) string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range n {
		fmt.Fprintf(&b, `  - name: rule %d
    on: [booked, rescheduled]
    when: appointment.calendarId == "cal%d" && appointment.appointmentStatus == "confirmed" && appointment.startTime > now()
    let: { day: 'date(appointment.startTime, "Mon 2 Jan 15:04")' }
    then:
      - slack: { channel: "#desk", text: "New: {{ appointment.title }} on {{ day }}" }
`, i, i)
	}
	return b.String()
}

func BenchmarkCompile(b *testing.B) {
	src := []byte(manyRules(100))
	b.ReportAllocs()
	for b.Loop() {
		if f, findings := rules.Compile("bench.yaml", src, options()); f == nil {
			b.Fatal(findings)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/100, "µs/rule")
}

// BenchmarkMatch matches one event against 100 rules, of which one fires.
func BenchmarkMatch(b *testing.B) {
	f, findings := rules.Compile("bench.yaml", []byte(manyRules(100)), options())
	if f == nil {
		b.Fatal(findings)
	}
	set, _ := rules.NewSet([]*rules.File{f})
	ev := booking()
	b.ReportAllocs()
	for b.Loop() {
		set.Match(ev, noon)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/rule")
}
