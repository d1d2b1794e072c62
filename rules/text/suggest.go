package text

import (
	"maps"
	"slices"
	"strings"

	"github.com/hbollon/go-edlib"
)

// Closest returns the candidate that word was most likely meant to be, or "".
func Closest(word string, candidates []string) string {
	if word == "" || len(word) > 64 {
		return ""
	}
	fold := FoldWord(word)
	best, bestDistance := "", 1+max(1, len([]rune(fold))/3)
	for _, c := range candidates {
		if c == word {
			continue
		}
		fc := FoldWord(c)
		if fc == fold {
			return c
		}
		if longer := len(fold) - len(fc); max(longer, -longer) > 8 {
			continue
		}
		if d := edlib.OSADamerauLevenshteinDistance(fold, fc); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best != "" {
		return best
	}
	// Only the beginning or the end of the word was written: "status" for "appointmentStatus".
	if len(fold) >= 4 {
		for _, c := range candidates {
			fc := FoldWord(c)
			if c != word && (strings.HasPrefix(fc, fold) || strings.HasSuffix(fc, fold)) {
				return c
			}
		}
	}
	return ""
}

func FoldWord(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToLower(s))
}

// DidYouMean returns the end of a sentence about an unknown word, "" without a suggestion.
func DidYouMean(suggestion string) string {
	if suggestion == "" {
		return ""
	}
	return "; did you mean " + Quote(suggestion) + "?"
}

func Quote(s string) string {
	if len(s) > 80 {
		cut := 80
		for cut > 0 && s[cut]&0xC0 == 0x80 {
			cut--
		}
		s = s[:cut] + "…"
	}
	return `"` + Printable(strings.ReplaceAll(s, "\n", " ")) + `"`
}

// OneOf returns words as a list for people: "a, b or c".
func OneOf(words []string) string {
	switch len(words) {
	case 0:
		return "nothing"
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func SortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// ListIfNone returns the end of a sentence about an unknown name for which there is no suggestion: the names there
// are.
func ListIfNone(suggestion string, names []string) string {
	if suggestion != "" {
		return ""
	}
	return "; it has " + strings.Join(names, ", ")
}

// NotGiven returns the names that a map does not have yet. A misspelt key was meant to be one of them.
func NotGiven(names []string, entries []Pair) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(entries, func(p Pair) bool { return p.Name == name })
	})
}
