package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/rules/text"
)

// changing returns a version of a file. Its rules may have names of other files, and send what other rules send.
func (d dice) changing(t *testing.T, path string) *File {
	t.Helper()
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range d.IntN(4) {
		name := fmt.Sprint(path, " ", i)
		if d.IntN(12) == 0 {
			name = d.of("a 0", "b 1", "taken")
		}
		fmt.Fprintf(&b, "  - name: %s\n    on: [%s]\n    enabled: %v\n    mode: %s\n    when: '%s && %s'\n    then: [", name,
			d.of("booked", "cancelled", "[booked, cancelled]"), d.IntN(9) > 0, d.of("live", "live", "shadow"),
			d.of(`appointment.title == "a"`, `appointment.title == "ab"`, "true"), d.of(`locationId == "a"`, `locationId in ["a", "b"]`, `"vip" in contact.tags`, "true"))
		for range 1 + d.IntN(2) {
			fmt.Fprintf(&b, "{slack: {channel: %s, text: same}}, ", d.of("a", "a", "b"))
		}
		b.WriteString("]" + d.of("", "", " # bellhop: ignore same-send") + "\n")
	}
	src := strings.ReplaceAll(strings.ReplaceAll(b.String(), "[[", "["), "]]\n    enabled", "]\n    enabled")
	f, findings := Compile(path, []byte(src), Options{Connections: map[string]string{"slack": "slack"}})
	if f == nil && !slices.ContainsFunc(findings, func(f text.Finding) bool { return f.Code == "duplicate-rule" || f.Code == "type" }) {
		t.Fatal(findings, src)
	}
	return f
}

// A set that was made from the one before is the same as one that was made anew: the same findings, the same rules in the
// same order, the same matches.
func TestChanged(t *testing.T) {
	t.Parallel()
	d := dice{rand.New(rand.NewPCG(5, 6))}
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	codes := map[string]int{}
	for range 60 {
		set, _ := NewSet(nil)
		var files []*File
		for range 40 {
			switch i := d.IntN(max(1, len(files))); {
			case len(files) < 6 || d.IntN(3) == 0 && len(files) < 30:
				files = append(files, d.changing(t, fmt.Sprint(string(rune('a'+len(files))))))
			case d.IntN(8) == 0: // gone
				files = slices.Delete(slices.Clone(files), i, i+1)
			case d.IntN(8) == 0: // another order
				files = slices.Clone(files)
				k := d.IntN(len(files))
				files[i], files[k] = files[k], files[i]
			default: // saved, and so the last
				f := d.changing(t, files[i].Path)
				if f != nil {
					files = append(slices.Delete(slices.Clone(files), i, i+1), f)
				}
			}
			files = slices.DeleteFunc(slices.Clone(files), func(f *File) bool { return f == nil })
			var got, want []text.Finding
			set, got = set.Changed(files)
			anew, want := NewSet(files)
			if !slices.Equal(got, want) {
				t.Fatalf("the findings are\n%v\nnot\n%v", got, want)
			}
			for _, f := range got {
				codes[f.Code]++
			}
			if !slices.Equal(set.rules, anew.rules) {
				t.Fatalf("the rules are not the same: %d, %d", len(set.rules), len(anew.rules))
			}
			for i, rule := range set.rules {
				if set.named(rule.Name) != set.rules[i] {
					t.Fatalf("%q is not found by its name", rule.Name)
				}
			}
			for range 5 {
				ev := d.indexedEvent(now)
				ev.On = []string{ev.Type, d.of("booked", "cancelled")}
				if got, want := matched(set, ev, now), matched(anew, ev, now); !slices.Equal(got, want) {
					t.Fatalf("%q match, not %q", got, want)
				}
			}
		}
	}
	if codes["same-send"] < 100 || codes["duplicate-rule"] < 100 || codes["ignore"] < 100 {
		t.Errorf("the findings were %v", codes)
	}
}

// What it takes to replace a file does not grow with the number of other files, except for a few long lists.
func TestChangedAllocates(t *testing.T) {
	var allocs []float64
	for _, n := range []int{10, 1_000} {
		files := make([]*File, n)
		for i := range files {
			files[i] = &File{Path: fmt.Sprint(i), Rules: manyIndexed(t, 20)}
			for k, rule := range files[i].Rules {
				rule.Name = fmt.Sprint(i, " ", k)
				rule.sends = []sendKey{{1, 1}}
				rule.asks = []uint64{1, 1, uint64(i*100 + k)}
			}
		}
		set, _ := NewSet(files)
		saved := &File{Path: "saved", Rules: manyIndexed(t, 20)}
		after := append(slices.Clone(files[:n-1]), saved)
		allocs = append(allocs, testing.AllocsPerRun(10, func() { set.Changed(after) }))
	}
	if allocs[1] > 2*allocs[0] || allocs[0] > 400 {
		t.Errorf("%v allocations", allocs)
	}
}
