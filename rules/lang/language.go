package lang

import (
	"strings"
	"sync"
	"time"

	"github.com/go-playground/locales"
	"github.com/go-playground/locales/af"
	"github.com/go-playground/locales/ar"
	"github.com/go-playground/locales/az"
	"github.com/go-playground/locales/be"
	"github.com/go-playground/locales/bg"
	"github.com/go-playground/locales/bs"
	"github.com/go-playground/locales/ca"
	"github.com/go-playground/locales/cs"
	"github.com/go-playground/locales/cy"
	"github.com/go-playground/locales/da"
	"github.com/go-playground/locales/de"
	"github.com/go-playground/locales/el"
	"github.com/go-playground/locales/es"
	"github.com/go-playground/locales/et"
	"github.com/go-playground/locales/eu"
	"github.com/go-playground/locales/fa"
	"github.com/go-playground/locales/fi"
	"github.com/go-playground/locales/fil"
	"github.com/go-playground/locales/fr"
	"github.com/go-playground/locales/ga"
	"github.com/go-playground/locales/gl"
	"github.com/go-playground/locales/he"
	"github.com/go-playground/locales/hi"
	"github.com/go-playground/locales/hr"
	"github.com/go-playground/locales/hu"
	"github.com/go-playground/locales/hy"
	"github.com/go-playground/locales/id"
	"github.com/go-playground/locales/is"
	"github.com/go-playground/locales/it"
	"github.com/go-playground/locales/ja"
	"github.com/go-playground/locales/ka"
	"github.com/go-playground/locales/kk"
	"github.com/go-playground/locales/ko"
	"github.com/go-playground/locales/lt"
	"github.com/go-playground/locales/lv"
	"github.com/go-playground/locales/mk"
	"github.com/go-playground/locales/mn"
	"github.com/go-playground/locales/ms"
	"github.com/go-playground/locales/nb"
	"github.com/go-playground/locales/nl"
	"github.com/go-playground/locales/pl"
	"github.com/go-playground/locales/pt"
	"github.com/go-playground/locales/ro"
	"github.com/go-playground/locales/ru"
	"github.com/go-playground/locales/sk"
	"github.com/go-playground/locales/sl"
	"github.com/go-playground/locales/sq"
	"github.com/go-playground/locales/sr"
	"github.com/go-playground/locales/sv"
	"github.com/go-playground/locales/sw"
	"github.com/go-playground/locales/th"
	"github.com/go-playground/locales/tr"
	"github.com/go-playground/locales/uk"
	"github.com/go-playground/locales/ur"
	"github.com/go-playground/locales/uz"
	"github.com/go-playground/locales/vi"
	"github.com/go-playground/locales/zh"

	"bellhop/rules/text"
)

// A Language holds the names of days and months in a language, in the form used within a date. The words are those of the
// Unicode CLDR.
type Language struct {
	months, shortMonths []string // from January
	days, shortDays     []string // from Sunday
}

// locale makes the words of each language. English is as layouts are written.
var locale = map[string]func() locales.Translator{
	"en": nil,
	"af": af.New, "ar": ar.New, "az": az.New, "be": be.New, "bg": bg.New, "bs": bs.New, "ca": ca.New, "cs": cs.New, "cy": cy.New,
	"da": da.New, "de": de.New, "el": el.New, "es": es.New, "et": et.New, "eu": eu.New, "fa": fa.New, "fi": fi.New, "fil": fil.New,
	"fr": fr.New, "ga": ga.New, "gl": gl.New, "he": he.New, "hi": hi.New, "hr": hr.New, "hu": hu.New, "hy": hy.New, "id": id.New,
	"is": is.New, "it": it.New, "ja": ja.New, "ka": ka.New, "kk": kk.New, "ko": ko.New, "lt": lt.New, "lv": lv.New, "mk": mk.New,
	"mn": mn.New, "ms": ms.New, "nb": nb.New, "nl": nl.New, "pl": pl.New, "pt": pt.New, "ro": ro.New, "ru": ru.New, "sk": sk.New,
	"sl": sl.New, "sq": sq.New, "sr": sr.New, "sv": sv.New, "sw": sw.New, "th": th.New, "tr": tr.New, "uk": uk.New, "ur": ur.New,
	"uz": uz.New, "vi": vi.New, "zh": zh.New,
}

// languages holds each language once it was asked for.
var languages sync.Map

// Languages returns the languages in which names of days and months can be printed.
func Languages() []string { return text.SortedKeys(locale) }

// KnownLanguage reports whether names can be printed in a language, such as de. The region, as in de-AT, does not
// matter.
func KnownLanguage(tag string) bool {
	_, ok := locale[baseLanguage(tag)]
	return ok
}

// FindLanguage returns the language with a tag, nil for English and for an unknown one.
func FindLanguage(tag string) *Language {
	base := baseLanguage(tag)
	if l, ok := languages.Load(base); ok {
		return l.(*Language)
	}
	var l *Language
	if words := locale[base]; words != nil {
		w := words()
		l = &Language{w.MonthsWide(), w.MonthsAbbreviated(), w.WeekdaysWide(), w.WeekdaysAbbreviated()}
	}
	kept, _ := languages.LoadOrStore(base, l)
	return kept.(*Language)
}

// otherTags are tags of languages that have another one too.
var otherTags = map[string]string{"no": "nb", "nn": "nb", "iw": "he", "in": "id", "tl": "fil"}

func baseLanguage(tag string) string {
	base, _, _ := strings.Cut(strings.ReplaceAll(tag, "_", "-"), "-")
	base = strings.ToLower(base)
	if other := otherTags[base]; other != "" {
		return other
	}
	return base
}

// format prints a time as [time.Time.Format] does, with names in the language. A nil language is English.
func (l *Language) format(t time.Time, layout string) string {
	if l == nil {
		return t.Format(layout)
	}
	var b strings.Builder
	rest := layout
	for rest != "" {
		at, part := nameIn(rest)
		b.WriteString(t.Format(rest[:at]))
		switch part {
		case "January":
			b.WriteString(l.months[t.Month()-1])
		case "Jan":
			b.WriteString(l.shortMonths[t.Month()-1])
		case "Monday":
			b.WriteString(l.days[t.Weekday()])
		case "Mon":
			b.WriteString(l.shortDays[t.Weekday()])
		}
		rest = rest[at+len(part):]
	}
	return b.String()
}

// nameIn finds the first name of a day or month in a layout, as package time does: there is none in Money. Without
// one, at is the end of the layout.
func nameIn(layout string) (at int, part string) {
	for at = range len(layout) {
		rest := layout[at:]
		for _, part := range []string{"January", "Monday", "Jan", "Mon"} {
			if !strings.HasPrefix(rest, part) {
				continue
			}
			if next := rest[len(part):]; len(part) > 3 || next == "" || next[0] < 'a' || next[0] > 'z' {
				return at, part
			}
		}
	}
	return len(layout), ""
}

// NoLanguage says that a word is not one of the languages. suggestion is the one that was meant, such as de for German; "" if
// that is unknown.
func NoLanguage(word string) (message, suggestion string) {
	if suggestion = languageNames[strings.ToLower(strings.TrimSpace(word))]; suggestion == "" {
		suggestion = text.Closest(word, Languages())
	}
	return text.Quote(word) + " is not a language that dates can be printed in" + text.DidYouMean(suggestion) + text.ListIfNone(suggestion, Languages()), suggestion
}

// languageNames are what people call languages.
var languageNames = map[string]string{
	"english": "en", "german": "de", "deutsch": "de", "french": "fr", "français": "fr", "spanish": "es", "español": "es", "italian": "it",
	"italiano": "it", "dutch": "nl", "nederlands": "nl", "portuguese": "pt", "português": "pt", "polish": "pl", "polski": "pl", "czech": "cs",
	"danish": "da", "swedish": "sv", "norwegian": "nb", "finnish": "fi", "greek": "el", "turkish": "tr", "russian": "ru", "ukrainian": "uk",
	"romanian": "ro", "hungarian": "hu", "japanese": "ja", "chinese": "zh", "korean": "ko", "arabic": "ar", "hebrew": "he", "hindi": "hi",
	"vietnamese": "vi", "thai": "th", "indonesian": "id",
}
