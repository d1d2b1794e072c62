package lang

import (
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/parser/lexer"

	"bellhop/rules/text"
)

// A correction says what to write instead of the words up to last.
type correction struct {
	last                      int
	code, suggestion, message string
}

var (
	nameAfter = regexp.MustCompile(`^@[A-Za-z_]\w*`)
	clock     = regexp.MustCompile(`^[0-9]{1,2}:[0-9]{2}$`)
)

// foreign recognises habits from other languages, at word i of an expression. brackets is the number of open brackets
// around it; inCall says that the innermost belongs to a call or a group.
func (c *Checker) foreign(tokens []lexer.Token, i, brackets int, inCall bool) correction {
	none := lexer.Token{Kind: lexer.EOF}
	get := func(i int) lexer.Token {
		if i < 0 || i >= len(tokens) {
			return none
		}
		return tokens[i]
	}
	written := func(from, to int) string { // the words from from to to, as written
		if from > to {
			return ""
		}
		return c.piece.src[byteOffset(c.piece.src, tokens[from].From):byteOffset(c.piece.src, tokens[to].To)]
	}
	t, prev, next := get(i), get(i-1), get(i+1)
	name := func(t lexer.Token, words ...string) bool {
		for _, w := range words {
			if t.Kind == lexer.Identifier && strings.EqualFold(t.Value, w) {
				return true
			}
		}
		return false
	}
	switch {
	case t.Is(lexer.Operator, "contains", "startsWith", "endsWith", "matches") && !endsOperand(prev) && !prev.Is(lexer.Operator, ".", "?.") && next.Is(lexer.Bracket, "("):
		last, commas := arguments(tokens, i+1)
		if last == 0 || len(commas) != 1 {
			return correction{i, "operator", "", t.Value + " stands between two texts: a " + t.Value + " b"}
		}
		s := written(i+2, commas[0]-1) + " " + t.Value + " " + written(commas[0]+1, last-1)
		return correction{last, "operator", s, "write " + s}
	case t.Is(lexer.Operator, ",") && brackets == 0:
		return correction{i, "syntax", "", `a comma is not expected here; several values are written field in ["a", "b"]`}
	case t.Is(lexer.Bracket, "(") && prev.Is(lexer.Operator, "in"):
		if last, commas := arguments(tokens, i); last > 0 && len(commas) > 0 {
			s := "[" + written(i+1, last-1) + "]"
			return correction{last, "bracket", s, "write a list as " + s}
		}
	case i == 0 && t.Is(lexer.Operator, ".") && next.Kind == lexer.Identifier:
		return correction{1, "syntax", next.Value, "write names without a dot in front"}
	case t.Is(lexer.Operator, "#") && brackets == 0 && endsOperand(prev):
		return correction{i, "comment", "", "a comment cannot stand inside an expression; put it on a line of its own above"}
	case i == 0 && name(t, "$") && next.Is(lexer.Bracket, "{"):
		return correction{1, "braces", "", "no ${ } is needed here: a value is written as it is, such as appointment.title"}
	case t.Is(lexer.Operator, "|") && name(next, "default", "d") && get(i+2).Is(lexer.Bracket, "("):
		if last, commas := arguments(tokens, i+2); last > 0 && len(commas) == 0 {
			s := "?? " + written(i+3, last-1)
			return correction{last, "operator", s, "write a default as " + s}
		}
	case t.Is(lexer.Operator, "|") && next.Kind == lexer.Identifier && !get(i+2).Is(lexer.Bracket, "("):
		word := next.Value
		if alias, ok := functionAliases[word]; ok {
			word = alias
		}
		if f := functions[word]; f != nil && !f.isPredicate() {
			s := "| " + word + "()"
			return correction{i + 1, "function", s, "a function is called with parentheses: write " + s}
		}
	case t.Kind == lexer.Identifier && next.Is(lexer.Operator, "=") && get(i+2).Is(lexer.Operator, ">") && get(i+2).From == next.To && inCall,
		t.Kind == lexer.Identifier && next.Is(lexer.Operator, "=>") && inCall && !endsOperand(prev) && prev.Is(lexer.Operator, ","):
		last := i + 1
		if get(i+2).Is(lexer.Operator, ">") {
			last++
		}
		return correction{last, "operator", "", "leave out " + text.Quote(written(i, last)) + ": an element is called # in what follows"}
	case name(t, "new") && next.Kind == lexer.Identifier && next.Value == "Date":
		if last, commas := arguments(tokens, i+2); last == i+3 && len(commas) == 0 {
			return correction{last, "function", "now()", "for the present time write now()"}
		}
		return correction{i + 1, "function", "date", `write a time as date("2026-01-31 15:04:05")`}
	case t.Kind == lexer.Identifier && (t.Value == "Date" || t.Value == "datetime") && next.Is(lexer.Operator, ".") && get(i+2).Kind == lexer.Identifier:
		if last, _ := arguments(tokens, i+3); last == i+4 {
			return correction{last, "function", "now()", "for the present time write now()"}
		}
	case name(t, "is") && t.Value != "in" && endsOperand(prev) && (next.Is(lexer.Operator, "not") || name(next, "not")):
		return correction{i + 1, "operator", "!=", written(i, i+1) + " is written !="}
	case name(t, "between") && endsOperand(prev):
		if last, s := between(tokens, i, written); s != "" {
			return correction{last, "operator", s, "a range is written with two comparisons: write " + s + " instead of " + written(i, last)}
		}
		return correction{i, "operator", "", "there is no between; a range is written with two comparisons: x >= 1 && x <= 3"}
	case name(t, "starts", "begins", "ends") && name(next, "with") && endsOperand(prev):
		s := "startsWith"
		if name(t, "ends") {
			s = "endsWith"
		}
		return correction{i + 1, "operator", s, written(i, i+1) + " is written " + s}
	case t.Kind == lexer.Identifier && t.Value == "Date" && next.Is(lexer.Bracket, "(") && !prev.Is(lexer.Operator, ".", "?."):
		if last, _ := arguments(tokens, i+1); last == i+2 {
			return correction{last, "function", "now()", "for the present time write now()"}
		}
		return correction{i, "function", "date", `write a time as date("2026-01-31 15:04:05"), with a small d`}
	case endsOperand(prev) && beginsOperand(t) && !t.Is(lexer.Bracket) && t.Kind != lexer.Operator && amongValues(tokens[:i]):
		return correction{i, "syntax", ", " + written(i, i), "a comma is missing between " + written(i-1, i-1) + " and " + written(i, i)}
	case name(t, "then") && endsOperand(prev) && get(0).Is(lexer.Operator, "if"), t.Is(lexer.Operator, "if") && i == 0 && !hasBrace(tokens):
		return correction{i, "syntax", "", "write a choice as condition ? a : b; a condition alone needs no if"}
	case t.Kind == lexer.Number && next.Kind == lexer.Identifier:
		if amount, ok := ReadDuration(written(i, i+1)); ok {
			s := `duration("` + amount + `")`
			return correction{i + 1, "duration", s, "write a duration as " + s}
		}
	case t.Kind == lexer.Number && next.Is(lexer.Operator, ":") && get(i+2).Kind == lexer.Number && clock.MatchString(written(i, i+2)):
		s := `"` + padClock(written(i, i+2)) + `"`
		return correction{i + 2, "quote", s, "a time of the day is a text: write " + s}
	}
	return correction{}
}

// between returns how the range after the word at i is written with comparisons, and the range's last word; "" if
// there is no range.
func between(tokens []lexer.Token, i int, text func(from, to int) string) (last int, s string) {
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
	return end - 1, ">= " + text(i+1, and-1) + " && " + text(from, i-1) + " <= " + text(and+1, end-1)
}

// amongValues reports whether the next word stands in a list or among the arguments of a function.
func amongValues(tokens []lexer.Token) bool {
	depth := 0
	for i, t := range slices.Backward(tokens) {
		switch {
		case t.Is(lexer.Bracket, ")", "]", "}"):
			depth++
		case t.Is(lexer.Bracket, "(", "[", "{"):
			if depth--; depth < 0 {
				before := i > 0 && endsOperand(tokens[i-1])
				return t.Value == "[" && !before || t.Value == "(" && before && tokens[i-1].Kind == lexer.Identifier && functions[tokens[i-1].Value] != nil && !functions[tokens[i-1].Value].isPredicate()
			}
		}
	}
	return false
}

func padClock(s string) string {
	if len(s) == 4 {
		return "0" + s
	}
	return s
}

func hasBrace(tokens []lexer.Token) bool {
	for _, t := range tokens {
		if t.Is(lexer.Bracket, "{") {
			return true
		}
	}
	return false
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

// looksLikeText reports an expression that is just several words without a meaning.
func (c *Checker) looksLikeText(tokens []lexer.Token) bool {
	words := 0
	for _, t := range tokens {
		switch {
		case t.Kind == lexer.Identifier:
			if _, ok := operatorWord(t.Value, true, true); ok {
				return false
			}
			if c.known(t.Value) {
				return false
			}
			words++
		case t.Is(lexer.Operator, ",", ".", "!"):
		default:
			return false
		}
	}
	if words < 2 || len(tokens) > 1 && tokens[1].Is(lexer.Operator, ".") {
		return false
	}
	c.fail("quote", c.piece.Whole(), `"`+strings.TrimSpace(c.piece.src)+`"`, "this looks like a text; in an expression a text needs quotes of its own")
	return true
}

// cut reports an unquoted # that cuts off the rest of the expression.
func (c *Checker) cut() bool {
	at, ok := c.piece.text.CutOff()
	if ok {
		c.bad = true
		c.Doc.Errorf("comment", at, text.SingleQuoted(c.Doc.In(at)), "an unquoted # begins a comment, which cuts off the rest; put the whole in quotes")
	}
	return ok
}
