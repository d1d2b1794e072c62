package rules

import (
	"bytes"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// scalars lists the texts of a document, keys included.
func scalars(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.ScalarNode {
		return []*yaml.Node{n}
	}
	var out []*yaml.Node
	for _, c := range n.Content {
		out = append(out, scalars(c)...)
	}
	return out
}

// mappedTexts are documents with texts in every style.
var mappedTexts = []string{
	"  - |\n  - >1\n  - >+\n\n  - >1\n  ",
	"a: plain text\nb: 'single ''quoted'' text'\nc: \"double \\\"quoted\\\" \\u00e9\\t\\x41\\U0001F600 text\"\n",
	"a: |\n  one\n   two\n\n  three\nb: |-\n  x\nc: |+\n  x\n\n\nd: |2\n   x\n  y\ne: >\n  folded\n  text\n\n  new\n    more\n    indented\n  back\n\n\nf: >-\n  a\n  b\ng: >+\n  a\n\n",
	"a: plain over\n  two lines\n\n  and a third\nb: 'single over\n\n\n  lines ''x''  '\nc: \"double \\\n  over  \n  lines\n\n  \\  end\"\n",
	"- [a, 'b', \"c\", {d: e f, \"g\": h}]\n- &x |\n  anchored\n- !!str 5\n- &y !!str 'tagged'\n- !!str\n  later\n- &z # comment\n  \"after a comment\"\n",
	"é: 日本 語 text\nü: \"日\\n本\"\nk: |\n  日本\n\tx\n",
	"a: |\r\n  one\r\n  two\r\nb: >\r\n  x\r\n  y\r\nc: \"a\r\n  b\"\r\nd: plain\r\n  more\r\n",
	"a: x\u0085b: y\u2028c: \"d\u2029  e\"\n",
	"a:\n  - |\n    deep\n     er\n  - >2\n      in\n      dented\n  - |1\n     x\n",
	"a: |\n\n\n  leading\n\n \n  trailing\n \nb: ''\nc: \"\"\nd:\n",
	"\xef\xbb\xbfa: \"b\"\n",
	"a: # no value\nb: |  # comment\n  text # not a comment\n",
	"? |\n  key\n: value\n",
	"a: 'x\n  \n  y'\nb: \"x\t\n\ty\"\n",
	"&AAA?AA",
	"a: >\n\n  x\n  y\n\n\n   z\n  w\n",
}

// checkMapping holds what text.span promises: for every text of the document, each byte of the value was read
// from the bytes of the file that it is mapped to.
func checkMapping(t *testing.T, data []byte) {
	t.Helper()
	var doc yaml.Node
	if yaml.Unmarshal(data, &doc) != nil {
		return
	}
	src := newSource("t.yaml", data)
	for _, n := range scalars(&doc) {
		txt := newText(src, n)
		whole := txt.whole()
		if whole.from < 0 || whole.to > len(src.data) || whole.from > whole.to {
			t.Fatalf("%q: %v lies outside the file", n.Value, whole)
		}
		if n.Value == "" {
			continue
		}
		if len(txt.beg) != len(n.Value) {
			t.Errorf("%q (style %d, line %d) is not found again in\n%q", n.Value, n.Style, n.Line, data)
			continue
		}
		last := 0
		for i := range len(n.Value) {
			s := span{txt.beg[i], txt.end[i]}
			if s.from < last || s.to < s.from || s.to > whole.to && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
				t.Fatalf("%q: byte %d is mapped to %v after %d", n.Value, i, s, last)
			}
			last = s.from
			// A visible character of the value stands in the file as it is, or as an escape.
			raw := src.data[s.from:s.to]
			if c := n.Value[i]; c > ' ' && c < 0x7f && !bytes.Contains(raw, []byte{c}) && !bytes.HasPrefix(raw, []byte{'\\'}) {
				t.Fatalf("%q: byte %d (%q) is mapped to %q", n.Value, i, c, raw)
			}
		}
	}
}

func TestTextsAreMappedToTheFile(t *testing.T) {
	t.Parallel()
	for _, doc := range mappedTexts {
		checkMapping(t, []byte(doc))
		checkMapping(t, []byte("k:\n  "+strings.ReplaceAll(strings.TrimPrefix(doc, "\xef\xbb\xbf"), "\n", "\n  ")+"\n"))
	}
}

func FuzzMapping(f *testing.F) {
	for _, doc := range mappedTexts {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 || !readable(newSource("", data), &report{src: newSource("", data)}) {
			return
		}
		checkMapping(t, data)
	})
}

func TestClosest(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"titel": "title", "TITLE": "title", "start_time": "startTime", "starttime": "startTime", "strtTime": "startTime", "adress": "address", "xyz": "", "": "", "appointmentState": "appointmentStatus",
	} {
		if got := closest(word, AppointmentFields()); got != want {
			t.Errorf("closest(%q) is %q, not %q", word, got, want)
		}
	}
}

// The environment has every name that the checker lets pass, and nothing else.
func TestEnvironmentFitsItsTypes(t *testing.T) {
	t.Parallel()
	env := environment(newRun(&Event{}, (&Event{}).ReceivedAt))
	known := map[string]bool{runName: true}
	for name := range envVariables {
		known[name] = true
	}
	for object, fields := range envObjects {
		for field := range fields {
			known[object+"."+field] = true
		}
	}
	known["raw"] = false // decoded when asked for
	for name := range env {
		if !known[name] {
			t.Errorf("%s is in the environment and has no type", name)
		}
	}
	for name, wanted := range known {
		if _, ok := env[name]; wanted && !ok {
			t.Errorf("%s has a type and is not in the environment", name)
		}
	}
	for _, field := range AppointmentFields() {
		if _, ok := env["appointment."+field]; !ok {
			t.Errorf("appointment.%s is missing", field)
		}
	}
}

func TestMixedDigits(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{
		"2006-01-02", "20060102T150405Z0700", "Mon 2 Jan 15:04", "2.1.06", "3:04pm", "15:04:05.000", "2006-01-02T15:04:05.999999999-07:00", "002", "2006-01-02 09:00", "15:00", "-070000",
	} {
		if run, _ := mixedDigits(layout); run != "" {
			t.Errorf("%q: %q is no mistake", layout, run)
		}
	}
	for layout, want := range map[string]string{"2006-01-02T18:00": "18", "24h": "24", "2025-01-02": "2025", "30 Jan": "30", "12:04": "12", "2 Jan 1500": "1500"} {
		if run, _ := mixedDigits(layout); run != want {
			t.Errorf("%q: found %q, want %q", layout, run, want)
		}
	}
}

// A layout is mended only where it is one of another program, and its words are kept.
func TestLayouts(t *testing.T) {
	t.Parallel()
	for layout, want := range map[string]string{
		"D. MMMM YYYY, HH:mm Uhr":   "2. January 2006, 15:04 Uhr",
		"dd-MM-yyyy'T'HH:mm:ssZ":    "02-01-2006'T'15:04:05Z",
		"YYYYMMDDTHHmmss":           "20060102T150405",
		"%d/%m/%Y at %H:%M":         "02/01/2006 at 15:04",
		"ddd D MMM, h:mma":          "Mon 2 Jan, 3:04pm",
		"2. January, Zimmer 15":     "2. January, Zimmer 15",
		"Monday, Strasse":           "Monday, Strasse",
		"Mon 2 Jan, hall B":         "Mon 2 Jan, hall B",
		"2 Jan, comme d'habitude":   "2 Jan, comme d'habitude",
		"100 % sicher, 2. January":  "100 % sicher, 2. January",
		"15:04, add one":            "15:04, add one",
		"Monday":                    "Monday",
		"YYYY-MM-DD, im Zimmer":     "2006-01-02, im Zimmer",
		"02.01.2006 um 15:04 Uhr h": "02.01.2006 um 15:04 Uhr h",
	} {
		if got := fixLayout(layout); got != want {
			t.Errorf("%q: got %q, want %q", layout, got, want)
		}
	}
	for _, layout := range []string{"Monday", "Mon", "Monday at 3pm", "Monday, Zimmer 15", "January", "at 15", "06"} {
		src := "rules:\n- name: a\n  on: booked\n  then: [{slack: {channel: desk, text: '{{ date(appointment.startTime, \"" + layout + "\") }}'}}]"
		_, findings := Compile("t.yaml", []byte(src), Options{})
		for _, f := range findings {
			if f.Code != "connection" {
				t.Errorf("%q: %v", layout, f)
			}
		}
	}
}
