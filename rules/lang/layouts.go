package lang

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"bellhop/rules/text"
)

func (c *Checker) layout(s *ast.StringNode) bool {
	if fixed := fixLayout(s.Value); fixed != s.Value {
		c.FailAt(s, "layout", quoteLike(c.Source(s), fixed),
			"write a layout with the parts of Monday, 2 January 2006, 15:04:05: %s", text.Quote(fixed))
		return false
	}
	a := time.Date(2017, 3, 8, 19, 27, 43, 0, time.FixedZone("AAA", 3600))
	b := time.Date(1988, 11, 24, 8, 51, 12, 0, time.FixedZone("BBB", -7200)) // every part differs, and so does the day of the week
	if a.Format(s.Value) == b.Format(s.Value) {
		c.FailAt(s, "layout", "", `the layout %s prints the same for every time; write one with the parts of Monday, 2 January 2006, 15:04:05, such as "Mon 2 Jan 15:04"`, text.Quote(s.Value))
		return false
	}
	if run, part := mixedDigits(s.Value); run != "" {
		c.FailAt(s, "layout", "", "%s is not printed as it is, because %s in it stands for a part of the time (of Monday, 2 January 2006, 15:04:05); add a fixed text with +",
			text.Quote(run), part)
		return false
	}
	var word, part string
	fixed := layoutWords.ReplaceAllStringFunc(s.Value, func(w string) string {
		p := layoutName(w)
		if p == "" {
			return w
		}
		word, part = cmp.Or(word, w), cmp.Or(part, p)
		return p
	})
	if word != "" {
		c.WarnAt(s, "layout", quoteLike(c.Source(s), fixed),
			"%s is printed as it is; write %s there, which is printed in the configured language", text.Quote(word), part)
	}
	return true
}

// layoutName returns how a layout writes the name of a day or a month in any language. It returns "" if word is not
// such a name, or is right already.
func layoutName(word string) string {
	if utf8.RuneCountInString(word) < 4 || word == "Monday" || word == "January" {
		return ""
	}
	is := func(names []string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, word) })
	}
	if is(weekdays) {
		return "Monday"
	}
	for m := time.January; m <= time.December; m++ {
		if strings.EqualFold(m.String(), word) {
			return "January"
		}
	}
	for _, tag := range Languages() {
		switch l := FindLanguage(tag); {
		case l == nil:
		case is(l.days):
			return "Monday"
		case is(l.months):
			return "January"
		}
	}
	return ""
}

var (
	layoutDigits = regexp.MustCompile(`[0-9]+`)
	layoutPart   = regexp.MustCompile(`^(2006|002|0[1-7]|15|[1-5])`)
)

// mixedDigits finds digits in a layout of which only some stand for a part of the time, or of which one stands for a
// part that has a single digit: 18:00, 24h, 2025.
func mixedDigits(layout string) (run, part string) {
	for _, run := range layoutDigits.FindAllString(layout, -1) {
		literal, single, first := false, false, ""
		for rest := run; rest != ""; {
			p := layoutPart.FindString(rest)
			if p == "" {
				literal, rest = true, rest[1:]
				continue
			}
			first = cmp.Or(first, p)
			single = single || len(p) == 1
			rest = rest[len(p):]
		}
		if first != "" && run != "0700" && run != "070000" && (literal || single && len(run) > 1) {
			return run, first
		}
	}
	return "", ""
}

// fixLayout turns a layout of another program (YYYY-MM-DD, %Y-%m-%d) into one of Go's. Words that are text stay as
// they are.
func fixLayout(layout string) string {
	foreign := false
	fixed := layoutWords.ReplaceAllStringFunc(layout, func(word string) string {
		to, sure := fixLayoutWord(word)
		foreign = foreign || sure
		return to
	})
	if !foreign {
		return layout
	}
	return fixed
}

var (
	layoutWords   = regexp.MustCompile(`%[A-Za-z]|[\pL]+`)
	layoutPercent = map[string]string{
		"%Y": "2006", "%y": "06", "%m": "01", "%d": "02", "%e": "2", "%H": "15", "%I": "03", "%M": "04", "%S": "05", "%p": "PM",
		"%A": "Monday", "%a": "Mon", "%B": "January", "%b": "Jan", "%Z": "MST", "%z": "-0700", "%F": "2006-01-02", "%T": "15:04:05",
	}
	layoutLetters = []struct{ from, to string }{
		{"YYYY", "2006"}, {"yyyy", "2006"}, {"MMMM", "January"}, {"dddd", "Monday"}, {"EEEE", "Monday"}, {"MMM", "Jan"}, {"ddd", "Mon"}, {"EEE", "Mon"},
		{"YY", "06"}, {"yy", "06"}, {"MM", "01"}, {"DD", "02"}, {"dd", "02"}, {"HH", "15"}, {"hh", "03"}, {"mm", "04"}, {"ss", "05"},
		{"D", "2"}, {"d", "2"}, {"M", "1"}, {"H", "15"}, {"h", "3"}, {"m", "4"}, {"A", "PM"}, {"a", "pm"}, {"T", "T"}, {"Z", "Z"},
	}
)

// fixLayoutWord returns the Go layout for a word of another program's layout, and whether the word surely is one: a
// single letter may be text.
func fixLayoutWord(word string) (to string, sure bool) {
	if to, ok := layoutPercent[word]; ok {
		return to, true
	}
	rest := word
	for rest != "" {
		i := slices.IndexFunc(layoutLetters, func(l struct{ from, to string }) bool { return strings.HasPrefix(rest, l.from) })
		if i < 0 || strings.EqualFold(layoutLetters[i].from, "a") && len(rest) > 1 { // am or pm comes last
			return word, false
		}
		sure = sure || len(layoutLetters[i].from) > 1
		to += layoutLetters[i].to
		rest = rest[len(layoutLetters[i].from):]
	}
	if !sure && len(word) > 1 {
		return word, false
	}
	return to, sure
}
