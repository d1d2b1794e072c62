package rules

import (
	"reflect"
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

// variables are the names of the environment that are no object, with their types.
func variables() map[string]typ {
	return map[string]typ{
		"type": textType, "on": textsType, "source": textType, "locationId": textType,
		"receivedAt": timeType, "changed": textsType, "custom": anyType, "raw": anyType,
	}
}

// objects are the names of the environment that have fields, with the fields' types.
func objects() map[string]map[string]typ {
	a := fieldTypes(reflect.TypeFor[Appointment]())
	return map[string]map[string]typ{"appointment": a, "previous": a, "contact": fieldTypes(reflect.TypeFor[Contact]())}
}

var (
	envVariables = variables()
	envObjects   = objects()
)

func fieldTypes(t reflect.Type) map[string]typ {
	fields := map[string]typ{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch f.Type {
		case reflect.TypeFor[string]():
			fields[name] = textType
		case reflect.TypeFor[time.Time]():
			fields[name] = timeType
		case reflect.TypeFor[[]string]():
			fields[name] = textsType
		}
	}
	return fields
}

// envNames are the names an expression may begin with.
func envNames() []string {
	names := text.SortedKeys(envVariables)
	return append(names, text.SortedKeys(envObjects)...)
}
