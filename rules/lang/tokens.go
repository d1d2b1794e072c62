package lang

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/parser/lexer"
)

// words are the words of an expression, at one of them.
type words struct {
	src    string
	tokens []lexer.Token
	i      int   // the present word
	open   []int // the brackets that are open before it
}

// at returns the word n after the present one; n may be negative. Its kind is EOF if there is none.
func (w *words) at(n int) lexer.Token {
	if i := w.i + n; i >= 0 && i < len(w.tokens) {
		return w.tokens[i]
	}
	return lexer.Token{Kind: lexer.EOF}
}

// is reports whether the present word is one of some operators.
func (w *words) is(operators ...string) bool { return w.at(0).Is(lexer.Operator, operators...) }

// named reports whether the word n after the present one is one of some names, in any case.
func (w *words) named(n int, names ...string) bool {
	t := w.at(n)
	return t.Kind == lexer.Identifier && slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(t.Value, name) })
}

// joined reports whether the next word follows without a blank.
func (w *words) joined() bool {
	next := w.at(1)
	return next.Kind != lexer.EOF && next.From == w.at(0).To
}

// inCall reports whether the innermost open bracket is a parenthesis.
func (w *words) inCall() bool { return len(w.open) > 0 && w.inner().Value == "(" }

// inner returns the innermost open bracket. There must be one.
func (w *words) inner() lexer.Token { return w.tokens[w.open[len(w.open)-1]] }

// emptyCall reports whether the word n after the present one opens a bracket that the next one closes.
func (w *words) emptyCall(n int) bool {
	return w.at(n).Is(lexer.Bracket, "(") && w.at(n+1).Is(lexer.Bracket, ")")
}

// beginsLine reports whether only blanks precede the present word on its line.
func (w *words) beginsLine() bool {
	before := w.src[:byteOffset(w.src, w.at(0).From)]
	return strings.TrimSpace(before[strings.LastIndexByte(before, '\n')+1:]) == ""
}

// written returns the words from from to to, as written.
func (w *words) written(from, to int) string {
	if from > to {
		return ""
	}
	return w.src[byteOffset(w.src, w.tokens[from].From):byteOffset(w.src, w.tokens[to].To)]
}

// between returns how the range after the present word is written with comparisons, and the range's last word. s is ""
// if there is no range.
func (w *words) between() (last int, s string) {
	tokens, i := w.tokens, w.i
	side := func(t lexer.Token) bool {
		return t.Kind == lexer.Operator && !t.Is(lexer.Operator, ".", "?.", "+", "-", "*", "/") || t.Is(lexer.Operator, ",")
	}
	from, depth := i, 0
	for ; from > 0; from-- { // the left side of the comparison
		t := tokens[from-1]
		if depth += map[string]int{")": 1, "]": 1, "(": -1, "[": -1}[t.Value]; depth < 0 || depth == 0 && side(t) {
			break
		}
	}
	and, end := 0, i+1
	for ; end < len(tokens); end++ {
		t := tokens[end]
		if depth += map[string]int{")": -1, "]": -1, "(": 1, "[": 1}[t.Value]; depth < 0 {
			break
		}
		if depth == 0 && side(t) || strings.EqualFold(t.Value, "and") && t.Kind == lexer.Identifier {
			if and > 0 || !strings.EqualFold(t.Value, "and") && t.Value != "&&" {
				break
			}
			and = end
		}
	}
	if and <= i+1 || end <= and+1 || from == i {
		return 0, ""
	}
	return end - 1, ">= " + w.written(i+1, and-1) + " && " + w.written(from, i-1) + " <= " + w.written(and+1, end-1)
}

// amongValues reports whether the present word stands in a list or among the arguments of a function.
func (w *words) amongValues() bool {
	if len(w.open) == 0 {
		return false
	}
	before := w.at(w.open[len(w.open)-1] - 1 - w.i)
	f := functions[before.Value]
	return w.inner().Value == "[" && !endsOperand(before) || w.inCall() && before.Kind == lexer.Identifier && f != nil && !f.isPredicate()
}

// arguments returns the bracket that closes the one at word open, and the commas between them; 0 if there is none.
func arguments(tokens []lexer.Token, open int) (last int, commas []int) {
	if open >= len(tokens) || !tokens[open].Is(lexer.Bracket, "(") {
		return 0, nil
	}
	depth := 0
	for i := open; i < len(tokens); i++ {
		switch t := tokens[i]; {
		case t.Is(lexer.Bracket, "(", "[", "{"):
			depth++
		case t.Kind == lexer.Bracket:
			if depth--; depth == 0 {
				if i == open+1 && len(commas) == 0 {
					return i, nil
				}
				return i, commas
			}
		case t.Is(lexer.Operator, ",") && depth == 1:
			commas = append(commas, i)
		}
	}
	return 0, nil
}

func endsOperand(t lexer.Token) bool {
	return t.Kind == lexer.Identifier || t.Kind == lexer.Number || t.Kind == lexer.String || t.Is(lexer.Bracket, ")", "]")
}

func beginsOperand(t lexer.Token) bool {
	return t.Kind == lexer.Identifier || t.Kind == lexer.Number || t.Kind == lexer.String || t.Is(lexer.Bracket, "(", "[", "{") || t.Is(lexer.Operator, "!", "not", "-")
}
