package live

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"bellhop/rules"
	"bellhop/rules/text"
)

// manyFiles writes n rules, a hundred in a file, each for another calendar.
func manyFiles(tb testing.TB, n int) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	for from := 0; from < n; from += 100 {
		var b strings.Builder
		b.WriteString("rules:\n")
		for i := from; i < from+100; i++ {
			fmt.Fprintf(&b, `  - name: rule %d
    on: [booked, rescheduled]
    when: locationId == "loc%d" && appointment.calendarId == "cal%d" && appointment.startTime > now()
    let: { day: 'date(appointment.startTime, "Mon 2 Jan 15:04")' }
    then:
      - slack: { channel: "#desk %d", text: "New: {{ appointment.title }} on {{ day }}, {{ contact.name ?? \"nobody\" }}" }
`, i, i/10, i, i%50)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d.yaml", from/100)), []byte(b.String()), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func openMany(tb testing.TB, dir string, good Versions) *Folder {
	tb.Helper()
	o := rules.Options{Connections: map[string]string{"slack": "slack"}}
	f, err := Open(tb.Context(), Options{
		Dir: dir, Good: good, Compiler: Compiler{
			Stamp:   "program",
			Compile: func(path string, data []byte) (*rules.File, []text.Finding) { return rules.Compile(path, data, o) },
			Recall: func(path string, data []byte, digest string) (*rules.File, []text.Finding, error) {
				return rules.Recall(path, data, digest, o)
			},
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// BenchmarkOpen opens a folder of 10,000 rules: for the first time, and again when nothing has changed.
func BenchmarkOpen(b *testing.B) {
	const n = 10_000
	dir := manyFiles(b, n)
	each := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/rule")
	}
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			openMany(b, dir, newShelf())
		}
		each(b)
	})
	b.Run("warm", func(b *testing.B) {
		s := newShelf()
		openMany(b, dir, s)
		b.ReportAllocs()
		for b.Loop() {
			openMany(b, dir, s)
		}
		each(b)
	})
}

// What a rule keeps is little more than its text.
func TestBytesOfARule(t *testing.T) {
	const n = 2_000
	dir := manyFiles(t, n)
	heap := func() int {
		var m runtime.MemStats
		for range 3 { // what is shared is dropped one round after its last user
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	f := openMany(t, dir, nil)
	kept := heap() - before
	for _, fl := range f.files {
		kept -= fl.taken.size
	}
	if each := kept / n; each > 800 {
		t.Errorf("each rule keeps %d bytes besides its text", each)
	}
	runtime.KeepAlive(f)
}
