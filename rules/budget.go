package rules

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/expr-lang/expr/vm"
)

// What one condition, and one rendered step, may cost. Work is counted in units of about a nanosecond on a
// slow machine, before it is done, so that the same rule and event always end the same way; the values that
// work makes are counted in bytes. Both are charged by the functions in functions.go, into which the checker
// turns every operation whose cost grows with the payload or that stands in a loop.
const (
	maxUnits    = 4_000_000
	maxBytes    = 4 << 20
	maxElements = 100_000 // of all lists made
	maxRange    = 10_000  // numbers in one a..b
	maxNodes    = 2_000   // operators, names and values in one expression
	maxExprSize = 32 << 10
)

var errTooMuch = errors.New("this takes more work than a rule may do; it was stopped")

// A run is the evaluation of rules on one event. It is used by one goroutine.
type run struct {
	ev    *Event
	now   time.Time
	due   bool // now is the moment of a step that waited
	env   map[string]any
	rule  *Rule
	zone  *time.Location // the rule's for this event; nil: each time in its own
	naive *time.Location // where texts without an offset are read as times
	lets  []letValue
	units int
	bytes int

	raw     any
	rawRead bool
	vms     []*vm.VM // one for each depth of let inside let
	depth   int
}

type letValue struct {
	done  bool
	value any
	err   error
}

// runName is the environment's entry for the run itself. No expression can be written that names it.
const runName = " run"

func newRun(ev *Event, now time.Time) *run {
	r := &run{ev: ev, now: now}
	r.env = environment(r)
	return r
}

// start readies the run for a rule.
func (r *run) start(rule *Rule) {
	r.rule = rule
	r.zone, r.naive = rule.zones(r.ev)
	if len(rule.lets) > 0 {
		r.lets = make([]letValue, len(rule.lets))
	}
	r.refill()
}

func (r *run) refill() { r.units, r.bytes = maxUnits, maxBytes }

// charge takes from what is left, and fails once that is not enough.
func (r *run) charge(units, bytes int) error {
	if r.units -= units; r.units < 0 || units < 0 { // a negative price is one that overflowed
		r.units = -1
		return errTooMuch
	}
	if r.bytes -= bytes; r.bytes < 0 || bytes < 0 {
		r.bytes = -1
		return errTooMuch
	}
	return nil
}

// spend takes from what is left without failing. It is for work that is small whatever the payload holds: what
// an index over the rules looks at must have the same value whether or not something else has used up the rest.
func (r *run) spend(units int) { r.units = max(r.units-units, -1) }

// eval runs one program.
func (r *run) eval(p *program) (any, error) {
	r.spend(p.cost)
	if r.depth == len(r.vms) {
		r.vms = append(r.vms, &vm.VM{MemoryBudget: maxElements})
	}
	m := r.vms[r.depth]
	r.depth++
	v, err := m.Run(p.code, r.env)
	r.depth--
	if err != nil {
		return nil, p.failed(err)
	}
	return v, nil
}

// let gives the value of a rule's named value, computing it when it is first asked for.
func (r *run) let(i int) (any, error) {
	l := &r.lets[i]
	if !l.done {
		l.value, l.err = r.eval(r.rule.lets[i].program)
		l.done = true
	}
	return l.value, l.err
}

// measure counts what walking a whole value costs, in units and bytes, giving up once that is more than what
// is left. A value that holds the same list many times counts it each time.
func (r *run) measure(v any) (units, bytes int, err error) {
	switch v := v.(type) {
	case nil, bool, int, float64, time.Time, time.Duration:
		return 10, 16, nil
	case string:
		return 10 + len(v)/4, 16 + len(v), nil
	case []string:
		units, bytes = 10, 24
		for _, s := range v {
			units += 10 + len(s)/4
			bytes += 16 + len(s)
			if units > r.units {
				return units, bytes, errTooMuch
			}
		}
		return units, bytes, nil
	case []int:
		return 10 + 4*len(v), 8 * len(v), nil
	case []any:
		units, bytes = 10, 24
		for _, e := range v {
			if err := r.measureInto(&units, &bytes, e, 1); err != nil {
				return units, bytes, err
			}
		}
		return units, bytes, nil
	}
	err = r.measureInto(&units, &bytes, v, 0)
	return units, bytes, err
}

// maxValueDepth bounds the nesting of a value that an operation walks.
const maxValueDepth = 200

func (r *run) measureInto(units, bytes *int, v any, depth int) error {
	if *units > r.units || depth > maxValueDepth {
		return errTooMuch
	}
	switch v := v.(type) {
	case nil, bool, int, float64, time.Time, time.Duration:
		*units += 20
		*bytes += 16
	case string:
		*units += 10 + len(v)/4
		*bytes += 16 + len(v)
	case []any:
		*units += 20
		*bytes += 24
		for _, e := range v {
			if err := r.measureInto(units, bytes, e, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		*units += 50
		*bytes += 48
		for k, e := range v {
			*units += 50 + len(k)/4
			*bytes += 32 + len(k)
			if err := r.measureInto(units, bytes, e, depth+1); err != nil {
				return err
			}
		}
	default:
		rv := reflect.ValueOf(v)
		*units += 50
		*bytes += 48
		switch rv.Kind() {
		case reflect.Slice, reflect.Array:
			for i := range rv.Len() {
				if err := r.measureInto(units, bytes, rv.Index(i).Interface(), depth+1); err != nil {
					return err
				}
			}
		case reflect.Map:
			for it := rv.MapRange(); it.Next(); {
				if err := r.measureInto(units, bytes, it.Key().Interface(), depth+1); err != nil {
					return err
				}
				if err := r.measureInto(units, bytes, it.Value().Interface(), depth+1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// An evalError is what went wrong with a value, in words for the rule's author.
type evalError struct{ message string }

func (e *evalError) Error() string { return e.message }

func evalErrorf(format string, args ...any) error {
	return &evalError{fmt.Sprintf(format, args...)}
}
