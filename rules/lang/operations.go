package lang

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/vm/runtime"
)

// An operation computes a value while a program runs. If it cannot, it panics with an [Error]: expr's
// machine then stops the program with this error.
type operation func(r *Machine, args []any) any

// must returns a value, or stops the program that runs.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// operations replace operators that need a limit. A name with "$" cannot be written in a rule.
var operations = map[string]operation{
	"$let":        func(r *Machine, args []any) any { return must(r.LetValue(args[0].(int))) },
	"$lazy":       func(r *Machine, args []any) any { return known(r.lazily(args[0].(string))) },
	"$object":     func(r *Machine, args []any) any { return r.object(args[0].(string)) },
	"$step":       opStep,
	"$walked":     opWalked,
	"$mirrored":   opMirrored,
	"$same":       func(_ *Machine, args []any) any { return args[0] },
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
func opSlice(r *Machine, args []any) any {
	var runes []rune
	text, isText := args[0].(string)
	if isText {
		r.charge(20+10*len(text), 4*len(text))
		runes = []rune(text)
	}
	list := reflect.ValueOf(runes)
	if !isText {
		list = wantList("a slice", args[0])
	}
	bound := func(v any, missing int) int {
		if v == nil {
			return missing
		}
		i := wantInt("a slice", v)
		if i < 0 {
			i += list.Len()
		}
		return min(max(i, 0), list.Len())
	}
	from, to := bound(args[1], 0), bound(args[2], list.Len())
	from = min(from, to)
	if isText {
		return string(runes[from:to])
	}
	return list.Slice(from, to).Interface()
}

func opAdd(r *Machine, args []any) any {
	a, aText := args[0].(string)
	b, bText := args[1].(string)
	if aText && bText {
		n := len(a) + len(b)
		r.charge(20+n/4, n)
		return a + b
	}
	if aText || bText || args[0] == nil || args[1] == nil {
		panic(Errorf("%s and %s cannot be added; string(…) makes a text of anything", Describe(args[0]), Describe(args[1])))
	}
	defer refused("added", args)
	return runtime.Add(args[0], args[1])
}

// refused says in words that one of expr's operators has refused these operands by a panic. It must be deferred.
func refused(verb string, args []any) {
	if recover() != nil {
		panic(Errorf("%s cannot be %s", describeAll(args), verb))
	}
}

// opTimes, opDivide and opNegate are *, / and - for durations, and for values that may be durations.
func opTimes(_ *Machine, args []any) any {
	if args[0] == nil || args[1] == nil {
		panic(Errorf("a value before or after * is missing"))
	}
	for i, a := range args {
		if d, ok := a.(time.Duration); ok {
			by, ok := number(args[1-i])
			if !ok {
				panic(Errorf("%s cannot be multiplied", describeAll(args)))
			}
			return scaled(d, by)
		}
	}
	defer refused("multiplied", args)
	return runtime.Multiply(args[0], args[1])
}

func opDivide(_ *Machine, args []any) any {
	if args[0] == nil || args[1] == nil {
		panic(Errorf("a value before or after / is missing"))
	}
	d, ok := args[0].(time.Duration)
	if !ok {
		defer refused("divided", args)
		return runtime.Divide(args[0], args[1])
	}
	by, isNumber := number(args[1])
	other, isDuration := args[1].(time.Duration)
	switch {
	case isNumber && by == 0, isDuration && other == 0:
		panic(Errorf("a duration is divided by 0"))
	case isNumber:
		return scaled(d, 1/by)
	case isDuration:
		return float64(d) / float64(other)
	}
	panic(Errorf("%s cannot be divided", describeAll(args)))
}

func opNegate(_ *Machine, args []any) any {
	switch v := args[0].(type) {
	case time.Duration:
		return -v
	case int:
		return -v
	case float64:
		return -v
	case nil:
		panic(Errorf("the value after - is missing"))
	}
	panic(Errorf("- needs a number or a duration after it, but got %s", Describe(args[0])))
}

func opRange(r *Machine, args []any) any {
	from, to := wantInt("a range", args[0]), wantInt("a range", args[1])
	n := to - from + 1
	if n <= 0 {
		return []int{}
	}
	if n > maxRange {
		panic(Errorf("a range of %d numbers is longer than the %d that are allowed", n, maxRange))
	}
	r.charge(20+2*n, 8*n)
	return runtime.MakeRange(from, to)
}

// opStep charges for one turn of a loop.
func opStep(r *Machine, args []any) any {
	r.charge(args[0].(int), 0)
	return nil
}

// opWalked charges for a loop over a list that evaluates nothing.
func opWalked(r *Machine, args []any) any {
	r.charge(50*wantList("this", args[0]).Len(), 0)
	return args[0]
}

// opMirrored converts an index in the reversed list to one in the list itself; nil stays nil.
func opMirrored(_ *Machine, args []any) any {
	list := wantList("this", args[0])
	if args[1] == nil {
		return nil
	}
	return list.Len() - 1 - wantInt("this", args[1])
}

// opPresent is the left side of ??: nil if the value is missing, which includes an empty text and a zero time.
func opPresent(_ *Machine, args []any) any {
	if missing(args[0]) {
		return nil
	}
	return args[0]
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

func opEqual(r *Machine, args []any) any {
	if a, ok := args[0].(string); ok {
		b, ok := args[1].(string)
		if ok && len(a) == len(b) {
			r.charge(5+len(a)/8, 0)
		}
		return ok && a == b
	}
	r.chargeFor(args[0], 2, 0)
	defer refused("compared", args)
	return runtime.Equal(args[0], args[1])
}

// A wordSet is a list of text literals.
type wordSet struct {
	words   map[string]struct{}
	longest int
}

func opIn(r *Machine, args []any) any {
	key, isText := args[0].(string)
	switch in := args[1].(type) {
	case nil:
		return false
	case *wordSet:
		if !isText || len(key) > in.longest {
			return false
		}
		r.spend(20 + len(key)/4)
		_, ok := in.words[key]
		return ok
	case []string:
		if !isText {
			return false
		}
		r.charge(10+10*len(in)+len(in)*min(len(key), 4096)/8, 0)
		return slices.Contains(in, key)
	case map[string]any:
		_, ok := in[key]
		return ok && isText
	case string:
		panic(Errorf("in needs a list, but got %s; for a part of a text use contains", Describe(in)))
	}
	r.chargeFor(args[1], 4, 0)
	defer refused("compared", args)
	return runtime.In(args[0], args[1])
}

func opCompare(holds func(int) bool) operation {
	return func(r *Machine, args []any) any {
		a, aText := args[0].(string)
		b, bText := args[1].(string)
		if aText && bText {
			r.charge(10+min(len(a), len(b))/8, 0)
			return holds(strings.Compare(a, b))
		}
		if args[0] == nil || args[1] == nil {
			panic(Errorf("a missing value cannot be compared"))
		}
		defer refused("compared", args)
		switch {
		case runtime.Less(args[0], args[1]):
			return holds(-1)
		case runtime.Less(args[1], args[0]):
			return holds(1)
		}
		return holds(0)
	}
}

// opText compares two texts. A search costs the length of the first, a look at one end the length of the second.
func opText(holds func(a, b string) bool, search bool) operation {
	return func(r *Machine, args []any) any {
		if args[0] == nil || args[1] == nil {
			return false
		}
		if list, ok := args[0].([]any); ok {
			return opIn(r, []any{args[1], list})
		}
		for _, v := range args {
			if _, ok := v.(string); !ok {
				panic(Errorf("a text is needed here, but this is %s", Describe(v)))
			}
		}
		a, b := args[0].(string), args[1].(string)
		switch {
		case search:
			r.charge(10+len(a)+len(b), 0)
		case len(b) > len(a):
			return false
		default:
			r.spend(10 + len(b)/8)
		}
		return holds(a, b)
	}
}
