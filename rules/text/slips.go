package text

import (
	"fmt"
	"regexp"
	"strings"
)

// A slip is a mistake within one line that keeps a file from being read as YAML. To add a slip, add a value to the
// list. A test checks that it is the first one that its example shows, and what its first mend makes of the example.
type slip struct {
	example string // a line that shows it
	meant   string // the example after mending
	code    string
	pattern *regexp.Regexp // the group "at" is what is wrong
	but     *regexp.Regexp // nil, or what is not wrong after all
	message string         // can have groups of the pattern, such as ${key}
	mends   []string       // the same, what may be meant; nil: the text in quotes
	unsure  bool           // it is only a mistake in the line at which the YAML reader stopped
}

const (
	afterKey     = `^[ \t]*(?:- )*[A-Za-z_][\w-]*:[ \t]+`
	atValue      = `^(?:[ \t]*(?:- )*[A-Za-z_][\w-]*:[ \t]+|[ \t]*- +)`
	mustBeQuoted = "a text that begins with ${first} must be in quotes"
)

var slips = []slip{
	{
		example: "// the front desk", meant: "# the front desk", code: "comment",
		pattern: regexp.MustCompile(`^[ \t]*(?P<at>//)`),
		message: "a comment begins with #, not with //", mends: []string{"#"},
	},
	{
		example: "on: [booked,, moved]", meant: "on: [booked, moved]", code: "yaml",
		pattern: regexp.MustCompile(`[\[{].*(?P<at>,[ \t]*,)`),
		message: "there is one comma too many", mends: []string{","},
	},
	{
		example: "text: {{ a }} and {{ b }}", meant: `text: "{{ a }} and {{ b }}"`, code: "unquoted-template",
		pattern: regexp.MustCompile(atValue + `(?P<at>\{\{.*)$`),
		but:     regexp.MustCompile(`^\{\{(?:[^{]|\{[^{])*\{?\}\}$`), // on its own it can be read, and is reported elsewhere
		message: "a text that begins with {{ must be in quotes",
	},
	{
		example: "to: @desk", meant: `to: "@desk"`, code: "unquoted",
		pattern: regexp.MustCompile(atValue + "(?P<at>(?P<first>[@`%,\\]}]).*)$"), message: mustBeQuoted,
	},
	{
		example: `text: "New" booking`, meant: `text: '"New" booking'`, code: "unquoted",
		pattern: regexp.MustCompile(atValue + `(?P<at>(?:"[^"\\]*"|'[^']*')[ \t]*[^\s#,\]}].*)$`),
		message: "text follows the closing quote; put the whole in quotes of the other kind",
	},
	{
		example: "text: | New booking", meant: `text: "| New booking"`, code: "unquoted",
		pattern: regexp.MustCompile(afterKey + `(?P<at>[|>][-+0-9]*[ \t]+[^\s#].*)$`),
		message: "after | and > the text begins on the next line, indented further; or put the whole in quotes",
	},
	{
		example: "text: *New* booking", meant: `text: "*New* booking"`, code: "unquoted",
		pattern: regexp.MustCompile(atValue + `(?P<at>(?P<first>[*&])[^\s]*(?:[^\w\s-]|[ \t]+[^\s#]).*)$`), message: mustBeQuoted,
	},
	{
		example: "text: [New] booking", meant: `text: "[New] booking"`, code: "unquoted",
		pattern: regexp.MustCompile(atValue + `(?P<at>(?P<first>\[)[^\]]*\][ \t]*[^\s#,\]}:].*)$`), message: mustBeQuoted,
	},
	{
		example: "text: {New} booking", meant: `text: "{New} booking"`, code: "unquoted",
		pattern: regexp.MustCompile(atValue + `(?P<at>(?P<first>\{)[^{}][^}]*\}[ \t]*[^\s#,\]}:].*)$`), message: mustBeQuoted,
	},
	{
		example: "text: New: booking", meant: `text: "New: booking"`, code: "unquoted",
		pattern: regexp.MustCompile(afterKey + `(?P<at>[^'"|>&*!\[{#][^#]*:(?: .*)?)$`),
		message: "a text with a colon and a space in it must be in quotes",
	},
	{
		example: "on:booked", meant: "on: booked", code: "yaml",
		pattern: regexp.MustCompile(`^[ \t]*(?:- )*(?P<at>(?P<key>[A-Za-z_][\w-]*):)[^\s:/].*$`),
		message: "a space is missing after the colon of ${key}", mends: []string{"${key}: "}, unsure: true,
	},
}

// in returns the mistake if a line, which begins at from in the file, has it.
func (s *slip) in(line string, from int) (misreading, bool) {
	m := s.pattern.FindStringSubmatchIndex(line)
	if m == nil {
		return misreading{}, false
	}
	expand := func(template string) string { return string(s.pattern.ExpandString(nil, template, line, m)) }
	begin := m[2*s.pattern.SubexpIndex("at")]
	wrong := strings.TrimRight(expand("${at}"), " \t")
	out := misreading{s.code, Span{from + begin, from + begin + len(wrong)}, expand(s.message), nil}
	for _, mend := range s.mends {
		out.mends = append(out.mends, expand(mend))
	}
	if s.mends == nil {
		out.mends = []string{Quoted(unwrapped(wrong))}
	}
	return out, s.but == nil || !s.but.MatchString(wrong)
}

// suspect looks for the mistakes people make within a line, and returns the first. It begins one line before the
// reported one, because the YAML reader often names a later line.
func suspect(src *source, line int) (misreading, bool) {
	lines := src.lineOffsets()
	block := -1 // the indentation of the key whose block text this is
	headed := false
	before := "" // the last line with text, outside block texts
	for l := range lines {
		from, written := src.line(l)
		trimmed := strings.TrimLeft(written, " ")
		if trimmed == "" {
			continue
		}
		above := -1 // the indentation of the block text's key in the line above
		if headed {
			above = block
		}
		headed = blockHeader.MatchString(written)
		switch {
		case block >= 0 && indentOf(written) > block:
			headed = false
			continue
		case headed:
			block = keyColumn(written)
		default:
			block = -1
		}
		previous := before
		before = written
		if l+1 < line-1 || trimmed[0] == '#' {
			continue
		}
		here := func(from2, to2 int) Span { return Span{from + from2, from + to2} }
		if m := tabIndent.FindString(written); m != "" {
			tab := strings.IndexByte(m, '\t')
			depth := keyColumn(previous)
			if strings.HasSuffix(strings.TrimRight(previous, " \t"), ":") {
				depth += 2
			}
			mends := []string{"  ", "    ", "        ", ""}
			if depth >= tab {
				mends = append([]string{strings.Repeat(" ", depth-tab)}, mends...)
			}
			return misreading{"tab", here(tab, len(m)), "there is a tab in the indentation; use spaces", mends}, true
		}
		if m := dashKey.FindStringSubmatchIndex(written); m != nil {
			key := written[m[4]:m[5]]
			out := misreading{"yaml", here(m[3], m[5]), fmt.Sprintf("a space is missing between - and %s", strings.TrimSuffix(key, ":")), []string{"- " + key}}
			if l+1 < len(lines) && m[3] > 0 && src.lineSpan(l+2).From-lines[l+1] == m[3]+1 {
				out.at.From-- // the line below is indented like the key is now, so the key must keep its column
			}
			return out, true
		}
		text := strings.TrimSpace(written)
		isCutOff := above >= 0 && indentOf(written) <= above && !keyLike.MatchString(text)
		for i := range slips {
			if slips[i].unsure && (isCutOff || l+1 != line) {
				continue
			}
			if m, ok := slips[i].in(written, from); ok {
				return m, true
			}
		}
		if isCutOff {
			return misreading{"indentation", here(indentOf(written), len(strings.TrimRight(written, " \t"))),
				fmt.Sprintf("a text after | or > is indented further than its key: begin it in column %d or further right", above+3), nil}, true
		}
	}
	return misreading{}, false
}

var (
	tabIndent   = regexp.MustCompile(`^[ ]*\t[ \t]*`)
	dashKey     = regexp.MustCompile(`^([ \t]*)-([A-Za-z_][\w-]*:)(?: |$)`)
	keyLike     = regexp.MustCompile(`^(?:-[ \t]|-$|[A-Za-z_][\w-]*:(?:[ \t]|$)|#)`)
	blockHeader = regexp.MustCompile(`(?::|-)[ \t]+[|>][-+0-9]*[ \t]*(#.*)?$`)
)

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// keyColumn returns the column of a line's key, after the dashes of lists.
func keyColumn(line string) int {
	n := indentOf(line)
	for strings.HasPrefix(line[n:], "- ") {
		n += 2 + indentOf(line[n+2:])
	}
	return n
}
