package lang

import (
	"sync"

	"bellhop/rules/text"
)

// An Env is the names with which an expression may begin, and what is known of their values. It is immutable.
type Env struct {
	Variables map[string]Type   // the names that stand for one value
	Objects   map[string]Object // the names that have fields
	Main      []string          // the objects whose fields are meant by a name alone, the likeliest first
	Lazy      []string          // the variables whose value is only made when it is asked for
	Aliases   map[string]string // the names by which people know fields

	configs sync.Pool
}

// An Object is a name with fields.
type Object struct {
	Fields   map[string]Type
	Optional bool   // not every event has it: then its texts are empty
	Moment   string // the field that is meant where a time is needed
}

// Names are all of them.
func (e *Env) Names() []string {
	return append(text.SortedKeys(e.Variables), text.SortedKeys(e.Objects)...)
}

func (e *Env) Has(name string) bool {
	_, variable := e.Variables[name]
	_, object := e.Objects[name]
	return variable || object
}

// field is the type of a field of an object.
func (e *Env) field(object, name string) (Type, bool) {
	t, ok := e.Objects[object].Fields[name]
	return t, ok
}
