package lang

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/vm/runtime"
)

// operations replace operators that need a limit. A name with "$" cannot be written in a rule.
var operations = map[string]func(r *Machine, args []any) (any, error){
	"$let":        func(r *Machine, args []any) (any, error) { return r.LetValue(args[0].(int)) },
	"$lazy":       func(r *Machine, args []any) (any, error) { return r.lazily(args[0].(string)), nil },
	"$object":     func(r *Machine, args []any) (any, error) { return r.object(args[0].(string)) },
	"$step":       func(r *Machine, args []any) (any, error) { return nil, r.charge(args[0].(int), 0) },
	"$walked":     opWalked,
	"$mirrored":   opMirrored,
	"$same":       func(_ *Machine, args []any) (any, error) { return args[0], nil },
	"$get":        fnGet,
	"$slice":      opSlice,
	"$add":        opAdd,
	"$times":      opTimes,
	"$divide":     opDivide,
	"$negate":     opNegate,
	"$range":      opRange,
	"$present":    opPresent,
	"$matches":    opMatches,
	"$eq":         opEqual,
	"$in":         opIn,
	"$less":       opCompare(func(c int) bool { return c < 0 }),
	"$lessEq":     opCompare(func(c int) bool { return c <= 0 }),
	"$more":       opCompare(func(c int) bool { return c > 0 }),
	"$moreEq":     opCompare(func(c int) bool { return c >= 0 }),
	"$contains":   opText(strings.Contains, true),
	"$startsWith": opText(strings.HasPrefix, false),
	"$endsWith":   opText(strings.HasSuffix, false),
}

// truths are the operations that return true or false.
var truths = []string{"$eq", "$in", "$less", "$lessEq", "$more", "$moreEq", "$contains", "$startsWith", "$endsWith", "$matches"}

// opSlice returns part of a list, or of a text by characters.
func opSlice(r *Machine, args []any) (any, error) {
	cut := func(length int) (from, to int, err error) {
		to = length
		if args[1] != nil {
			if from, err = wantInt("a slice", args[1]); err != nil {
				return
			}
		}
		if args[2] != nil {
			if to, err = wantInt("a slice", args[2]); err != nil {
				return
			}
		}
		if from < 0 {
			from += length
		}
		if to < 0 {
			to += length
		}
		from, to = min(max(from, 0), length), min(max(to, 0), length)
		return min(from, to), to, nil
	}
	if text, ok := args[0].(string); ok {
		if err := r.charge(20+10*len(text), 4*len(text)); err != nil {
			return nil, err
		}
		runes := []rune(text)
		from, to, err := cut(len(runes))
		if err != nil {
			return nil, err
		}
		return string(runes[from:to]), nil
	}
	list, err := wantList("a slice", args[0])
	if err != nil {
		return nil, err
	}
	from, to, err := cut(list.Len())
	if err != nil {
		return nil, err
	}
	if list.Kind() == reflect.Array {
		return nil, Errorf("this list cannot be sliced")
	}
	return list.Slice(from, to).Interface(), nil
}

func opAdd(r *Machine, args []any) (any, error) {
	a, aText := args[0].(string)
	b, bText := args[1].(string)
	if aText && bText {
		n := len(a) + len(b)
		if err := r.charge(20+n/4, n); err != nil {
			return nil, err
		}
		return a + b, nil
	}
	if aText || bText || args[0] == nil || args[1] == nil {
		return nil, Errorf("%s and %s cannot be added; string(…) makes a text of anything", Describe(args[0]), Describe(args[1]))
	}
	return guarded("added", args, func() any { return runtime.Add(args[0], args[1]) })
}

// opTimes, opDivide and opNegate are *, / and - for durations, and for values that may be durations.
func opTimes(_ *Machine, args []any) (any, error) {
	if args[0] == nil || args[1] == nil {
		return nil, Errorf("a value before or after * is missing")
	}
	for i, a := range args {
		if d, ok := a.(time.Duration); ok {
			by, ok := number(args[1-i])
			if !ok {
				return nil, Errorf("%s and %s cannot be multiplied", Describe(args[0]), Describe(args[1]))
			}
			return scaled(d, by)
		}
	}
	return guarded("multiplied", args, func() any { return runtime.Multiply(args[0], args[1]) })
}

func opDivide(_ *Machine, args []any) (any, error) {
	if args[0] == nil || args[1] == nil {
		return nil, Errorf("a value before or after / is missing")
	}
	d, ok := args[0].(time.Duration)
	if !ok {
		return guarded("divided", args, func() any { return runtime.Divide(args[0], args[1]) })
	}
	by, isNumber := number(args[1])
	other, isDuration := args[1].(time.Duration)
	switch {
	case isNumber && by == 0, isDuration && other == 0:
		return nil, Errorf("a duration is divided by 0")
	case isNumber:
		return scaled(d, 1/by)
	case isDuration:
		return float64(d) / float64(other), nil
	}
	return nil, Errorf("%s and %s cannot be divided", Describe(args[0]), Describe(args[1]))
}

func opNegate(_ *Machine, args []any) (any, error) {
	switch v := args[0].(type) {
	case time.Duration:
		return -v, nil
	case int:
		return -v, nil
	case float64:
		return -v, nil
	case nil:
		return nil, Errorf("the value after - is missing")
	}
	return nil, Errorf("- needs a number or a duration after it, but got %s", Describe(args[0]))
}

// guarded runs one of expr's operators, which panic for types they do not accept.
func guarded(verb string, args []any, f func() any) (v any, err error) {
	defer func() {
		if recover() != nil {
			v, err = nil, Errorf("%s and %s cannot be %s", Describe(args[0]), Describe(args[1]), verb)
		}
	}()
	return f(), nil
}

func opRange(r *Machine, args []any) (any, error) {
	from, err := wantInt("a range", args[0])
	if err != nil {
		return nil, err
	}
	to, err := wantInt("a range", args[1])
	if err != nil {
		return nil, err
	}
	n := to - from + 1
	if n <= 0 {
		return []int{}, nil
	}
	if n > maxRange {
		return nil, Errorf("a range of %d numbers is longer than the %d that are allowed", n, maxRange)
	}
	if err := r.charge(20+2*n, 8*n); err != nil {
		return nil, err
	}
	return runtime.MakeRange(from, to), nil
}

// opWalked charges for a loop over a list that evaluates nothing.
func opWalked(r *Machine, args []any) (any, error) {
	list, err := wantList("this", args[0])
	if err != nil {
		return nil, err
	}
	return args[0], r.charge(50*list.Len(), 0)
}

// opMirrored converts an index in the reversed list to one in the list itself; nil stays nil.
func opMirrored(_ *Machine, args []any) (any, error) {
	list, err := wantList("this", args[0])
	if err != nil || args[1] == nil {
		return nil, err
	}
	i, err := wantInt("this", args[1])
	return list.Len() - 1 - i, err
}

// opPresent is the left side of ??: nil if the value is missing, which includes an empty text and a zero time.
func opPresent(_ *Machine, args []any) (any, error) {
	if missing(args[0]) {
		return nil, nil
	}
	return args[0], nil
}

func missing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case time.Time:
		return v.IsZero()
	}
	return false
}

func opEqual(r *Machine, args []any) (any, error) {
	if a, ok := args[0].(string); ok {
		b, ok := args[1].(string)
		if !ok {
			return false, nil
		}
		if len(a) == len(b) {
			if err := r.charge(5+len(a)/8, 0); err != nil {
				return nil, err
			}
		}
		return a == b, nil
	}
	if err := r.ChargeFor(args[0], 2, 0); err != nil {
		return nil, err
	}
	return guarded("compared", args, func() any { return runtime.Equal(args[0], args[1]) })
}

// A wordSet is a list of text literals.
type wordSet struct {
	words   map[string]struct{}
	longest int
}

func opIn(r *Machine, args []any) (any, error) {
	switch in := args[1].(type) {
	case nil:
		return false, nil
	case *wordSet:
		key, ok := args[0].(string)
		if !ok || len(key) > in.longest {
			return false, nil
		}
		r.spend(20 + len(key)/4)
		_, ok = in.words[key]
		return ok, nil
	case []string:
		key, ok := args[0].(string)
		if !ok {
			return false, nil
		}
		if err := r.charge(10+10*len(in)+len(in)*min(len(key), 4096)/8, 0); err != nil {
			return nil, err
		}
		return slices.Contains(in, key), nil
	case map[string]any:
		key, ok := args[0].(string)
		if !ok {
			return false, nil
		}
		_, ok = in[key]
		return ok, nil
	case string:
		return nil, Errorf("in needs a list, but got %s; for a part of a text use contains", Describe(in))
	}
	if err := r.ChargeFor(args[1], 4, 0); err != nil {
		return nil, err
	}
	return guarded("compared", args, func() any { return runtime.In(args[0], args[1]) })
}

func opCompare(holds func(int) bool) func(*Machine, []any) (any, error) {
	return func(r *Machine, args []any) (any, error) {
		a, aText := args[0].(string)
		b, bText := args[1].(string)
		if aText && bText {
			if err := r.charge(10+min(len(a), len(b))/8, 0); err != nil {
				return nil, err
			}
			return holds(strings.Compare(a, b)), nil
		}
		for _, v := range args {
			if v == nil {
				return nil, Errorf("a missing value cannot be compared")
			}
		}
		return guarded("compared", args, func() any {
			switch {
			case runtime.Less(args[0], args[1]):
				return holds(-1)
			case runtime.Less(args[1], args[0]):
				return holds(1)
			}
			return holds(0)
		})
	}
}

// opText compares two texts. A search costs the length of the first, a look at one end the length of the second.
func opText(holds func(a, b string) bool, search bool) func(*Machine, []any) (any, error) {
	return func(r *Machine, args []any) (any, error) {
		if args[0] == nil || args[1] == nil {
			return false, nil
		}
		a, ok := args[0].(string)
		if !ok {
			if list, isList := args[0].([]any); isList {
				return opIn(r, []any{args[1], list})
			}
			return nil, Errorf("a text is needed here, but this is %s", Describe(args[0]))
		}
		b, ok := args[1].(string)
		if !ok {
			return nil, Errorf("a text is needed here, but this is %s", Describe(args[1]))
		}
		if !search {
			if len(b) > len(a) {
				return false, nil
			}
			r.spend(10 + len(b)/8)
			return holds(a, b), nil
		}
		if err := r.charge(10+len(a)+len(b), 0); err != nil {
			return nil, err
		}
		return holds(a, b), nil
	}
}
