package lang

import (
	"slices"
	"strings"
	"time"

	"bellhop/rules/text"
)

// A Language holds the names of days and months in a language, in the form used within a date. The words are from
// CLDR (unicode-org/cldr, common/main, Gregorian calendar).
type Language struct {
	months, shortMonths [12]string
	days, shortDays     [7]string // from Sunday
}

var languages = map[string]*Language{
	"en": nil, // as layouts are written
	"de": {
		[12]string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"},
		[12]string{"Jan", "Feb", "Mär", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez"},
		[7]string{"Sonntag", "Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag"},
		[7]string{"So", "Mo", "Di", "Mi", "Do", "Fr", "Sa"},
	},
	"fr": {
		[12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
		[12]string{"janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."},
		[7]string{"dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"},
		[7]string{"dim.", "lun.", "mar.", "mer.", "jeu.", "ven.", "sam."},
	},
	"es": {
		[12]string{"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"},
		[12]string{"ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"},
		[7]string{"domingo", "lunes", "martes", "miércoles", "jueves", "viernes", "sábado"},
		[7]string{"dom", "lun", "mar", "mié", "jue", "vie", "sáb"},
	},
	"it": {
		[12]string{"gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre", "ottobre", "novembre", "dicembre"},
		[12]string{"gen", "feb", "mar", "apr", "mag", "giu", "lug", "ago", "set", "ott", "nov", "dic"},
		[7]string{"domenica", "lunedì", "martedì", "mercoledì", "giovedì", "venerdì", "sabato"},
		[7]string{"dom", "lun", "mar", "mer", "gio", "ven", "sab"},
	},
	"nl": {
		[12]string{"januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober", "november", "december"},
		[12]string{"jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec"},
		[7]string{"zondag", "maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag"},
		[7]string{"zo", "ma", "di", "wo", "do", "vr", "za"},
	},
	"pt": {
		[12]string{"janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto", "setembro", "outubro", "novembro", "dezembro"},
		[12]string{"jan.", "fev.", "mar.", "abr.", "mai.", "jun.", "jul.", "ago.", "set.", "out.", "nov.", "dez."},
		[7]string{"domingo", "segunda-feira", "terça-feira", "quarta-feira", "quinta-feira", "sexta-feira", "sábado"},
		[7]string{"dom.", "seg.", "ter.", "qua.", "qui.", "sex.", "sáb."},
	},
}

// Languages returns the languages in which names of days and months can be printed.
func Languages() []string { return text.SortedKeys(languages) }

// KnownLanguage reports whether names can be printed in a language, such as de. The region, as in de-AT, does not
// matter.
func KnownLanguage(tag string) bool {
	return slices.Contains(Languages(), baseLanguage(tag))
}

// FindLanguage returns the language with a tag, nil for English and for an unknown one.
func FindLanguage(tag string) *Language { return languages[baseLanguage(tag)] }

func baseLanguage(tag string) string {
	base, _, _ := strings.Cut(strings.ReplaceAll(tag, "_", "-"), "-")
	return strings.ToLower(base)
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
