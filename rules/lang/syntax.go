package lang

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"

	"bellhop/rules/text"
)

const (
	maxTokens  = 8_000
	maxNesting = 100 // brackets in brackets
)

// parse parses the checker's expression. It returns nil after a mistake.
func (c *Checker) parse() ast.Node {
	switch {
	case strings.TrimSpace(c.piece.src) == "":
		c.fail("empty", c.Whole(), "", "an expression is missing here")
	case len(c.piece.src) > maxExprSize:
		c.fail("bound", c.Whole(), "", "this expression is longer than %d characters", maxExprSize)
	case c.Checked || c.tokens():
		tree, err := parser.ParseWithConfig(c.piece.src, parseConfig)
		if err != nil {
			c.syntaxError(err)
			return nil
		}
		if size := treeSize(tree.Node, maxNodes); size <= maxNodes {
			c.Types = make(map[ast.Node]checked, size)
			return tree.Node
		}
		c.tooLong()
	}
	return nil
}

func (c *Checker) tooLong() {
	c.fail("bound", c.Whole(), "", "this expression is too long; split it up with let")
}

// tokens looks for mistakes that can be recognised from the words alone: those of [habits], and brackets that do not
// match.
func (c *Checker) tokens() bool {
	tokens, err := c.lex()
	if err != nil {
		c.lexError(tokens, err)
		return false
	}
	if len(tokens) > maxTokens {
		c.tooLong()
		return false
	}
	if c.looksLikeText(tokens) {
		return false
	}
	w := &words{src: c.piece.src, tokens: tokens}
	for i, t := range tokens {
		w.i = i
		for _, h := range habitsOf[t.Kind] {
			if m := h.find(w); m.message != "" {
				c.fail(m.code, c.piece.span(t.From, tokens[m.last].To), m.suggestion, "%s", m.message)
				return false
			}
		}
		if t.Kind == lexer.Bracket && !c.bracket(w, t) {
			return false
		}
	}
	if len(w.open) > 0 {
		if !c.cut() {
			o := w.inner()
			c.fail("bracket", c.piece.span(o.From, o.To), "", "this %s is never closed", o.Value)
		}
		return false
	}
	return true
}

// bracket opens or closes a bracket.
func (c *Checker) bracket(w *words, t lexer.Token) bool {
	at := c.piece.span(t.From, t.To)
	opening := map[string]string{")": "(", "]": "[", "}": "{"}[t.Value]
	switch n := len(w.open); {
	case t.Value == "{" && w.i == 0 && w.joined() && w.at(1).Is(lexer.Bracket, "{"):
		inner := strings.TrimPrefix(strings.TrimSpace(c.piece.src), "{{")
		c.fail("braces", c.piece.Whole(), strings.TrimSpace(strings.TrimSuffix(inner, "}}")), "%s", NoBraces)
	case opening == "" && n > maxNesting:
		c.fail("bound", at, "", "brackets are nested too deep here")
	case opening == "":
		w.open = append(w.open, w.i)
		return true
	case n == 0:
		c.fail("bracket", at, "", "this %s has no %s before it", t.Value, opening)
	case w.inner().Value != opening:
		o := w.inner()
		c.fail("bracket", c.piece.span(o.From, o.To), "", "this %s is not closed before the next %s", o.Value, t.Value)
	default:
		w.open = w.open[:n-1]
		return true
	}
	return false
}

// looksLikeText reports an expression that is just several words without a meaning.
func (c *Checker) looksLikeText(tokens []lexer.Token) bool {
	words := 0
	for _, t := range tokens {
		switch {
		case t.Kind == lexer.Identifier:
			if _, ok := operatorWord(t.Value, true, true); ok || c.known(t.Value) {
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

func (c *Checker) lex() ([]lexer.Token, error) {
	l := lexer.New() // Reset does not make a used one new
	l.Reset(file.NewSource(c.piece.src))
	tokens := make([]lexer.Token, 0, 8+len(c.piece.src)/5)
	for {
		t, err := l.Next()
		if err != nil || t.Kind == lexer.EOF {
			return tokens, err
		}
		tokens = append(tokens, t)
	}
}

var bareDuration = regexp.MustCompile(`^[0-9]+(ms|[smhdw])([0-9]+(ms|[smhdw]))*\b`)

// lexError explains an expression that cannot be divided into tokens.
func (c *Checker) lexError(tokens []lexer.Token, err error) {
	e := new(file.Error)
	errors.As(err, &e)
	// The bad token begins where the last good one ended.
	from := 0
	if len(tokens) > 0 {
		from = tokens[len(tokens)-1].To
	}
	rest := c.piece.src[byteOffset(c.piece.src, from):]
	trimmed := strings.TrimLeft(rest, " \t\r\n")
	from += utf8.RuneCountInString(rest[:len(rest)-len(trimmed)])
	rest = trimmed
	switch {
	case strings.Contains(e.Message, "not terminated"):
		if !c.cut() {
			c.fail("quote", c.piece.span(from, from+1), "", "this quote is never closed")
		}
	case strings.Contains(e.Message, "bad number"):
		if m := bareDuration.FindString(rest); m != "" {
			c.fail("duration", c.piece.span(from, from+len(m)), `duration("`+m+`")`, `write a duration as duration("%s")`, m)
			return
		}
		word := rest
		if i := strings.IndexFunc(rest, func(r rune) bool { return strings.ContainsRune(" \t\n()[]{},;+-*/&|=<>!", r) }); i > 0 {
			word = rest[:i]
		}
		c.fail("number", c.piece.span(from, from+utf8.RuneCountInString(word)), "", "%s is neither a number nor a name", text.Quote(word))
	case strings.Contains(e.Message, "escape"):
		from, word := e.From, string([]rune(c.piece.src)[e.From:min(e.To, utf8.RuneCountInString(c.piece.src))])
		suggestion := ""
		if at := byteOffset(c.piece.src, from); at > 0 && c.piece.src[at-1] == '\\' {
			from, word = from-1, `\`+word
			suggestion = `\` + word
		}
		c.fail("escape", c.piece.span(from, e.To), suggestion, `%s means nothing in a text; a \ itself is written \\`, word)
	case strings.Contains(e.Message, "unclosed comment"):
		c.fail("comment", c.piece.span(from, from+2), "", "this comment is never closed")
	default:
		c.character(rest, from, e)
	}
}

// curly are the quotes that word processors write.
const curly = "“”„‟‘’‚‛«»"

var nameAfter = regexp.MustCompile(`^@[A-Za-z_]\w*`)

// characters are characters that people copy from elsewhere, and what to write instead. CHAR and CODE stand for the character
// and its code in the messages.
var characters = []struct{ of, code, write, message string }{
	{curly, "quote", `"`, "use straight quotes: CHAR is none"},
	{"≥", "operator", ">=", "CHAR is written >= here"},
	{"≤", "operator", "<=", "CHAR is written <= here"},
	{"≠", "operator", "!=", "CHAR is written != here"},
	{"×", "operator", "*", "CHAR is written * here"},
	{"÷", "operator", "/", "CHAR is written / here"},
	{"–—−", "operator", "-", "the dash CHAR is no minus; write -"},
	{"\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad", "character", "", "there is an invisible character here (CODE); remove it"},
	{"\u00a0\u2007\u202f", "character", " ", "this is a no-break space; write a plain one"},
}

// character explains a character that has no meaning, at the beginning of rest. from is its place.
func (c *Checker) character(rest string, from int, e *file.Error) {
	first, width := utf8.DecodeRuneInString(rest)
	after := rest[width:]
	if i := strings.IndexAny(after, curly); i >= 0 && strings.ContainsRune(curly, first) && !strings.ContainsAny(after[:i], "\"\\\n") {
		q := `"`
		if strings.ContainsRune("‘’‚‛", first) {
			q = "'"
		}
		s := q + after[:i] + q
		c.fail("quote", c.piece.span(from, from+utf8.RuneCountInString(s)), s, "use straight quotes: %s", s)
		return
	}
	for _, known := range characters {
		if strings.ContainsRune(known.of, first) {
			c.fail(known.code, c.piece.span(from, from+1), known.write, "%s", strings.NewReplacer("CHAR", string(first), "CODE", fmt.Sprintf("%U", first)).Replace(known.message))
			return
		}
	}
	if name := nameAfter.FindString(rest); name != "" {
		c.fail("character", c.piece.span(from, from+len(name)), name[1:], "write names without @")
		return
	}
	at := c.piece.span(e.From, e.To)
	if strings.ContainsRune(`@$~\`, first) {
		at = c.piece.span(from, from+1)
	}
	c.fail("character", at, "", "%s has no meaning in an expression; a text must be in quotes", text.Quote(string(first)))
}

var unexpected = regexp.MustCompile(`^unexpected token (\w+)(?:\("(.*)"\))?$`)

// syntaxError explains an expression that cannot be parsed.
func (c *Checker) syntaxError(err error) {
	e := new(file.Error)
	errors.As(err, &e)
	at := c.piece.span(e.From, max(e.To, e.From+1))
	end := utf8.RuneCountInString(strings.TrimRight(c.piece.src, " \t\r\n"))
	atEnd := c.piece.span(end, end)
	message := strings.TrimPrefix(e.Message, "compilation failed: ")
	switch m := unexpected.FindStringSubmatch(message); {
	case strings.Contains(message, "maximum allowed nodes"):
		c.tooLong()
	case m != nil && m[1] == "EOF", strings.Contains(message, "unexpected end"):
		if !c.cut() {
			c.fail("syntax", atEnd, "", "the expression ends here, but something must follow")
		}
	case m != nil:
		word := text.Quote(m[2])
		if m[1] == "String" {
			word = "a text"
		}
		c.fail("syntax", at, "", "%s is not expected here", word)
	case strings.Contains(message, "coalesce"):
		c.fail("syntax", at, "", "put parentheses around a ?? b before another operator")
	case strings.Contains(message, "expected at least"):
		c.fail("arguments", at, "", "a list and a condition are needed here")
	case strings.Contains(message, "expected name"):
		c.fail("syntax", at, "", "the name of a field must follow the dot")
	case strings.Contains(message, "wrap predicate"):
		c.fail("syntax", at, "", "a ; is not expected here")
	case strings.Contains(message, "literal"):
		c.fail("number", at, "", "this number is too large, or cannot be read")
	case strings.Contains(message, "map key"):
		c.fail("syntax", at, "", "the key of a map is a name or a text in quotes")
	default:
		c.fail("syntax", at, "", "%s cannot be read as an expression", text.Quote(c.piece.src))
	}
}

const (
	OneBrace   = "one } is missing here"
	unclosed   = "this {{ is never closed with }}"
	twiceBrace = "this {{ is not closed before the next one; }} is missing"
)

// End returns the length of the expression at the beginning of s, up to its }}. Braces and }} inside its texts do not
// count.
func End(s string) (length int, problem string) {
	l := lexer.New()
	l.Reset(file.NewSource(s))
	depth := 0
	for {
		switch t, err := l.Next(); {
		case err != nil: // a mistake in the expression: take it up to the next }}, so that the mistake is explained
			end, next := strings.Index(s, "}}"), strings.Index(s, "{{")
			switch {
			case end < 0:
				return 0, unclosedAt(s)
			case next >= 0 && next < end:
				return 0, twiceBrace
			}
			return end, ""
		case t.Kind == lexer.EOF:
			return 0, unclosedAt(s)
		case t.Is(lexer.Bracket, "{"):
			depth++
		case t.Is(lexer.Bracket, "}") && depth > 0:
			depth--
		case t.Is(lexer.Bracket, "}"):
			at := byteOffset(s, t.From)
			if strings.HasPrefix(s[at:], "}}") {
				return at, ""
			}
			return at, OneBrace
		}
	}
}

func unclosedAt(s string) string {
	if strings.Contains(s, "{{") {
		return twiceBrace
	}
	return unclosed
}

func EndsInNil(n ast.Node) bool {
	b, ok := n.(*ast.BinaryNode)
	if !ok || b.Operator != "??" {
		return false
	}
	_, ok = b.Right.(*ast.NilNode)
	return ok
}

const NoBraces = "this field is an expression already; leave out the {{ }}"
