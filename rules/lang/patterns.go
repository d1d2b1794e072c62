package lang

import (
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
	if err != nil {
		return nil, Errorf("the pattern %s is not valid", text.Quote(source))
	}
	re, err := regexp.Compile(source)
	if err != nil {
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

func patternMistake(err error) string {
	mistake, ok := errors.AsType[*syntax.Error](err)
	if !ok {
		return "the pattern cannot be read"
	}
	switch mistake.Code {
	case syntax.ErrMissingParen:
		return "a ( is never closed"
	case syntax.ErrUnexpectedParen:
		return "a ) has no ( before it"
	case syntax.ErrMissingBracket:
		return "a [ is never closed"
	case syntax.ErrMissingRepeatArgument:
		return "*, + or ? has nothing before it to repeat"
	case syntax.ErrInvalidRepeatSize:
		return "a repetition is too large"
	case syntax.ErrInvalidCharRange, syntax.ErrInvalidCharClass:
		return "what stands between [ and ] is no range of characters"
	case syntax.ErrInvalidEscape, syntax.ErrTrailingBackslash:
		return `a \ is followed by something that has no meaning`
	case syntax.ErrInvalidPerlOp:
		return "looking ahead or behind is not supported"
	}
	return string(mistake.Code)
}

func patternSize(re *syntax.Regexp) int {
	size := 1
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		size += patternSize(sub)
		if size > maxPattern {
			return maxPattern + 1
		}
	}
	if re.Op == syntax.OpRepeat {
		n := max(re.Max, re.Min+1, 1)
		if size*n > maxPattern {
			return maxPattern + 1
		}
		size *= n
	}
	return size
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
