package lang

import (
	"cmp"
	"errors"
	"regexp"
	"regexp/syntax"
	"unicode/utf8"

	"bellhop/rules/text"
)

// A pattern is a compiled regular expression and the cost of a match: each byte may meet each instruction. A pattern
// that is anchored at the beginning looks at no more bytes than its longest match has.
type pattern struct {
	re      *regexp.Regexp
	perByte int
	longest int // the longest match in bytes, if it must be at the beginning; else -1
}

func (p *pattern) cost(text string) int {
	n := len(text)
	if p.longest >= 0 {
		n = min(n, p.longest+utf8.UTFMax)
	}
	return 200 + n*p.perByte
}

// maxPattern limits the size of a compiled pattern; what is repeated counts as often as it may repeat.
const maxPattern = 2000

func compilePattern(source string) (*pattern, error) {
	if len(source) > 1000 {
		return nil, Errorf("the pattern is longer than 1000 characters")
	}
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, Errorf("the pattern %s is not valid: %s", text.Quote(source), patternMistake(err))
	}
	if patternSize(parsed) > maxPattern {
		return nil, Errorf("the pattern %s repeats too much", text.Quote(source))
	}
	simple := parsed.Simplify()
	prog, err := syntax.Compile(simple)
	re, other := regexp.Compile(source)
	if cmp.Or(err, other) != nil {
		return nil, Errorf("the pattern %s is not valid", text.Quote(source))
	}
	out := &pattern{re: re, perByte: 4 + 4*len(prog.Inst), longest: -1}
	if prog.StartCond()&syntax.EmptyBeginText != 0 {
		out.longest = longestMatch(simple)
	}
	return out, nil
}

// longestMatch returns the length in bytes of the longest match of a simplified pattern, -1 if there is no limit.
func longestMatch(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return len(string(re.Rune))
		}
		return utf8.UTFMax * len(re.Rune)
	case syntax.OpCharClass:
		if n := len(re.Rune); n > 0 {
			return utf8.RuneLen(re.Rune[n-1])
		}
		return 0
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return utf8.UTFMax
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		return -1
	}
	n := 0
	for _, sub := range re.Sub {
		switch k := longestMatch(sub); {
		case k < 0:
			return -1
		case re.Op == syntax.OpAlternate:
			n = max(n, k)
		default:
			n += k
		}
	}
	return n
}

var patternMistakes = map[syntax.ErrorCode]string{
	syntax.ErrMissingParen:          "a ( is never closed",
	syntax.ErrUnexpectedParen:       "a ) has no ( before it",
	syntax.ErrMissingBracket:        "a [ is never closed",
	syntax.ErrMissingRepeatArgument: "*, + or ? has nothing before it to repeat",
	syntax.ErrInvalidRepeatSize:     "a repetition is too large",
	syntax.ErrInvalidCharRange:      "what stands between [ and ] is no range of characters",
	syntax.ErrInvalidCharClass:      "what stands between [ and ] is no range of characters",
	syntax.ErrInvalidEscape:         `a \ is followed by something that has no meaning`,
	syntax.ErrTrailingBackslash:     `a \ is followed by something that has no meaning`,
	syntax.ErrInvalidPerlOp:         "looking ahead or behind is not supported",
}

func patternMistake(err error) string {
	mistake, ok := errors.AsType[*syntax.Error](err)
	if !ok {
		return "the pattern cannot be read"
	}
	return cmp.Or(patternMistakes[mistake.Code], string(mistake.Code))
}

// patternSize returns the size of a pattern, or maxPattern+1 if it is larger than allowed.
func patternSize(re *syntax.Regexp) int {
	size := 1
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		size = min(size+patternSize(sub), maxPattern+1)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Max, re.Min+1, 1)
	}
	return min(size, maxPattern+1)
}

func opMatches(r *Machine, args []any) any {
	if args[0] == nil || args[1] == nil {
		return false
	}
	text := wantText("matches", args[0])
	p, ok := args[1].(*pattern)
	if !ok {
		source := wantText("matches", args[1])
		r.charge(200_000, 64<<10)
		p = must(compilePattern(source))
	}
	r.charge(p.cost(text), 0)
	return p.re.MatchString(text)
}
