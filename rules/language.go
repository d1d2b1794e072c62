package rules

import (
	"slices"

	"gopkg.in/yaml.v3"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// LanguageWords returns the words that `language` accepts besides languages.
func LanguageWords() []lang.Word {
	return []lang.Word{
		{Name: "contact", Doc: "The language of the person who booked, if it is known; else as location."},
		{Name: "location", Doc: "The language of the location, if it is known; else the configured one."},
		{Name: "user", Doc: "The language of the colleague who is assigned, if it is known; else as location."},
	}
}

// readLanguage reads a rule's `language`: a language, or whose it is.
func (b *body) readLanguage(r *text.Document, n *yaml.Node) {
	t, ok := r.Scalar(n, text.Quote("language"))
	if !ok {
		return
	}
	var owners []string
	for _, w := range LanguageWords() {
		owners = append(owners, w.Name)
	}
	owner := ownerOf(t.Value)
	switch {
	case slices.Contains(owners, t.Value):
		b.whoseLanguage = t.Value
	case lang.KnownLanguage(t.Value):
		b.language, b.whoseLanguage = lang.FindLanguage(t.Value), ""
	case owner != "":
		r.Mendf(text.Error, "language", t, t.Span(0, len(t.Value)), owner, "language takes no expression; write %s", owner)
	default:
		message, suggestion := lang.NoLanguage(t.Value)
		r.Mendf(text.Error, "language", t, t.Span(0, len(t.Value)), suggestion, "%s", message)
	}
}

// languageFor returns the language in which a rule prints names for an event.
func (b *body) languageFor(ev *Event) *lang.Language {
	if b.whoseLanguage == "" {
		return b.language
	}
	for _, owner := range []string{b.whoseLanguage, "location"} {
		if tag, _ := valueOf(owner + ".language")(ev).(string); tag != "" && lang.KnownLanguage(tag) {
			return lang.FindLanguage(tag)
		}
	}
	return b.language
}
