package lang

import "errors"

// An Unknown is the error of an expression that needs to know more of a person or a place, which can be looked up. It is
// also the value of a field that is not known yet.
type Unknown struct {
	Object string // contact, user, calendar or location
	ID     string
}

func (u Unknown) Error() string { return "the " + u.Object + " " + u.ID + " is not known yet" }

// UnknownIn returns what has to be looked up before an expression can be evaluated that failed with an error.
func UnknownIn(err error) (Unknown, bool) { return errors.AsType[Unknown](err) }

// needZone fails if the rule's zone is not known yet.
func (r *Machine) needZone() {
	if r.Await != nil {
		panic(*r.Await)
	}
}

// known returns a value of a lazy variable or field, and fails if it or a part of it is not known yet.
func known(v any) any {
	switch v := v.(type) {
	case Unknown:
		panic(v)
	case *Error: // it could not be computed
		panic(v)
	case map[string]any:
		for _, field := range v {
			known(field)
		}
	}
	return v
}
