package rules

import (
	"sync"

	"bellhop/rules/text"
)

// An environment is the names with which an expression may begin, and what is known of their values. It is immutable.
type environment struct {
	variables map[string]typ    // the names that stand for one value
	objects   map[string]object // the names that have fields
	main      []string          // the objects whose fields are meant by a name alone, the likeliest first
	lazy      []string          // the variables whose value is only made when it is asked for
	aliases   map[string]string // the names by which people know fields

	configs sync.Pool
}

// An object is a name with fields.
type object struct {
	fields   map[string]typ
	optional bool   // not every event has it: then its texts are empty
	moment   string // the field that is meant where a time is needed
}

// names are all of them.
func (e *environment) names() []string {
	return append(text.SortedKeys(e.variables), text.SortedKeys(e.objects)...)
}

func (e *environment) has(name string) bool {
	_, variable := e.variables[name]
	_, object := e.objects[name]
	return variable || object
}

// field is the type of a field of an object.
func (e *environment) field(object, name string) (typ, bool) {
	t, ok := e.objects[object].fields[name]
	return t, ok
}
