package rules

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// A digest is what is known of a file after it was checked: its findings, and what rules are searched and compared by.
// It is a text of numbers and texts, each text with its length before it.

// Digest returns what [Recall] needs to make the file again without checking it. findings are those of [Compile].
func (f *File) Digest(findings []text.Finding) (string, error) {
	if f.people != nil {
		return "", errors.New("people are read from the file itself")
	}
	w := &digestWriter{out: make([]byte, 0, 256*(1+len(f.Rules)))}
	w.json(findings)
	w.json(f.ignores)
	w.json(f.only)
	w.json(f.borrowed)
	w.number(len(f.Rules))
	for _, rule := range f.Rules {
		w.text(rule.Name)
		w.text(rule.Description)
		w.text(strings.Join(rule.On, ","))
		for _, flag := range []bool{rule.Enabled, rule.Shadow, rule.cancelled} {
			w.flag(flag)
		}
		at := rule.text.lines
		for _, n := range []int{rule.line, rule.column, rule.endLine, rule.endColumn, at.From, at.To, at.Above} {
			w.number(n)
		}
		w.number(len(rule.needs))
		for _, need := range rule.needs {
			w.number(len(need))
			for _, a := range need {
				l := a.Lookup.Value()
				w.number(int(l.Test))
				w.text(l.Field)
				w.text(a.Text)
			}
		}
		w.number(len(rule.asks))
		for _, n := range rule.asks {
			w.hash(n)
		}
		w.number(len(rule.sends))
		for _, key := range rule.sends {
			w.hash(key.high)
			w.hash(key.low)
		}
	}
	return string(w.out), w.err
}

// Recall makes a file from its digest, as [Compile] did from the same path, data and options in the same program. An
// error says that the digest cannot be used.
func Recall(path string, data []byte, digest string, o Options) (*File, []text.Finding, error) {
	r := &digestReader{rest: digest}
	var findings []text.Finding
	r.json(&findings)
	f := &File{Path: path}
	r.json(&f.ignores)
	r.json(&f.only)
	r.json(&f.borrowed)
	o.only = f.only
	in := &fileText{path: path, data: data, o: o}
	rules := make([]Rule, r.count())
	f.Rules = make([]*Rule, len(rules))
	ons := map[string][]string{}
	for i := range rules {
		rule := &rules[i]
		f.Rules[i] = rule
		rule.Name, rule.Description, rule.File = r.text(), r.text(), path
		on := r.text()
		if ons[on] == nil {
			ons[on] = strings.Split(on, ",")
		}
		rule.On = ons[on]
		for _, only := range f.only {
			rule.only = append(rule.only, only.Name)
		}
		rule.Enabled, rule.Shadow, rule.cancelled = r.flag(), r.flag(), r.flag()
		rule.line, rule.column, rule.endLine, rule.endColumn = r.number(), r.number(), r.number(), r.number()
		rule.text.in = in
		at := &rule.text.lines
		at.From, at.To, at.Above = r.number(), r.number(), r.number()
		if at.From < 0 || at.From > at.To || at.To > len(data) {
			r.fail()
			break
		}
		if at.To == 0 {
			in.rules = f.Rules
		}
		rule.recallNeeds(r)
	}
	if r.err != nil || r.rest != "" {
		return nil, nil, fmt.Errorf("the digest of %s: %w", path, errDigest)
	}
	return f, findings, nil
}

// recallNeeds reads what the rule is searched and compared by.
func (rule *Rule) recallNeeds(r *digestReader) {
	if n := r.count(); n > 0 {
		rule.needs = make([]lang.Need, n)
	}
	for i := range rule.needs {
		need := make(lang.Need, r.count())
		for j := range need {
			test := lang.Test(r.number())
			field := r.text()
			need[j] = lang.AlternativeOf(test, field, r.text())
		}
		rule.needs[i] = need
	}
	if n := r.count(); n > 0 {
		rule.asks = make(lang.Asks, n)
	}
	for i := range rule.asks {
		rule.asks[i] = r.hash()
	}
	rule.sends = make([]sendKey, r.count())
	for i := range rule.sends {
		rule.sends[i] = sendKey{r.hash(), r.hash()}
	}
}

var errDigest = errors.New("it cannot be read")

type digestWriter struct {
	out []byte
	err error
}

func (w *digestWriter) number(n int) {
	w.out = append(strconv.AppendInt(w.out, int64(n), 10), ' ')
}

func (w *digestWriter) hash(n uint64) {
	w.out = append(strconv.AppendUint(w.out, n, 36), ' ')
}

// text writes a text. The whole must be text for every database, so parts of characters and zero bytes are spelt out.
func (w *digestWriter) text(s string) {
	if !utf8.ValidString(s) || strings.Contains(s, "\x00") {
		s = hex.EncodeToString([]byte(s))
		w.number(-1)
	}
	w.number(len(s))
	w.out = append(w.out, s...)
}

func (w *digestWriter) flag(b bool) {
	if b {
		w.number(1)
	} else {
		w.number(0)
	}
}

func (w *digestWriter) json(v any) {
	data, err := json.Marshal(v)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.text(string(data))
}

// A digestReader reads what a digestWriter wrote. Its texts are parts of the digest.
type digestReader struct {
	rest string
	err  error
}

func (r *digestReader) fail() {
	r.rest, r.err = "", errDigest
}

func (r *digestReader) word() string {
	word, rest, ok := strings.Cut(r.rest, " ")
	if !ok {
		r.fail()
		return "0"
	}
	r.rest = rest
	return word
}

func (r *digestReader) number() int {
	n, err := strconv.Atoi(r.word())
	if err != nil {
		r.fail()
	}
	return n
}

// count is the number of something of which each takes at least one byte.
func (r *digestReader) count() int {
	n := r.number()
	if n < 0 || n > len(r.rest) {
		r.fail()
		return 0
	}
	return n
}

func (r *digestReader) hash() uint64 {
	n, err := strconv.ParseUint(r.word(), 36, 64)
	if err != nil {
		r.fail()
	}
	return n
}

func (r *digestReader) text() string {
	before := r.rest
	if r.number() == -1 {
		s, err := hex.DecodeString(r.plain())
		if err != nil {
			r.fail()
		}
		return string(s)
	}
	if r.err == nil {
		r.rest = before
	}
	return r.plain()
}

func (r *digestReader) plain() string {
	n := r.count()
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *digestReader) flag() bool { return r.number() == 1 }

func (r *digestReader) json(v any) {
	if s := r.text(); r.err == nil && json.Unmarshal([]byte(s), v) != nil {
		r.fail()
	}
}
