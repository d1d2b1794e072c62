package lang

import (
	"slices"
	"strings"
	"time"

	"bellhop/rules/text"
)

// A Type is what is known of a value before any event is there. It is what makes a misspelt field or a wrong
// comparison an error when the file is loaded.
type Type struct {
	Kind kind
	elem *Type  // of a list, nil if unknown
	Name string // of an object: appointment, previous or contact

	missing bool // it may be nil instead

	words *Words // the only texts that it can be, nil if any
}

// A Words is what is known of a text that cannot be any text.
type Words struct {
	Valid   func(string) bool
	Near    func(string) string // what was probably meant by one that is not; "" if that cannot be told
	Code    string              // of the finding about a text that is none of them
	Message string              // %s is the text, in quotes
	Others  string              // how the message ends where nothing is near
	Lenient bool                // there may be more of them: only one that is near is a mistake
	ordered bool                // < and > between them mean something too
}

// OneOfWords are the words of a list. near may be nil.
func OneOfWords(list []string, code, message string, near func(string) string) *Words {
	if near == nil {
		near = func(word string) string { return text.Closest(word, list) }
	}
	return &Words{Valid: func(s string) bool { return slices.Contains(list, s) }, Near: near, Code: code, Message: message}
}

// Among is the type with only some texts.
func (t Type) Among(w *Words) Type {
	t.words = w
	return t
}

type kind uint8

const (
	AnyKind kind = iota // known only when the event is there: raw, custom and what lies below
	BadKind             // the result of a mistake that has been reported: compatible with everything
	nilKind
	BoolKind
	intKind
	floatKind
	TextKind
	TimeKind
	DurationKind
	zoneKind
	listKind
	mapKind
	ObjectKind

	// Of arguments and results of functions only.
	numberKind   // any number
	sameKind     // as the first argument
	elementKind  // an element of it, or nil
	elementsKind // an element of any of the arguments
)

var (
	Any          = Type{Kind: AnyKind}
	Bad          = Type{Kind: BadKind}
	nilType      = Type{Kind: nilKind}
	boolType     = Type{Kind: BoolKind}
	intType      = Type{Kind: intKind}
	floatType    = Type{Kind: floatKind}
	Text         = Type{Kind: TextKind}
	Time         = Type{Kind: TimeKind}
	durationType = Type{Kind: DurationKind}
	zoneType     = Type{Kind: zoneKind}
	listType     = Type{Kind: listKind}
	mapType      = Type{Kind: mapKind}
	Texts        = Type{Kind: listKind, elem: &Text}
	intsType     = Type{Kind: listKind, elem: &intType}

	numberType   = Type{Kind: numberKind}
	sameType     = Type{Kind: sameKind}
	elementType  = Type{Kind: elementKind}
	elementsType = Type{Kind: elementsKind}
)

// noun names the type for people, without an article.
func (t Type) noun() string {
	switch t.Kind {
	case nilKind:
		return "nothing"
	case BoolKind:
		return "true or false"
	case intKind:
		return "whole number"
	case floatKind, numberKind:
		return "number"
	case TextKind:
		return "text"
	case TimeKind:
		return "time"
	case DurationKind:
		return "duration"
	case zoneKind:
		return "time zone"
	case listKind:
		if t.elem != nil && t.elem.Kind == TextKind {
			return "list of texts"
		}
		return "list"
	case mapKind:
		return "map"
	case ObjectKind:
		return "the whole " + t.Name
	case sameKind:
		return "the same"
	case elementKind, elementsKind:
		return "an element"
	}
	return "anything"
}

// wanted names the type for people, with its article.
func (t Type) wanted() string {
	switch t.Kind {
	case AnyKind, BadKind:
		return "a value"
	case nilKind, BoolKind, ObjectKind:
		return t.noun()
	}
	return "a " + t.noun()
}

// String names the type of a value for people, with its article. That a number is whole says nothing to them.
func (t Type) String() string {
	if t.Kind == intKind {
		return "a number"
	}
	return t.wanted()
}

// fits says whether a value of the type can be an argument that is to be of another.
func (t Type) fits(want Type) bool {
	switch {
	case t.Open(), want.Kind == AnyKind:
		return true
	case want.Kind == numberKind:
		return t.Number()
	case want.Kind == mapKind:
		return t.Kind == mapKind || t.Kind == ObjectKind
	}
	return t.Kind == want.Kind
}

// Open says that nothing can be said about the type: no mistake is to be reported on its account.
func (t Type) Open() bool   { return t.Kind == AnyKind || t.Kind == BadKind }
func (t Type) Number() bool { return t.Kind == intKind || t.Kind == floatKind }
func (t Type) Is(k kind) bool {
	return t.Kind == k || t.Open()
}

// OrNil is the type of what may also be nil, and sure that of what is not.
func (t Type) OrNil() Type {
	t.missing = t.Kind != BadKind && t.Kind != nilKind
	return t
}

func (t Type) sure() Type {
	t.missing = false
	return t
}

// scalar types are those whose comparison costs the same whatever the payload holds.
func (t Type) scalar() bool {
	if t.missing {
		return false
	}
	switch t.Kind {
	case nilKind, BoolKind, intKind, floatKind, TimeKind, DurationKind:
		return true
	}
	return false
}

func (t Type) element() Type {
	if t.Kind == listKind && t.elem != nil {
		return *t.elem
	}
	return Any
}

func ListOf(t Type) Type {
	if t.Kind == AnyKind {
		return listType
	}
	return Type{Kind: listKind, elem: &t}
}

// join is the type of a value that is either an a or a b.
func join(a, b Type) Type {
	switch {
	case a.Kind == nilKind:
		return b.OrNil()
	case b.Kind == nilKind:
		return a.OrNil()
	case a.missing || b.missing:
		return join(a.sure(), b.sure()).OrNil()
	case a.Kind == BadKind || b.Kind == BadKind:
		return Bad
	case a.Kind == listKind && b.Kind == listKind:
		return ListOf(join(a.element(), b.element()))
	case a.Number() && b.Number() && a.Kind != b.Kind:
		return floatType
	case a.Kind == b.Kind && a.Name == b.Name:
		if a.words != b.words {
			a.words = nil
		}
		return a
	}
	return Any
}

// comparable says whether == can ever be true between the two.
func (t Type) comparable(u Type) bool {
	switch {
	case t.Open() || u.Open(), t.Kind == nilKind || u.Kind == nilKind:
		return true
	case t.Number() && u.Number():
		return true
	case t.Kind == mapKind && u.Kind == ObjectKind, t.Kind == ObjectKind && u.Kind == mapKind:
		return true
	}
	return t.Kind == u.Kind
}

// weekdayType and clockType are those of weekday( ) and timeOfDay( ).
var (
	weekdayType = Text.Among(OneOfWords(weekdays, "weekday", `weekday( ) is the English name of the day, such as "Monday", so this is never equal`, func(word string) string {
		for _, day := range weekdays {
			if len(word) > 1 && len(word) < len(day) && strings.EqualFold(day[:len(word)], word) {
				return day
			}
		}
		return text.Closest(word, weekdays)
	}))
	clockType = Text.Among(&Words{
		Valid: func(s string) bool {
			_, err := time.Parse("15:04", s)
			return err == nil && len(s) == 5 || s == "24:00"
		},
		Near: func(s string) string {
			for _, layout := range []string{"15:04", "3:04pm", "3pm", "3:04 pm", "3 pm", "15h", "15.04", "15:04:05"} {
				if t, err := time.Parse(layout, strings.ToLower(s)); err == nil {
					return t.Format("15:04")
				}
			}
			return ""
		},
		Code: "time-of-day", Message: `timeOfDay( ) has two digits for the hour and two for the minute, such as "09:00", so this comparison goes wrong`, ordered: true,
	})
)

var weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
