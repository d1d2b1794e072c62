package ruletest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/creachadair/mds/slice"
)

// written returns a value as a text for people to compare. Texts stay as they are. Lists and objects are JSON with one
// value on each line.
func written(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool, json.Number, float64:
		return fmt.Sprint(v)
	}
	return toJSON(v, "  ")
}

// toJSON returns a value as JSON, with <, > and & as they are.
func toJSON(v any, indent string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// diff shows the expected and the actual text. Lines with "-" are expected, lines with "+" are actual, and lines with a
// blank are in both. Lines in both that are far from a difference are left out.
func diff(want, got string) string {
	if want == got { // for example, a text and a number can look the same
		return "- " + want + "\n+ " + got + " (of another kind)\n"
	}
	a, b := lines(want), lines(got)
	if len(a)*len(b) > maxCompared {
		return "- " + strings.Join(a, "\n- ") + "\n+ " + strings.Join(b, "\n+ ") + "\n"
	}
	var text strings.Builder
	write := func(sign string, lines []string) {
		for _, l := range lines {
			text.WriteString(strings.TrimRight(sign+l, " ") + "\n")
		}
	}
	script := slice.EditScript(a, b)
	for i, e := range script {
		if e.Op != slice.OpCopy {
			write("- ", e.X)
			write("+ ", e.Y)
			continue
		}
		head, tail := context, context
		if i == 0 {
			head = 0
		}
		if i == len(script)-1 {
			tail = 0
		}
		if len(e.X) > head+tail {
			e.X = slices.Concat(e.X[:head], []string{"…"}, e.X[len(e.X)-tail:])
		}
		write("  ", e.X)
	}
	return text.String()
}

const (
	context     = 3         // lines shown around a difference
	maxCompared = 4_000_000 // most pairs of lines to compare
)

// lines splits a text into lines to show. It makes blanks at the end of a line, and a line break at the end of the text,
// visible.
func lines(text string) []string {
	if text == "" {
		return []string{"(nothing)"}
	}
	list := strings.Split(text, "\n")
	if last := len(list) - 1; last > 0 && list[last] == "" {
		list = append(list[:last], "(line break at the end)")
	}
	for i, l := range list {
		if trimmed := strings.TrimRight(l, " \t"); trimmed != l {
			list[i] = trimmed + strings.Repeat("·", len(l)-len(trimmed)) // otherwise nobody would see them
		}
	}
	return list
}
