package lang

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"

	"bellhop/rules/text"
)

const (
	maxTokens  = 8_000
	maxNesting = 100 // brackets in brackets
)

// parse parses the checker's expression. If it returns false, the mistake has been reported.
func (c *Checker) parse(config *conf.Config) (ast.Node, bool) {
	if strings.TrimSpace(c.piece.src) == "" {
		c.fail("empty", c.piece.Whole(), "", "an expression is missing here")
		return nil, false
	}
	if len(c.piece.src) > maxExprSize {
		c.fail("bound", c.piece.Whole(), "", "this expression is longer than %d characters", maxExprSize)
		return nil, false
	}
	if !c.tokens() {
		return nil, false
	}
	tree, err := parser.ParseWithConfig(c.piece.src, config)
	if err != nil {
		c.syntaxError(err)
		return nil, false
	}
	if size := treeSize(tree.Node, maxNodes); size > maxNodes {
		c.fail("bound", c.piece.Whole(), "", "this expression is too long; split it up with let")
		return nil, false
	}
	return tree.Node, true
}

// tokens looks for mistakes that can be recognised from the tokens alone, and that the parser would report in
// unhelpful places and terms.
func (c *Checker) tokens() bool {
	tokens, err := c.lex()
	if err != nil {
		c.lexError(tokens, err)
		return false
	}
	type bracket struct {
		sign string
		at   lexer.Token
	}
	var open []bracket
	at := func(from, to lexer.Token) text.Span { return c.piece.span(from.From, to.To) }
	ok := true
	fail := func(code string, s text.Span, suggestion, format string, args ...any) {
		c.fail(code, s, suggestion, format, args...)
		ok = false
	}
	if len(tokens) > maxTokens {
		fail("bound", c.piece.Whole(), "", "this expression is too long; split it up with let")
		return false
	}
	if c.looksLikeText(tokens) {
		return false
	}
	none := lexer.Token{Kind: lexer.EOF}
	get := func(i int) lexer.Token {
		if i < 0 || i >= len(tokens) {
			return none
		}
		return tokens[i]
	}
	for i := 0; i < len(tokens) && ok; i++ {
		t, prev, next := tokens[i], get(i-1), get(i+1)
		adjacent := next.Kind != lexer.EOF && next.From == t.To
		if m := c.foreign(tokens, i, len(open), len(open) > 0 && open[len(open)-1].sign == "("); m.message != "" {
			fail(m.code, at(t, get(m.last)), m.suggestion, "%s", m.message)
			return false
		}
		switch {
		case t.Is(lexer.Operator, "#") && next.Kind == lexer.Identifier && !adjacent && c.beginsLine(t.From):
			suggestion := ""
			if _, rest, _ := strings.Cut(c.piece.src[byteOffset(c.piece.src, t.From):], "\n"); strings.TrimSpace(rest) != "" {
				suggestion = "//" // the comment ends with its line, and the expression continues
			}
			fail("comment", at(t, t), suggestion, "a comment in an expression begins with //, not with #")
		case t.Kind == lexer.Bracket && strings.Contains("([{", t.Value):
			if t.Value == "{" && adjacent && next.Is(lexer.Bracket, "{") && i == 0 {
				inner := strings.TrimSpace(c.piece.src)
				inner = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(inner, "{{"), "}}"))
				fail("braces", c.piece.Whole(), inner, "%s", NoBraces)
				return false
			}
			if len(open) > maxNesting {
				fail("bound", at(t, t), "", "brackets are nested too deep here")
			}
			open = append(open, bracket{t.Value, t})
		case t.Kind == lexer.Bracket:
			want := map[string]string{")": "(", "]": "[", "}": "{"}[t.Value]
			switch {
			case len(open) == 0:
				fail("bracket", at(t, t), "", "this %s has no %s before it", t.Value, want)
			case open[len(open)-1].sign != want:
				o := open[len(open)-1]
				fail("bracket", at(o.at, o.at), "", "this %s is not closed before the next %s", o.sign, t.Value)
			default:
				open = open[:len(open)-1]
			}
		case (t.Is(lexer.Operator, "==") || t.Is(lexer.Operator, "!=")) && adjacent && next.Is(lexer.Operator, "="):
			fail("operator", at(t, next), t.Value, "write %s, not %[1]s=", t.Value)
		case t.Is(lexer.Operator, "=") && adjacent && next.Is(lexer.Operator, ">", "<"):
			s := next.Value + "="
			fail("operator", at(t, next), s, "%s%s is written %s", t.Value, next.Value, s)
		case t.Is(lexer.Operator, "=>", "=<"):
			s := t.Value[1:] + "="
			fail("operator", at(t, t), s, "%s is written %s", t.Value, s)
		case t.Is(lexer.Operator, "=") && !(prev.Kind == lexer.Identifier && get(i-2).Is(lexer.Operator, "let")):
			fail("operator", at(t, t), "==", "= is not a comparison; write ==")
		case t.Is(lexer.Operator, "<") && adjacent && next.Is(lexer.Operator, ">"):
			fail("operator", at(t, next), "!=", "write != for unequal, not <>")
		case t.Is(lexer.Operator, "&"):
			fail("operator", at(t, t), "&&", "write && for and, not a single &")
		case t.Is(lexer.Operator, "|") && !(next.Kind == lexer.Identifier && get(i+2).Is(lexer.Bracket, "(")):
			fail("operator", at(t, t), "||", "write || for or, not a single |")
		case t.Kind == lexer.Identifier && !prev.Is(lexer.Operator, ".", "?.", "#") && !next.Is(lexer.Bracket, "("):
			if word, isWord := operatorWord(t.Value, endsOperand(prev), beginsOperand(next)); isWord {
				fail("operator", at(t, t), word, "%s is written %s", t.Value, word)
			} else if endsOperand(prev) {
				fail("operator", at(t, t), "", "an operator such as && or == is missing before %s", text.Quote(t.Value))
			}
		case t.Kind == lexer.Identifier && t.Value == "NOT" && next.Is(lexer.Bracket, "("):
			fail("operator", at(t, t), "not", "NOT is written not")
		case t.Kind == lexer.Identifier && endsOperand(prev) && next.Is(lexer.Bracket, "("):
			if word, isWord := operatorWord(t.Value, true, true); isWord {
				fail("operator", at(t, t), word, "%s is written %s", t.Value, word)
			} else {
				fail("operator", at(t, t), "", "an operator such as && or == is missing before %s", text.Quote(t.Value))
			}
		case (t.Kind == lexer.Number || t.Kind == lexer.String) && endsOperand(prev):
			fail("operator", at(t, t), "", "an operator such as && or == is missing before %s", text.Printable(t.Value))
		case t.Kind == lexer.Bytes:
			fail("unsupported", at(t, t), "", "a b before the quote is not supported in a rule")
		}
	}
	if ok && len(open) > 0 {
		if c.cut() {
			return false
		}
		o := open[len(open)-1]
		fail("bracket", at(o.at, o.at), "", "this %s is never closed", o.sign)
	}
	return ok
}

func endsOperand(t lexer.Token) bool {
	return t.Kind == lexer.Identifier || t.Kind == lexer.Number || t.Kind == lexer.String || t.Is(lexer.Bracket, ")", "]")
}

func beginsOperand(t lexer.Token) bool {
	return t.Kind == lexer.Identifier || t.Kind == lexer.Number || t.Kind == lexer.String || t.Is(lexer.Bracket, "(", "[", "{") || t.Is(lexer.Operator, "!", "not", "-")
}

// operatorWord recognises words that other languages use for operators.
func operatorWord(word string, afterOperand, beforeOperand bool) (string, bool) {
	if !beforeOperand {
		return "", false
	}
	if !afterOperand {
		if word == "NOT" || word == "Not" {
			return "not", true
		}
		return "", false
	}
	for _, known := range [][2]string{
		{"and", "&&"}, {"or", "||"}, {"in", "in"}, {"contains", "contains"}, {"includes", "contains"}, {"like", "contains"}, {"startswith", "startsWith"}, {"endswith", "endsWith"},
		{"matches", "matches"}, {"not", "not"}, {"is", "=="}, {"equals", "=="}, {"equal", "=="}, {"eq", "=="}, {"isnot", "!="}, {"ne", "!="}, {"neq", "!="},
		{"gt", ">"}, {"lt", "<"}, {"gte", ">="}, {"lte", "<="}, {"after", ">"}, {"before", "<"}, {"xor", "!="},
	} {
		if text.FoldWord(word) == known[0] && word != known[1] {
			if known[0] == "and" || known[0] == "or" {
				return strings.ToLower(word), true
			}
			return known[1], true
		}
	}
	return "", false
}

func (c *Checker) lex() ([]lexer.Token, error) {
	l := lexer.New()
	l.Reset(file.NewSource(c.piece.src))
	var tokens []lexer.Token
	for {
		t, err := l.Next()
		if errors.Is(err, io.EOF) {
			return tokens, nil
		}
		if err != nil {
			return tokens, err
		}
		if t.Kind == lexer.EOF {
			return tokens, nil
		}
		tokens = append(tokens, t)
	}
}

var bareDuration = regexp.MustCompile(`^[0-9]+(ms|[smhdw])([0-9]+(ms|[smhdw]))*\b`)

// lexError explains an expression that cannot be divided into tokens.
func (c *Checker) lexError(tokens []lexer.Token, err error) {
	var e *file.Error
	if !errors.As(err, &e) {
		c.fail("syntax", c.piece.Whole(), "", "%s cannot be read as an expression", text.Quote(c.piece.src))
		return
	}
	// The bad token begins where the last good one ended.
	from := 0
	if len(tokens) > 0 {
		from = tokens[len(tokens)-1].To
	}
	rest := c.piece.src[byteOffset(c.piece.src, from):]
	trimmed := strings.TrimLeft(rest, " \t\r\n")
	from += utf8.RuneCountInString(rest[:len(rest)-len(trimmed)])
	rest = trimmed
	first, _ := utf8.DecodeRuneInString(rest)
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
	case strings.ContainsRune("“”„‟‘’‚‛«»", first):
		rest := rest[utf8.RuneLen(first):]
		if i := strings.IndexAny(rest, "“”„‟‘’‚‛«»"); i >= 0 && !strings.ContainsAny(rest[:i], "\"\\\n") {
			_, w := utf8.DecodeRuneInString(rest[i:])
			n := 1 + utf8.RuneCountInString(rest[:i+w])
			q := `"`
			if strings.ContainsRune("‘’‚‛", first) {
				q = "'"
			}
			c.fail("quote", c.piece.span(from, from+n), q+rest[:i]+q, "use straight quotes: %s", q+rest[:i]+q)
			return
		}
		c.fail("quote", c.piece.span(from, from+1), `"`, "use straight quotes: %c is none", first)
	case first == '≥' || first == '≤' || first == '≠':
		s := map[rune]string{'≥': ">=", '≤': "<=", '≠': "!="}[first]
		c.fail("operator", c.piece.span(from, from+1), s, "%c is written %s here", first, s)
	case strings.ContainsRune("–—−×÷", first):
		s := map[rune]string{'×': "*", '÷': "/"}[first]
		if s != "" {
			c.fail("operator", c.piece.span(from, from+1), s, "%c is written %s here", first, s)
			return
		}
		c.fail("operator", c.piece.span(from, from+1), "-", "the dash %c is no minus; write -", first)
	case strings.ContainsRune("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad", first):
		c.fail("character", c.piece.span(from, from+1), "", "there is an invisible character here (%U); remove it", first)
	case first == '@' && nameAfter.MatchString(rest):
		name := nameAfter.FindString(rest)
		c.fail("character", c.piece.span(from, from+len(name)), name[1:], "write names without @")
	case first == 0xA0 || first == 0x2007 || first == 0x202F:
		c.fail("character", c.piece.span(from, from+1), " ", "this is a no-break space; write a plain one")
	case first == '@' || first == '$' || first == '~' || first == '\\':
		c.fail("character", c.piece.span(from, from+1), "", "%s has no meaning in an expression; a text must be in quotes", text.Quote(string(first)))
	default:
		c.fail("character", c.piece.span(e.From, e.To), "", "%s has no meaning in an expression; a text must be in quotes", text.Quote(string(first)))
	}
}

var unexpected = regexp.MustCompile(`^unexpected token (\w+)(?:\("(.*)"\))?$`)

// syntaxError explains an expression that cannot be parsed.
func (c *Checker) syntaxError(err error) {
	var e *file.Error
	if !errors.As(err, &e) {
		c.fail("syntax", c.piece.Whole(), "", "%s cannot be read as an expression", text.Quote(c.piece.src))
		return
	}
	at := c.piece.span(e.From, max(e.To, e.From+1))
	end := utf8.RuneCountInString(strings.TrimRight(c.piece.src, " \t\r\n"))
	atEnd := c.piece.span(end, end)
	message := strings.TrimPrefix(e.Message, "compilation failed: ")
	switch m := unexpected.FindStringSubmatch(message); {
	case strings.Contains(message, "maximum allowed nodes"):
		c.fail("bound", c.piece.Whole(), "", "this expression is too long; split it up with let")
	case m != nil && m[1] == "EOF", strings.Contains(message, "unexpected end"):
		if !c.cut() {
			c.fail("syntax", atEnd, "", "the expression ends here, but something must follow")
		}
	case m != nil:
		word := m[2]
		if m[1] == "String" {
			word = "a text"
		} else {
			word = text.Quote(word)
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

// beginsLine reports whether only blanks precede a character on its line.
func (c *Checker) beginsLine(at int) bool {
	before := c.piece.src[:byteOffset(c.piece.src, at)]
	return strings.TrimSpace(before[strings.LastIndexByte(before, '\n')+1:]) == ""
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
	last, lastEnd := 0, 0 // bytes and characters up to the last token
	advance := func(to int) int {
		last += byteOffset(s[last:], to-lastEnd)
		lastEnd = to
		return last
	}
	for {
		t, err := l.Next()
		if errors.Is(err, io.EOF) || err == nil && t.Kind == lexer.EOF {
			return 0, unclosedAt(s)
		}
		if err != nil { // a mistake in the expression: take it up to the next }}, so that the mistake is explained
			end := strings.Index(s, "}}")
			if end < 0 {
				return 0, unclosedAt(s)
			}
			if next := strings.Index(s, "{{"); next >= 0 && next < end {
				return 0, twiceBrace
			}
			return end, ""
		}
		if t.Kind != lexer.Bracket {
			continue
		}
		switch t.Value {
		case "{":
			depth++
		case "}":
			if depth > 0 {
				depth--
				continue
			}
			at := advance(t.From)
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
