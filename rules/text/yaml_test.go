package text

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

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

// checkMapping checks what [Scalar.Span] promises: each byte of a text's value was read from the bytes of the file
// that it is mapped to.
func checkMapping(t *testing.T, data []byte) {
	t.Helper()
	var doc yaml.Node
	if yaml.Unmarshal(data, &doc) != nil {
		return
	}
	src := newSource("t.yaml", data)
	for _, n := range scalars(&doc) {
		txt := newScalar(src, n)
		whole := txt.whole()
		if whole.From < 0 || whole.To > len(src.data) || whole.From > whole.To {
			t.Fatalf("%q: %v lies outside the file", n.Value, whole)
		}
		if n.Value == "" {
			continue
		}
		if first := txt.Span(0, utf8.RuneLen([]rune(n.Value)[0])); txt.straight > 0 {
			if txt.spread(); first != (Span{txt.beg[0], txt.end[first.To-first.From-1]}) {
				t.Errorf("%q: its first character is mapped to %v", n.Value, first)
			}
		}
		if len(txt.beg) != len(n.Value) {
			t.Errorf("%q (style %d, line %d) is not found again in\n%q", n.Value, n.Style, n.Line, data)
			continue
		}
		last := 0
		for i := range len(n.Value) {
			s := Span{txt.beg[i], txt.end[i]}
			if s.From < last || s.To < s.From || s.To > whole.To && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
				t.Fatalf("%q: byte %d is mapped to %v after %d", n.Value, i, s, last)
			}
			last = s.From
			// A visible character of the value is written in the file as it is, or as an escape.
			raw := src.data[s.From:s.To]
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
		if len(data) > 4096 || !New("", "rule file", data, nil).readable() {
			return
		}
		checkMapping(t, data)
	})
}

func TestClosest(t *testing.T) {
	fields := []string{"id", "address", "title", "calendarId", "appointmentStatus", "users", "notes", "source", "startTime", "endTime"}
	t.Parallel()
	for word, want := range map[string]string{
		"titel": "title", "TITLE": "title", "start_time": "startTime", "starttime": "startTime", "strtTime": "startTime", "adress": "address", "xyz": "", "": "", "appointmentState": "appointmentStatus",
	} {
		if got := Closest(word, fields); got != want {
			t.Errorf("closest(%q) is %q, not %q", word, got, want)
		}
	}
}

func TestSlips(t *testing.T) {
	t.Parallel()
	for _, s := range slips {
		src := newSource("t.yaml", []byte(s.example))
		m, ok := suspect(src, 1)
		want, _ := s.in(s.example, 0)
		if !ok || m.message != want.message {
			t.Errorf("%q: %q, want %q", s.example, m.message, want.message)
			continue
		}
		if got := string(src.with(m.at, m.mends[0]).data); got != s.meant {
			t.Errorf("%q becomes %q, want %q", s.example, got, s.meant)
		}
	}
}
