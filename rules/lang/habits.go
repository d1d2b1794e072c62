package lang

import (
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/parser/lexer"

	"bellhop/rules/text"
)

// A habit is something that other languages write in another way. Habits are recognised from the words of an
// expression, because the parser would report them in unhelpful places and terms. To add a habit, add a value to the
// list. A test checks that it is the first one that its example raises, and what its suggestion makes of the example.
type habit struct {
	of      []lexer.Kind // the kinds of words that it can begin with
	example string       // an expression that shows it
	meant   string       // the example with the suggestion in place; "" if there is no suggestion
	// find looks at the word that w stands at. The zero correction means that the habit is not there.
	find func(w *words) correction
}

// A correction says what to write instead of the words from the present one to the last.
type correction struct {
	last                      int
	code, suggestion, message string
}

// instead is a correction of the present word and the n words after it.
func (w *words) instead(n int, code, suggestion, message string) correction {
	return correction{w.i + n, code, suggestion, message}
}

// where is [words.instead] if a condition holds.
func (w *words) where(holds bool, n int, code, suggestion, message string) correction {
	if !holds {
		return correction{}
	}
	return w.instead(n, code, suggestion, message)
}

// operator is a habit that is an operator, or two that are written together, such as ===.
func operator(wrong, right, message string) habit {
	return habit{operators, "1 " + wrong + " 2", "1 " + right + " 2", func(w *words) correction {
		switch {
		case w.is(wrong):
			return w.instead(0, "operator", right, message)
		case w.at(0).Kind == lexer.Operator && w.joined() && w.at(0).Value+w.at(1).Value == wrong:
			return w.instead(1, "operator", right, message)
		}
		return correction{}
	}}
}

// The kinds of words that habits begin with.
var (
	names     = []lexer.Kind{lexer.Identifier}
	operators = []lexer.Kind{lexer.Operator}
	brackets  = []lexer.Kind{lexer.Bracket}
	numbers   = []lexer.Kind{lexer.Number}
	byteTexts = []lexer.Kind{lexer.Bytes}
	operands  = []lexer.Kind{lexer.Identifier, lexer.Number, lexer.String}
	choices   = []lexer.Kind{lexer.Operator, lexer.Identifier} // if and then
)

// habitsOf are the habits that can begin with a kind of word, in the order of the list.
var habitsOf = func() map[lexer.Kind][]*habit {
	out := map[lexer.Kind][]*habit{}
	for i := range habits {
		for _, k := range habits[i].of {
			out[k] = append(out[k], &habits[i])
		}
	}
	return out
}()

var habits = []habit{
	{operators, `contains(appointment.title, "VIP")`, `appointment.title contains "VIP"`, func(w *words) correction {
		operator := w.at(0)
		if !w.is("contains", "startsWith", "endsWith", "matches") || endsOperand(w.at(-1)) || w.at(-1).Is(lexer.Operator, ".", "?.") || !w.at(1).Is(lexer.Bracket, "(") {
			return correction{}
		}
		last, commas := arguments(w.tokens, w.i+1)
		if last == 0 || len(commas) != 1 {
			return w.instead(0, "operator", "", operator.Value+" stands between two texts: a "+operator.Value+" b")
		}
		s := w.written(w.i+2, commas[0]-1) + " " + operator.Value + " " + w.written(commas[0]+1, last-1)
		return correction{last, "operator", s, "write " + s}
	}},
	{operators, `appointment.title == "a", "b"`, "", func(w *words) correction {
		return w.where(w.is(",") && len(w.open) == 0, 0, "syntax", "", `a comma is not expected here; several values are written field in ["a", "b"]`)
	}},
	{brackets, `appointment.title in ("a", "b")`, `appointment.title in ["a", "b"]`, func(w *words) correction {
		if !w.at(0).Is(lexer.Bracket, "(") || !w.at(-1).Is(lexer.Operator, "in") {
			return correction{}
		}
		last, commas := arguments(w.tokens, w.i)
		if last == 0 || len(commas) == 0 {
			return correction{}
		}
		s := "[" + w.written(w.i+1, last-1) + "]"
		return correction{last, "bracket", s, "write a list as " + s}
	}},
	{operators, `.appointment.title == "a"`, `appointment.title == "a"`, func(w *words) correction {
		return w.where(w.i == 0 && w.is(".") && w.at(1).Kind == lexer.Identifier, 1, "syntax", w.at(1).Value, "write names without a dot in front")
	}},
	{operators, "appointment.title == \"a\"\n# and nothing else\n|| contact.name == \"b\"", "appointment.title == \"a\"\n// and nothing else\n|| contact.name == \"b\"", func(w *words) correction {
		t := w.at(0)
		if !w.is("#") || !w.beginsLine() || w.joined() || w.at(1).Kind != lexer.Identifier && len(w.open) > 0 {
			return correction{}
		}
		suggestion := ""
		if _, rest, _ := strings.Cut(w.src[byteOffset(w.src, t.From):], "\n"); strings.TrimSpace(rest) != "" {
			suggestion = "//" // the comment ends with its line, and the expression continues
		}
		return w.instead(0, "comment", suggestion, "a comment in an expression begins with //, not with #")
	}},
	{operators, `appointment.title == "a" # only these`, "", func(w *words) correction {
		comment := w.is("#") && len(w.open) == 0 && endsOperand(w.at(-1))
		return w.where(comment, 0, "comment", "", "a comment cannot stand inside an expression; put it on a line of its own above")
	}},
	{names, `${appointment.title}`, "", func(w *words) correction {
		return w.where(w.i == 0 && w.named(0, "$") && w.at(1).Is(lexer.Bracket, "{"), 1, "braces", "",
			"no ${ } is needed here: a value is written as it is, such as appointment.title")
	}},
	{operators, `contact.name | default("guest")`, `contact.name ?? "guest"`, func(w *words) correction {
		if !w.is("|") || !w.named(1, "default", "d") {
			return correction{}
		}
		last, commas := arguments(w.tokens, w.i+2)
		if last == 0 || len(commas) > 0 {
			return correction{}
		}
		s := "?? " + w.written(w.i+3, last-1)
		return correction{last, "operator", s, "write a default as " + s}
	}},
	{operators, `contact.name | toUpper`, `contact.name | upper()`, func(w *words) correction {
		if !w.is("|") || w.at(1).Kind != lexer.Identifier || w.at(2).Is(lexer.Bracket, "(") {
			return correction{}
		}
		word := w.at(1).Value
		if alias, ok := functionAliases[word]; ok {
			word = alias
		}
		if f := functions[word]; f == nil || f.isPredicate() {
			return correction{}
		}
		s := "| " + word + "()"
		return w.instead(1, "function", s, "a function is called with parentheses: write "+s)
	}},
	{names, `any(contact.tags, t => t == "vip")`, "", func(w *words) correction {
		arrow := 0 // its length in words
		switch {
		case w.at(1).Is(lexer.Operator, "=") && w.at(2).Is(lexer.Operator, ">") && w.at(2).From == w.at(1).To:
			arrow = 2
		case w.at(1).Is(lexer.Operator, "=>") && w.at(-1).Is(lexer.Operator, ","):
			arrow = 1
		}
		if arrow == 0 || !w.inCall() {
			return correction{}
		}
		return w.instead(arrow, "operator", "", "leave out "+text.Quote(w.written(w.i, w.i+arrow))+": an element is called # in what follows")
	}},
	{names, `appointment.startTime > new Date()`, `appointment.startTime > now()`, func(w *words) correction {
		if !w.named(0, "new") || w.at(1).Kind != lexer.Identifier || w.at(1).Value != "Date" {
			return correction{}
		}
		if w.emptyCall(2) {
			return w.instead(3, "function", "now()", writeNow)
		}
		return w.instead(1, "function", "date", `write a time as date("2026-01-31 15:04:05")`)
	}},
	{names, `appointment.startTime > Date.now()`, `appointment.startTime > now()`, func(w *words) correction {
		name := w.at(0).Value
		method := (name == "Date" || name == "datetime") && w.at(1).Is(lexer.Operator, ".") && w.at(2).Kind == lexer.Identifier
		return w.where(method && w.emptyCall(3), 4, "function", "now()", writeNow)
	}},
	{names, `appointment.title is not "a"`, `appointment.title != "a"`, func(w *words) correction {
		not := w.at(1).Is(lexer.Operator, "not") || w.named(1, "not")
		if !not || !w.named(0, "is") || !endsOperand(w.at(-1)) {
			return correction{}
		}
		return w.instead(1, "operator", "!=", w.written(w.i, w.i+1)+" is written !=")
	}},
	{names, `appointment.startTime.Hour() between 9 and 17`, `appointment.startTime.Hour() >= 9 && appointment.startTime.Hour() <= 17`, func(w *words) correction {
		if !w.named(0, "between") || !endsOperand(w.at(-1)) {
			return correction{}
		}
		last, s := w.between()
		if s == "" {
			return w.instead(0, "operator", "", "there is no between; a range is written with two comparisons: x >= 1 && x <= 3")
		}
		return correction{last, "operator", s, "a range is written with two comparisons: write " + s + " instead of " + w.written(w.i, last)}
	}},
	{names, `appointment.title starts with "VIP"`, `appointment.title startsWith "VIP"`, func(w *words) correction {
		if !w.named(0, "starts", "begins", "ends") || !w.named(1, "with") || !endsOperand(w.at(-1)) {
			return correction{}
		}
		s := "startsWith"
		if w.named(0, "ends") {
			s = "endsWith"
		}
		return w.instead(1, "operator", s, w.written(w.i, w.i+1)+" is written "+s)
	}},
	{names, `appointment.startTime > Date("2026-05-01")`, `appointment.startTime > date("2026-05-01")`, func(w *words) correction {
		if w.at(0).Value != "Date" || !w.at(1).Is(lexer.Bracket, "(") || w.at(-1).Is(lexer.Operator, ".", "?.") {
			return correction{}
		}
		if w.emptyCall(1) {
			return w.instead(2, "function", "now()", writeNow)
		}
		return w.instead(0, "function", "date", `write a time as date("2026-01-31 15:04:05"), with a small d`)
	}},
	{operands, `appointment.title in ["a" "b"]`, `appointment.title in ["a" , "b"]`, func(w *words) correction {
		if !endsOperand(w.at(-1)) || !w.amongValues() {
			return correction{}
		}
		this := w.written(w.i, w.i)
		return w.instead(0, "syntax", ", "+this, "a comma is missing between "+w.written(w.i-1, w.i-1)+" and "+this)
	}},
	{choices, `if appointment.title == "a"`, "", func(w *words) correction {
		then := w.named(0, "then") && endsOperand(w.at(-1)) && w.at(-w.i).Is(lexer.Operator, "if")
		brace := func(t lexer.Token) bool { return t.Is(lexer.Bracket, "{") }
		alone := w.i == 0 && w.is("if") && !slices.ContainsFunc(w.tokens, brace)
		return w.where(then || alone, 0, "syntax", "", "write a choice as condition ? a : b; a condition alone needs no if")
	}},
	{numbers, `appointment.startTime > now() + 2 hours`, `appointment.startTime > now() + duration("2h")`, func(w *words) correction {
		if w.at(1).Kind != lexer.Identifier {
			return correction{}
		}
		amount, ok := ReadDuration(w.written(w.i, w.i+1))
		s := `duration("` + amount + `")`
		return w.where(ok, 1, "duration", s, "write a duration as "+s)
	}},
	{numbers, `timeOfDay(appointment.startTime) < 9:00`, `timeOfDay(appointment.startTime) < "09:00"`, func(w *words) correction {
		if !w.at(1).Is(lexer.Operator, ":") || w.at(2).Kind != lexer.Number || !hourMinute.MatchString(w.written(w.i, w.i+2)) {
			return correction{}
		}
		s := `"` + strings.Repeat("0", 5-len(w.written(w.i, w.i+2))) + w.written(w.i, w.i+2) + `"`
		return w.instead(2, "quote", s, "a time of the day is a text: write "+s)
	}},
	operator("===", "==", "write ==, not ==="),
	operator("!==", "!=", "write !=, not !=="),
	operator("=>", ">=", "=> is written >="),
	operator("=<", "<=", "=< is written <="),
	operator("<>", "!=", "write != for unequal, not <>"),
	operator("&", "&&", "write && for and, not a single &"),
	{operators, `appointment.title = "a"`, `appointment.title == "a"`, func(w *words) correction {
		let := w.at(-1).Kind == lexer.Identifier && w.at(-2).Is(lexer.Operator, "let")
		return w.where(w.is("=") && !let, 0, "operator", "==", "= is not a comparison; write ==")
	}},
	{operators, `(appointment.title == "a") | (contact.name == "b")`, `(appointment.title == "a") || (contact.name == "b")`, func(w *words) correction {
		call := w.at(1).Kind == lexer.Identifier && w.at(2).Is(lexer.Bracket, "(")
		return w.where(w.is("|") && !call, 0, "operator", "||", "write || for or, not a single |")
	}},
	{names, `appointment.title equals "a"`, `appointment.title == "a"`, func(w *words) correction {
		word, ok := operatorWord(w.at(0).Value, endsOperand(w.at(-1)), beginsOperand(w.at(1)))
		if !ok || w.at(-1).Is(lexer.Operator, ".", "?.", "#") {
			return correction{}
		}
		return w.instead(0, "operator", word, w.at(0).Value+" is written "+word)
	}},
	{operands, `appointment.title == "a" contact.name == "b"`, "", func(w *words) correction {
		if !endsOperand(w.at(-1)) {
			return correction{}
		}
		word := text.Printable(w.at(0).Value)
		if w.at(0).Kind == lexer.Identifier {
			word = text.Quote(w.at(0).Value)
		}
		return w.instead(0, "operator", "", "an operator such as && or == is missing before "+word)
	}},
	{byteTexts, `appointment.title == b"a"`, "", func(w *words) correction {
		return w.instead(0, "unsupported", "", "a b before the quote is not supported in a rule")
	}},
}

const writeNow = "for the present time write now()"

var hourMinute = regexp.MustCompile(`^[0-9]{1,2}:[0-9]{2}$`)

// operatorWords are the words that other languages use for operators, and what they are here.
var operatorWords = map[string]string{
	"and": "and", "or": "or", "in": "in", "contains": "contains", "includes": "contains", "like": "contains", "startswith": "startsWith", "endswith": "endsWith",
	"matches": "matches", "not": "not", "is": "==", "equals": "==", "equal": "==", "eq": "==", "isnot": "!=", "ne": "!=", "neq": "!=",
	"gt": ">", "lt": "<", "gte": ">=", "lte": "<=", "after": ">", "before": "<", "xor": "!=",
}

// operatorWord returns the operator that a word means in another language.
func operatorWord(word string, afterOperand, beforeOperand bool) (string, bool) {
	switch {
	case !beforeOperand:
		return "", false
	case !afterOperand:
		return "not", word == "NOT" || word == "Not"
	}
	known := operatorWords[text.FoldWord(word)]
	return known, known != "" && known != word
}
