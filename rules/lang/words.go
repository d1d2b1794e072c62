package lang

// A Word is a name that means something in a rule file.
type Word struct {
	Name string
	Type string   // the type of its value: "a time"; "" if that says nothing
	Doc  string   // one sentence for people
	Uses []string // of a function, the ways to call it: "tz(time, text) → time"

	Example string // an expression that uses it
}

// Operators returns the operators that are words, and the words for fixed values.
func Operators() []Word {
	return []Word{
		{Name: "and", Doc: "Whether both sides hold; also written &&."},
		{Name: "contains", Doc: "Whether a text has a part: appointment.title contains \"colour\"."},
		{Name: "endsWith", Doc: "Whether a text ends with another."},
		{Name: "false", Doc: "Never holds."},
		{Name: "in", Doc: "Whether a list has an element: appointment.calendarId in [\"a\", \"b\"]."},
		{Name: "matches", Doc: "Whether a text fits a regular expression."},
		{Name: "nil", Doc: "No value."},
		{Name: "not", Doc: "Whether what follows does not hold; also written !."},
		{Name: "or", Doc: "Whether one of the sides holds; also written ||."},
		{Name: "startsWith", Doc: "Whether a text begins with another."},
		{Name: "true", Doc: "Always holds."},
	}
}
