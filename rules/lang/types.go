package lang

import (
	"slices"
	"strings"
	"time"

	"bellhop/rules/text"
)

// A Type is what is known of a value before there is an event. Because of it, a misspelt field or a wrong comparison
// is an error when the file is loaded.
type Type struct {
	Kind kind
	elem *Type  // of a list's elements, nil if unknown
	Name string // the name of an object, such as appointment

	missing bool // the value may be nil instead

	words *Words // the only texts that the value can be, nil if any
}

// A Words describes a text that can only have certain values.
type Words struct {
	Valid   func(string) bool
	Near    func(string) string // what was probably meant by another text; "" if unknown
	Code    string              // the code of the finding about another text
	Message string              // of that finding; %s is the text in quotes
	Others  string              // the end of the message if nothing is near
	Lenient bool                // there may be other values: only a text that is near one of them is a mistake
	ordered bool                // they have an order, so < and > are checked too
}

// OneOfWords returns the words of a list. If near is nil, the closest word is suggested.
func OneOfWords(list []string, code, message string, near func(string) string) *Words {
	if near == nil {
		near = func(word string) string { return text.Closest(word, list) }
	}
	return &Words{Valid: func(s string) bool { return slices.Contains(list, s) }, Near: near, Code: code, Message: message}
}

// Among returns the type limited to certain texts.
func (t Type) Among(w *Words) Type {
	t.words = w
	return t
}

type kind uint8

const (
	AnyKind kind = iota // not known before there is an event: raw, custom and everything below
	BadKind             // after a mistake that was reported: fits everything
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

	// Only for arguments and results of functions.
	numberKind   // any number
	sameKind     // the type of the first argument
	elementKind  // the type of its elements, or nil
	elementsKind // the type of the elements of all arguments
)

var (
	Any          = Type{Kind: AnyKind}
	Bad          = Type{Kind: BadKind}
	nilType      = Type{Kind: nilKind}
	Bool         = Type{Kind: BoolKind}
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

// nouns are the kinds for people, without an article.
var nouns = [...]string{
	AnyKind: "anything", BadKind: "anything", nilKind: "nothing", BoolKind: "true or false", intKind: "whole number", floatKind: "number",
	TextKind: "text", TimeKind: "time", DurationKind: "duration", zoneKind: "time zone", listKind: "list", mapKind: "map", ObjectKind: "the whole ",
	numberKind: "number", sameKind: "the same", elementKind: "an element", elementsKind: "an element",
}

func (t Type) noun() string {
	if t.Kind == listKind && t.element().Kind == TextKind {
		return "list of texts"
	}
	return nouns[t.Kind] + t.Name
}

// wanted returns the type for people, with its article.
func (t Type) wanted() string {
	switch t.Kind {
	case AnyKind, BadKind:
		return "a value"
	case nilKind, BoolKind, ObjectKind:
		return t.noun()
	}
	return "a " + t.noun()
}

// String describes a value of the type for people. Whether a number is whole does not matter to them.
func (t Type) String() string {
	if t.Kind == intKind {
		return "a number"
	}
	return t.wanted()
}

// fits reports whether a value of the type is accepted as an argument of another.
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

// holds reports whether a value at run time is of the type, as the argument of a function.
func (t Type) holds(v any) bool {
	if t.Kind == AnyKind {
		return true
	}
	k := kindOf(v)
	return k == t.Kind || t.Kind == numberKind && (k == intKind || k == floatKind)
}

// Open reports that nothing is known about the type, so no mistake can be reported.
func (t Type) Open() bool   { return t.Kind == AnyKind || t.Kind == BadKind }
func (t Type) Number() bool { return t.Kind == intKind || t.Kind == floatKind }
func (t Type) Is(k kind) bool {
	return t.Kind == k || t.Open()
}

// OrNil returns the type of a value that may also be nil; sure returns the opposite.
func (t Type) OrNil() Type {
	t.missing = t.Kind != BadKind && t.Kind != nilKind
	return t
}

func (t Type) sure() Type {
	t.missing = false
	return t
}

// scalar reports whether a comparison costs the same whatever the payload holds.
func (t Type) scalar() bool {
	return amount(t) || !t.missing && (t.Kind == nilKind || t.Kind == BoolKind)
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

// join returns the type of a value that is either an a or a b.
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

// joined returns the type of a value that has one of some types.
func joined(types []Type) (t Type) {
	for i, other := range types {
		if i == 0 {
			t = other
		}
		t = join(t, other)
	}
	return t
}

// comparable reports whether == between the two types can ever be true.
func (t Type) comparable(u Type) bool {
	return t.fits(u) || u.fits(t) || t.Kind == nilKind || u.Kind == nilKind || t.Number() && u.Number()
}

// weekdayType and clockType are the types of weekday( ) and timeOfDay( ).
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
