package ruletest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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
	list := edits(a, b)
	isChange := func(e edit) bool { return e.sign != ' ' }
	left := false
	for i, e := range list {
		switch {
		case slices.ContainsFunc(list[max(0, i-context):min(len(list), i+context+1)], isChange):
			text.WriteString(strings.TrimRight(string(e.sign)+" "+e.line, " ") + "\n")
			left = false
		case !left:
			text.WriteString("  …\n")
			left = true
		}
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

type edit struct {
	sign byte
	line string
}

// edits returns the shortest list of edits that changes a into b by removing and adding lines.
func edits(a, b []string) []edit {
	// common[i][j] is the length of the longest common subsequence of a[i:] and b[j:].
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []edit
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, edit{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			out = append(out, edit{'-', a[i]})
			i++
		default:
			out = append(out, edit{'+', b[j]})
			j++
		}
	}
	return out
}
