package rules

import (
	"slices"
	"strings"
	"time"

	"bellhop/rules/text"
)

// A typ is what is known of a value before any event is there. It is what makes a misspelt field or a wrong
// comparison an error when the file is loaded.
type typ struct {
	kind kind
	elem *typ   // of a list, nil if unknown
	name string // of an object: appointment, previous or contact

	missing bool // it may be nil instead

	words *words // the only texts that it can be, nil if any
}

// A words is what is known of a text that cannot be any text.
type words struct {
	valid   func(string) bool
	near    func(string) string // what was probably meant by one that is not; "" if that cannot be told
	code    string              // of the finding about a text that is none of them
	message string              // %s is the text, in quotes
	others  string              // how the message ends where nothing is near
	lenient bool                // there may be more of them: only one that is near is a mistake
	ordered bool                // < and > between them mean something too
}

// oneOfWords are the words of a list. near may be nil.
func oneOfWords(list []string, code, message string, near func(string) string) *words {
	if near == nil {
		near = func(word string) string { return text.Closest(word, list) }
	}
	return &words{valid: func(s string) bool { return slices.Contains(list, s) }, near: near, code: code, message: message}
}

// of is the type with only some texts.
func (t typ) of(w *words) typ {
	t.words = w
	return t
}

type kind uint8

const (
	anyKind kind = iota // known only when the event is there: raw, custom and what lies below
	badKind             // the result of a mistake that has been reported: compatible with everything
	nilKind
	boolKind
	intKind
	floatKind
	textKind
	timeKind
	durationKind
	zoneKind
	listKind
	mapKind
	objectKind
)

var (
	anyType      = typ{kind: anyKind}
	badType      = typ{kind: badKind}
	nilType      = typ{kind: nilKind}
	boolType     = typ{kind: boolKind}
	intType      = typ{kind: intKind}
	floatType    = typ{kind: floatKind}
	textType     = typ{kind: textKind}
	timeType     = typ{kind: timeKind}
	durationType = typ{kind: durationKind}
	zoneType     = typ{kind: zoneKind}
	listType     = typ{kind: listKind}
	mapType      = typ{kind: mapKind}
	textsType    = typ{kind: listKind, elem: &textType}
	intsType     = typ{kind: listKind, elem: &intType}
)

// String names the type for people, with its article.
func (t typ) String() string {
	switch t.kind {
	case nilKind:
		return "nothing"
	case boolKind:
		return "true or false"
	case intKind, floatKind:
		return "a number"
	case textKind:
		return "a text"
	case timeKind:
		return "a time"
	case durationKind:
		return "a duration"
	case zoneKind:
		return "a time zone"
	case listKind:
		if t.elem != nil && t.elem.kind == textKind {
			return "a list of texts"
		}
		return "a list"
	case mapKind:
		return "a map"
	case objectKind:
		return "the whole " + t.name
	}
	return "a value"
}

// open says that nothing can be said about the type: no mistake is to be reported on its account.
func (t typ) open() bool   { return t.kind == anyKind || t.kind == badKind }
func (t typ) number() bool { return t.kind == intKind || t.kind == floatKind }
func (t typ) is(k kind) bool {
	return t.kind == k || t.open()
}

// orNil is the type of what may also be nil, and sure that of what is not.
func (t typ) orNil() typ {
	t.missing = t.kind != badKind && t.kind != nilKind
	return t
}

func (t typ) sure() typ {
	t.missing = false
	return t
}

// scalar types are those whose comparison costs the same whatever the payload holds.
func (t typ) scalar() bool {
	if t.missing {
		return false
	}
	switch t.kind {
	case nilKind, boolKind, intKind, floatKind, timeKind, durationKind:
		return true
	}
	return false
}

func (t typ) element() typ {
	if t.kind == listKind && t.elem != nil {
		return *t.elem
	}
	return anyType
}

func listOf(t typ) typ {
	if t.kind == anyKind {
		return listType
	}
	return typ{kind: listKind, elem: &t}
}

// join is the type of a value that is either an a or a b.
func join(a, b typ) typ {
	switch {
	case a.kind == nilKind:
		return b.orNil()
	case b.kind == nilKind:
		return a.orNil()
	case a.missing || b.missing:
		return join(a.sure(), b.sure()).orNil()
	case a.kind == badKind || b.kind == badKind:
		return badType
	case a.kind == listKind && b.kind == listKind:
		return listOf(join(a.element(), b.element()))
	case a.number() && b.number() && a.kind != b.kind:
		return floatType
	case a.kind == b.kind && a.name == b.name:
		if a.words != b.words {
			a.words = nil
		}
		return a
	}
	return anyType
}

// comparable says whether == can ever be true between the two.
func (t typ) comparable(u typ) bool {
	switch {
	case t.open() || u.open(), t.kind == nilKind || u.kind == nilKind:
		return true
	case t.number() && u.number():
		return true
	case t.kind == mapKind && u.kind == objectKind, t.kind == objectKind && u.kind == mapKind:
		return true
	}
	return t.kind == u.kind
}

// weekdayType and clockType are those of weekday( ) and timeOfDay( ).
var (
	weekdayType = textType.of(oneOfWords(weekdays, "weekday", `weekday( ) is the English name of the day, such as "Monday", so this is never equal`, func(word string) string {
		for _, day := range weekdays {
			if len(word) > 1 && len(word) < len(day) && strings.EqualFold(day[:len(word)], word) {
				return day
			}
		}
		return text.Closest(word, weekdays)
	}))
	clockType = textType.of(&words{
		valid: func(s string) bool {
			_, err := time.Parse("15:04", s)
			return err == nil && len(s) == 5 || s == "24:00"
		},
		near: func(s string) string {
			for _, layout := range []string{"15:04", "3:04pm", "3pm", "3:04 pm", "3 pm", "15h", "15.04", "15:04:05"} {
				if t, err := time.Parse(layout, strings.ToLower(s)); err == nil {
					return t.Format("15:04")
				}
			}
			return ""
		},
		code: "time-of-day", message: `timeOfDay( ) has two digits for the hour and two for the minute, such as "09:00", so this comparison goes wrong`, ordered: true,
	})
)

var weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
