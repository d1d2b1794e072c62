package actions

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Field is one key of a step, read from the tags of its struct.
type Field struct {
	Name    string // the key
	Doc     string // one sentence for people
	Example string // a value as it would be written
	Type    reflect.Type

	Required  bool   // a step without it is an error
	Literal   bool   // fixed when the rule is loaded: no {{ }}
	Header    bool   // line breaks become a space
	Recipient bool   // rendering to nothing skips the step
	Internal  bool   // not a key of the rule file; filled by Prepare
	Escape    string // what values are escaped for; "" is nothing
}

// Fields lists the keys of the kind's steps, in the order of its struct. Internal fields are included.
func Fields(k Kind) []Field { return fieldsOf(reflect.TypeOf(k.New()).Elem()) }

func fieldsOf(t reflect.Type) []Field {
	var fields []Field
	for name, sf := range Keys(t) {
		is := func(key string) bool { return sf.Tag.Get(key) == "true" }
		fields = append(fields, Field{
			Name: name, Doc: sf.Tag.Get("doc"), Example: sf.Tag.Get("example"), Type: sf.Type,
			Required: is("required"), Literal: is("literal"), Header: is("header"), Recipient: is("recipient"),
			Internal: is("internal"), Escape: sf.Tag.Get("escape"),
		})
	}
	return fields
}

// Keys returns the fields of a struct that are keys of a file, each with its key.
func Keys(t reflect.Type) iter.Seq2[string, reflect.StructField] {
	return func(yield func(string, reflect.StructField) bool) {
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.IsExported() && name != "" && name != "-" && !yield(name, f) {
				return
			}
		}
	}
}

// A List is several texts. In JSON it is an array of texts, or one text with commas between them. Commas
// inside double quotes, angle brackets and {{ }} do not separate, because e-mail addresses and templates
// can contain them. Texts are trimmed and empty ones dropped.
type List []string

// UnmarshalJSON reads an array of texts as it is and splits one text at its commas.
func (l *List) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*l = SplitList(text)
		return nil
	}
	var texts []string
	if err := json.Unmarshal(data, &texts); err != nil {
		return fmt.Errorf("is neither a text nor a list of texts")
	}
	*l = nil
	for _, text := range texts {
		if text = strings.TrimSpace(text); text != "" {
			*l = append(*l, text)
		}
	}
	return nil
}

// SplitList splits a text at its commas, as described at [List].
func SplitList(text string) List {
	var list List
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	start, quoted, angled := 0, false, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case !quoted && strings.HasPrefix(text[i:], "{{"):
			end := template.FindString(text[i:])
			i += len(cmp.Or(end, text[i:])) - 1 // one without an end is all of the rest
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angled = true
		case c == '>':
			angled = false
		case c == ',' && !angled:
			add(text[start:i])
			start = i + 1
		}
	}
	add(text[start:])
	return list
}

// template matches a {{ }} at the beginning of a text. In its quotes, }} does not end it.
var template = regexp.MustCompile(`(?s)^\{\{(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|` + "`[^`]*`" + `|[^"'` + "`" + `])*?\}\}`)

// A Duration is a length of time, written with units: "30s", "1d12h". See [ParseDuration].
type Duration time.Duration

// UnmarshalJSON takes a text; a number has no unit and is an error.
func (d *Duration) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		text = string(data)
	}
	v, err := ParseDuration(text)
	*d = Duration(v)
	return err
}

// MarshalJSON writes what [Duration.String] returns.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// String writes the duration so that [ParseDuration] reads it back, to the millisecond.
func (d Duration) String() string {
	left := time.Duration(d).Round(time.Millisecond)
	if left <= 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range units {
		if n := left / u.length; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			left -= n * u.length
		}
	}
	return b.String()
}

type unit struct {
	name   string
	length time.Duration
}

// units are the units of durations, longest first.
var units = []unit{
	{"w", 7 * 24 * time.Hour},
	{"d", 24 * time.Hour},
	{"h", time.Hour},
	{"m", time.Minute},
	{"s", time.Second},
	{"ms", time.Millisecond},
}

// A DurationError is the error for a text that is not a duration. Suggestion is what was probably meant, "" if
// unclear.
type DurationError struct {
	Message    string
	Suggestion string
}

func (e *DurationError) Error() string { return e.Message }

// durationForm matches a duration. It has one group for the number of each of the units.
var durationForm = regexp.MustCompile(`^(?:([0-9.]+)w)?(?:([0-9.]+)d)?(?:([0-9.]+)h)?(?:([0-9.]+)m)?(?:([0-9.]+)s)?(?:([0-9.]+)ms)?$`)

// ParseDuration reads a duration such as "90m", "1d12h" or "1.5h": numbers with the units w, d, h, m, s and
// ms, the longer unit first, each once. A day is 24 hours. Its errors are [*DurationError].
func ParseDuration(text string) (time.Duration, error) {
	numbers := durationForm.FindStringSubmatch(text)
	if numbers == nil || text == "" {
		return 0, durationError(text)
	}
	var total float64
	for i, u := range units {
		if numbers[i+1] == "" {
			continue
		}
		number, err := strconv.ParseFloat(numbers[i+1], 64)
		if err != nil {
			return 0, durationError(text)
		}
		total += number * float64(u.length)
	}
	if total >= math.MaxInt64 {
		return 0, &DurationError{Message: fmt.Sprintf("%q is too long", text)}
	}
	return time.Duration(math.Round(total)), nil
}

// Other spellings of the units.
var unitWords = map[string]string{
	"ms": "ms", "msec": "ms", "millisecond": "ms", "s": "s", "sec": "s", "second": "s", "m": "m", "min": "m", "minute": "m",
	"h": "h", "hr": "h", "hour": "h", "d": "d", "day": "d", "w": "w", "wk": "w", "week": "w",
}

func durationError(text string) error {
	trimmed := strings.TrimSpace(text)
	if _, err := strconv.ParseFloat(trimmed, 64); err == nil && !strings.HasPrefix(trimmed, "-") {
		return &DurationError{Message: fmt.Sprintf("%q has no unit: write %ss, %sm, %sh, %sd or %sw", text, trimmed, trimmed, trimmed, trimmed, trimmed)}
	}
	if fixed := respell(trimmed); fixed != "" && fixed != text {
		if _, err := ParseDuration(fixed); err == nil {
			return &DurationError{Message: fmt.Sprintf("%q is not a duration: write %s", text, fixed), Suggestion: fixed}
		}
	}
	return &DurationError{Message: fmt.Sprintf("%q is not a duration: write a number and a unit (s, m, h, d, w), such as 90m or 1d12h", text)}
}

// spelledUnit matches the beginning of a text such as "1 day, 12 hrs": one number and its word.
var spelledUnit = regexp.MustCompile(`^[ ,]*([0-9.]+) *([^0-9. ,]+)`)

// respell turns "24 Hours" and "1 day, 12 hrs" into "24h" and "1d12h". It returns "" if a word is not a unit.
func respell(text string) string {
	fixed := ""
	for rest := strings.ToLower(text); rest != ""; {
		m := spelledUnit.FindStringSubmatch(rest)
		if m == nil {
			return ""
		}
		unit := cmp.Or(unitWords[m[2]], unitWords[strings.TrimSuffix(m[2], "s")])
		if unit == "" {
			return ""
		}
		fixed += m[1] + unit
		rest = rest[len(m[0]):]
	}
	return fixed
}
