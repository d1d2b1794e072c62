package lang

import (
	"slices"
	"testing"

	"bellhop/rules/text"
)

// The example of every habit raises it before any other, and its suggestion says what was meant.
func TestHabits(t *testing.T) {
	t.Parallel()
	env := &Env{Objects: map[string]Object{
		"appointment": {Fields: map[string]Type{"title": Text, "startTime": Time}},
		"contact":     {Fields: map[string]Type{"name": Text, "tags": ListOf(Text)}},
	}}
	for i, h := range habits {
		doc, written := text.Alone(h.example)
		c := &Checker{Scope: Scope{Env: env, Doc: doc}, piece: WholeOf(written)}
		tokens, err := c.lex()
		if err != nil {
			t.Errorf("%s: %v", h.example, err)
			continue
		}
		found, m, from := -1, correction{}, 0
		w := &words{src: h.example, tokens: tokens}
		for at := 0; at < len(tokens) && found < 0; at++ {
			w.i = at
			for _, of := range habitsOf[tokens[at].Kind] {
				if m = of.find(w); m.message != "" {
					found, from = slices.IndexFunc(habits, func(h habit) bool { return h.example == of.example }), at
					break
				}
			}
			if found < 0 && tokens[at].Kind == "Bracket" {
				c.bracket(w, tokens[at])
			}
		}
		if found != i {
			t.Errorf("%s: found habit %d (%s), not %d", h.example, found, m.message, i)
			continue
		}
		meant := ""
		if m.suggestion != "" {
			meant = h.example[:tokens[from].From] + m.suggestion + h.example[tokens[m.last].To:]
		}
		if meant != h.meant {
			t.Errorf("%s: the suggestion makes\n%s, want\n%s", h.example, meant, h.meant)
		}
		if c.tokens() {
			t.Errorf("%s: no finding", h.example)
		}
	}
}
