package lang

import (
	"slices"
	"strings"

	"bellhop/rules/text"
)

// A Word is a name that means something in a rule file.
type Word struct {
	Name string
	Type string   // what it stands for, in words: "a time"; "" where that says nothing
	Doc  string   // one sentence for people
	Uses []string // of a function, the ways to call it: "tz(time, text) → time"
}

// TimeMethods are the methods of times, as in appointment.startTime.Hour().
func TimeMethods() []Word {
	docs := map[string]string{
		"Year": "The year.", "Month": "The month: 1 to 12.", "Day": "The day of the month.", "Hour": "The hour: 0 to 23.",
		"Minute": "The minute: 0 to 59.", "YearDay": "The day of the year: 1 to 366.", "Unix": "The seconds since 1 January 1970 UTC.",
	}
	var words []Word
	for _, name := range text.SortedKeys(timeMethods) {
		words = append(words, Word{Name: name, Type: intType.String(), Doc: docs[name], Uses: []string{"time." + name + "() → number"}})
	}
	return words
}

// Functions are the functions of expressions, by name.
func Functions() []Word {
	var words []Word
	for name, f := range functions {
		w := Word{Name: name, Doc: f.doc}
		for _, form := range f.forms {
			w.Uses = append(w.Uses, spellForm(name, form))
		}
		words = append(words, w)
	}
	for name, doc := range predicates {
		use := name + "(list, what # stands for each element in)"
		if name == "reduce" {
			use = "reduce(list, what #acc and # become together)"
		}
		words = append(words, Word{Name: name, Doc: doc, Uses: []string{use}})
	}
	slices.SortFunc(words, func(a, b Word) int { return strings.Compare(a.Name, b.Name) })
	return words
}

// Operators are the operators of expressions that are words, and the words for fixed values.
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

// Zones are the names of time zones.
func Zones() []string { return strings.Fields(zoneNames) }

// spellForm writes a form of a function as people read it: "T,N*>F" of f as "f(text, number, …) → number".
func spellForm(name, form string) string {
	kinds := map[string]string{
		"A": "anything", "T": "text", "N": "number", "F": "number", "I": "whole number", "B": "true or false", "M": "time", "D": "duration",
		"Z": "time zone", "L": "list", "P": "map", "X": "a value", "O": "a value", "S": "the same", "E": "an element", "J": "an element", "LT": "list of texts",
	}
	args, result, _ := strings.Cut(form, ">")
	var words []string
	if args != "" {
		for arg := range strings.SplitSeq(args, ",") {
			more := strings.HasSuffix(arg, "*")
			words = append(words, kinds[strings.TrimSuffix(arg, "*")])
			if more {
				words = append(words, "…")
			}
		}
	}
	return name + "(" + strings.Join(words, ", ") + ") → " + kinds[result]
}
