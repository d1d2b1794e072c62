package lang

import (
	"slices"
	"strings"
	"sync"

	"bellhop/rules/text"
)

// An Env holds the names with which an expression may begin, and what is known of their values. It is immutable.
type Env struct {
	Variables map[string]Type   // names that stand for one value
	Objects   map[string]Object // names that have fields
	Main      []string          // objects whose fields may be meant by a bare name, most likely first
	Lazy      []string          // variables whose value is computed on first use
	Aliases   map[string]string // other names that people use for fields

	configs  sync.Pool
	programs programs
}

// An Object is a name with fields.
type Object struct {
	Fields   map[string]Type
	Optional bool   // not every event has it; its texts may then be empty
	Moment   string // the field that is meant if a time is needed
	Lazy     bool   // its fields are computed on the first use of one
}

// Names returns all the names.
func (e *Env) Names() []string {
	return append(text.SortedKeys(e.Variables), text.SortedKeys(e.Objects)...)
}

func (e *Env) Has(name string) bool {
	_, variable := e.Variables[name]
	_, object := e.Objects[name]
	return variable || object
}

// plain returns the type of a variable or a field that always has a value; [Any] for every other expression.
func (e *Env) plain(key string) Type {
	t := e.Variables[key]
	if object, name, ok := strings.Cut(key, "."); ok {
		t, _ = e.field(object, name)
	}
	if t.missing || slices.Contains(e.Lazy, key) {
		return Any
	}
	return t
}

// field returns the type of a field of an object.
func (e *Env) field(object, name string) (Type, bool) {
	t, ok := e.Objects[object].Fields[name]
	return t, ok
}
