package lsp

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"bellhop/rules/lang"
)

// An expressionPlace says where the cursor is in an expression.
type expressionPlace struct {
	word string // the part of the word before the cursor
	// chain has the names before the last dot, such as appointment.startTime. A call is in it as name(). It is nil if
	// the word does not follow a dot.
	chain []string
	// operand is true after a value, where an operator belongs.
	operand bool

	text      bool     // inside a text in quotes
	compared  []string // what the text is compared with, as a chain
	function  string   // the function whose argument the text is
	argument  int      // which argument it is, from 0
	blindSpot bool     // after the dot of something unknown, where there is no help
}

type token struct {
	kind byte // i word, n number, s text, o sign
	text string
}

var (
	listAfter     = regexp.MustCompile("^[^\"'`\n]*[\"'`]\\s*(?:not\\s+)?in\\s+([A-Za-z]+)\\b")
	comparedAfter = regexp.MustCompile("^[^\"'`\n]*[\"'`]\\s*[!=]=\\s*([A-Za-z]+(?:\\.[A-Za-z]+)?)\\b")
)

// expressionAt says where the cursor is in an expression, from the text before and after the cursor.
func expressionAt(before, after string) expressionPlace {
	tokens, open := tokenise(before)
	p := expressionPlace{}
	if open != "" {
		p.text, p.word = true, open[1:]
		p.argumentOf(tokens, after)
		return p
	}
	if n := len(tokens); n > 0 && tokens[n-1].kind == 'i' && wordAt(before, len(before)) != "" {
		p.word = tokens[n-1].text
		tokens = tokens[:n-1]
	}
	n := len(tokens)
	if n == 0 {
		return p
	}
	switch last := tokens[n-1]; {
	case last.kind == 'o' && (last.text == "." || last.text == "?."):
		p.chain = chainBefore(tokens[:n-1])
		p.blindSpot = p.chain == nil
	case last.kind != 'o' || last.text == ")" || last.text == "]":
		p.operand = !isOperator(last)
	}
	return p
}

func isOperator(t token) bool {
	switch t.text {
	case "and", "or", "not", "in", "contains", "matches", "startsWith", "endsWith", "let", "if", "else":
		return t.kind == 'i'
	}
	return false
}

// argumentOf finds what a text is compared with, or of which function it is an argument.
func (p *expressionPlace) argumentOf(tokens []token, after string) {
	n := len(tokens)
	if n > 0 {
		switch last := tokens[n-1]; {
		case last.text == "==" || last.text == "!=":
			p.compared = chainBefore(tokens[:n-1])
		case last.text == "[" || last.text == "," || last.text == "(":
			i, commas := opening(tokens)
			p.argument = commas
			switch {
			case i < 1:
			case tokens[i].text == "(" && tokens[i-1].kind == 'i':
				p.function = tokens[i-1].text
			case tokens[i].text == "[" && tokens[i-1].text == "in":
				i--
				if i > 0 && tokens[i-1].text == "not" {
					i--
				}
				p.compared = chainBefore(tokens[:i])
			}
		}
	}
	if p.compared == nil && p.function == "" {
		if m := listAfter.FindStringSubmatch(after); m != nil {
			p.compared = []string{m[1]}
		} else if m := comparedAfter.FindStringSubmatch(after); m != nil {
			p.compared = strings.Split(m[1], ".")
		}
	}
}

// opening returns the place of the last bracket that is not closed, -1 if there is none, and the number of commas after
// it, without those inside other brackets.
func opening(tokens []token) (at, commas int) {
	depth := 0
	for i, t := range slices.Backward(tokens) {
		switch {
		case t.kind != 'o':
		case t.text == ")" || t.text == "]" || t.text == "}":
			depth++
		case depth > 0 && (t.text == "(" || t.text == "[" || t.text == "{"):
			depth--
		case t.text == "(" || t.text == "[" || t.text == "{":
			return i, commas
		case t.text == "," && depth == 0:
			commas++
		}
	}
	return -1, commas
}

// chainBefore returns the chain at the end of the tokens, such as appointment.startTime or tz(). It returns nil if there
// is none.
func chainBefore(tokens []token) []string {
	var chain []string
	for i := len(tokens) - 1; i >= 0; i-- {
		switch t := tokens[i]; {
		case t.kind == 'i' && !isOperator(t):
			chain = append([]string{t.text}, chain...)
		case t.kind == 'o' && t.text == ")":
			i, _ = opening(tokens[:i])
			if i--; i < 0 || tokens[i].kind != 'i' {
				return nil
			}
			chain = append([]string{tokens[i].text + "()"}, chain...)
		default:
			return nil
		}
		if i == 0 || tokens[i-1].kind != 'o' || tokens[i-1].text != "." && tokens[i-1].text != "?." {
			return chain
		}
		i-- // the dot
	}
	return nil
}

// tokenPattern matches a token, with a group for each kind: a word, a number, a text. Anything else is a sign.
var tokenPattern = regexp.MustCompile(
	`^(?s:([\pL_$][\pL\p{Nd}_$]*)|([0-9]+(?:\.[0-9]+)*)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|` + "`[^`]*`" + `)|==|!=|\?\.|&&|\|\||\?\?|>=|<=|.)`)

// tokenise splits an expression into tokens. open is a quoted text at the end that is not closed, with its quote.
func tokenise(s string) (tokens []token, open string) {
	for s = strings.TrimLeftFunc(s, unicode.IsSpace); s != ""; s = strings.TrimLeftFunc(s, unicode.IsSpace) {
		m := tokenPattern.FindStringSubmatch(s)
		kind := byte('o')
		for i, k := range []byte("ins") {
			if m[i+1] != "" {
				kind = k
			}
		}
		if kind == 'o' && strings.ContainsAny(m[0], "\"'`") {
			return tokens, s
		}
		tokens = append(tokens, token{kind, m[0]})
		s = s[len(m[0]):]
	}
	return tokens, ""
}

func wordRune(r rune) bool { return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// wordFrom returns the word at the beginning of s.
func wordFrom(s string) string {
	if i := strings.IndexFunc(s, func(r rune) bool { return !wordRune(r) }); i >= 0 {
		return s[:i]
	}
	return s
}

// wordAt returns the word that ends at i.
func wordAt(s string, i int) string { return s[len(strings.TrimRightFunc(s[:i], wordRune)):i] }

// templateAt returns the part before the cursor of the expression that the cursor is in. before is the part before the
// cursor of a text with expressions between {{ and }}. ok is false outside of expressions.
func templateAt(before string) (expression string, ok bool) {
	for {
		i := strings.Index(before, "{{")
		if i < 0 {
			return "", false
		}
		before = before[i+2:]
		end, problem := lang.End(before)
		if problem != "" {
			return before, true
		}
		before = before[end+2:]
	}
}
