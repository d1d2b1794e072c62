package lang

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/expr-lang/expr/vm"
)

// The limits for one condition and for one rendered step. Work is counted before it is done, in units of about a
// nanosecond on a slow machine, so that the same rule and event always end the same way. The values that are made are
// counted in bytes. Both are charged by the functions and operations into which the checker turns everything whose
// cost grows with the payload or that stands in a loop.
const (
	maxUnits    = 4_000_000
	maxBytes    = 4 << 20
	maxElements = 100_000 // in all lists that are made
	maxRange    = 10_000  // numbers in one a..b
	maxNodes    = 2_000   // operators, names and values in one expression
	maxExprSize = 32 << 10
)

var errTooMuch = Errorf("this takes more work than a rule may do; it was stopped")

// A Machine evaluates expressions for one event. It is not safe for concurrent use.
type Machine struct {
	View
	Now    time.Time
	Values map[string]any        // the variables, and the fields of objects under "object.field"
	lazy   func(name string) any // returns the value of a lazy variable
	lets   []*Program

	results []letValue
	units   int
	bytes   int
	vms     []*vm.VM // one for each depth of let inside let
	depth   int
}

// A View is how a rule sees times.
type View struct {
	Zone     *time.Location // the zone in which times are seen; nil: each in its own offset
	Naive    *time.Location // where texts without an offset are read as times
	Language *Language      // for the names of days and months; nil is English
	Closed   Days           // the days that are no working days, besides Saturdays and Sundays
	Await    *Unknown       // what has to be looked up before the zones are known, so that every use of them fails; nil if they are
}

type letValue struct {
	done  bool
	value any
	err   error
}

// machineName is the key of the machine itself in its values. No expression can name it.
const machineName = " machine"

// NewMachine returns a machine for one event's values. The map then belongs to the machine.
func NewMachine(values map[string]any, lazy func(name string) any, now time.Time) *Machine {
	r := &Machine{Values: values, lazy: lazy, Now: now}
	values[machineName] = r
	return r
}

// Use prepares the machine for the expressions of one rule: its named values, and how it sees times.
func (r *Machine) Use(lets []*Program, v View) {
	r.lets, r.View = lets, v
	r.results = make([]letValue, len(lets))
	r.Refill()
}

func (r *Machine) Refill() { r.units, r.bytes = maxUnits, maxBytes }

// take takes units and bytes from the budget, and fails if they are not left.
func (r *Machine) take(units, bytes int) error {
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

// charge is [Machine.take] for an [operation].
func (r *Machine) charge(units, bytes int) {
	if err := r.take(units, bytes); err != nil {
		panic(err)
	}
}

// spend takes units from the budget without failing. It is for work that is small whatever the payload holds: an
// operation that an index over the rules relies on must give the same value even if the budget is used up.
func (r *Machine) spend(units int) { r.units = max(r.units-units, -1) }

// Eval runs one program.
func (r *Machine) Eval(p *Program) (any, error) {
	r.spend(p.cost)
	if r.depth == len(r.vms) {
		r.vms = append(r.vms, &vm.VM{MemoryBudget: maxElements})
	}
	m := r.vms[r.depth]
	r.depth++
	v, err := m.Run(p.code, r.Values)
	r.depth--
	if err != nil {
		return nil, p.Failed(err)
	}
	return v, nil
}

// LetValue returns a named value of the rule, which is computed on first use.
func (r *Machine) LetValue(i int) (any, error) {
	l := &r.results[i]
	if !l.done {
		l.value, l.err = r.Eval(r.lets[i])
		l.done = true
	}
	return l.value, l.err
}

// lazily returns a lazy variable or a field of a lazy object, which is computed on first use.
func (r *Machine) lazily(name string) any {
	v, ok := r.Values[name]
	switch object, field, below := strings.Cut(name, "."); {
	case ok:
	case below:
		if v, ok = r.fields(object)[field]; !ok { // it is not computed with the others
			v = r.lazy(name)
			r.Values[name] = v
		}
	default:
		v = r.lazy(name)
		r.Values[name] = v
	}
	return v
}

// fields returns the fields of a lazy object. Some of them may be [Unknown].
func (r *Machine) fields(object string) map[string]any {
	m, _ := r.lazily(object).(map[string]any)
	return m
}

// object returns an object as a map, for rules that pass it on as a whole.
func (r *Machine) object(name string) map[string]any {
	r.charge(3000, 2048)
	m := make(map[string]any, 16)
	for k, v := range r.Values {
		if field, ok := strings.CutPrefix(k, name+"."); ok {
			m[field] = v
		}
	}
	return m
}

// ChargeFor charges the cost of walking a whole value, multiplied.
func (r *Machine) ChargeFor(v any, timesUnits, timesBytes int) error {
	c, err := r.measure(v)
	if err != nil {
		return err
	}
	return r.take(c.units*timesUnits, c.bytes*timesBytes)
}

// chargeFor is [Machine.ChargeFor] for an [operation].
func (r *Machine) chargeFor(v any, timesUnits, timesBytes int) {
	if err := r.ChargeFor(v, timesUnits, timesBytes); err != nil {
		panic(err)
	}
}

// A cost is the cost of walking a whole value. A list that occurs several times in the value counts each time.
type cost struct{ units, bytes int }

// measure returns the cost of walking a value. It gives up when that exceeds the budget.
func (r *Machine) measure(v any) (c cost, err error) {
	if c.walk(v, r.units, 0); c.units > r.units {
		err = errTooMuch
	}
	return c, err
}

// maxValueDepth limits the nesting of a value that an operation walks.
const maxValueDepth = 200

// walk adds the cost of a value. It stops when more than limit units are reached.
func (c *cost) walk(v any, limit, depth int) {
	if depth > maxValueDepth {
		c.units = limit + 1
	}
	if c.units > limit {
		return
	}
	switch v := v.(type) {
	case nil, bool, int, float64, time.Time, time.Duration:
		c.add(20, 16)
	case string:
		c.add(10+len(v)/4, 16+len(v))
	case []string:
		c.add(20, 24)
		for _, s := range v {
			c.add(10+len(s)/4, 16+len(s))
		}
	case []int:
		c.add(10+4*len(v), 8*len(v))
	case []any:
		c.add(20, 24)
		for _, e := range v {
			c.walk(e, limit, depth+1)
		}
	case map[string]any:
		c.add(50, 48)
		for k, e := range v {
			c.add(50+len(k)/4, 32+len(k))
			c.walk(e, limit, depth+1)
		}
	default:
		c.add(50, 48)
		switch rv := reflect.ValueOf(v); rv.Kind() {
		case reflect.Slice, reflect.Array:
			for i := range rv.Len() {
				c.walk(rv.Index(i).Interface(), limit, depth+1)
			}
		case reflect.Map:
			for it := rv.MapRange(); it.Next(); {
				c.walk(it.Key().Interface(), limit, depth+1)
				c.walk(it.Value().Interface(), limit, depth+1)
			}
		}
	}
}

func (c *cost) add(units, bytes int) {
	c.units += units
	c.bytes += bytes
}

// An Error says what went wrong with a value, in words for the rule's author.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

func Errorf(format string, args ...any) error {
	return &Error{fmt.Sprintf(format, args...)}
}
