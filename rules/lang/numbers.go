package lang

import (
	"time"

	"github.com/expr-lang/expr/vm/runtime"
)

var numberFunctions = []function{
	{
		name: "int", doc: "A number or a text as a whole number.", example: `int("42")`,
		forms: []form{to(intType, numberType), to(intType, Text)}, price: perByte(20), aliases: []string{"parseInt"},
	},
	{
		name: "float", doc: "A number or a text as a number.", example: `float("1.5")`,
		forms: []form{to(floatType, numberType), to(floatType, Text)}, price: perByte(20), aliases: []string{"number"},
	},
	{
		name: "abs", doc: "The number or the duration without its sign.", example: "abs(appointment.startTime - now())",
		forms: []form{to(sameType, numberType), to(durationType, durationType)}, call: fnAbs,
	},
	{name: "ceil", doc: "The number rounded up.", example: "ceil(1.2)", forms: []form{to(floatType, numberType)}, price: perByte(0)},
	{name: "floor", doc: "The number rounded down.", example: "floor(1.8)", forms: []form{to(floatType, numberType)}, price: perByte(0)},
	{name: "round", doc: "The number rounded.", example: "round(1.5)", forms: []form{to(floatType, numberType)}, price: perByte(0)},
	{
		name: "max", doc: "The largest number, the latest time or the longest duration.", example: "max(appointment.startTime, now())",
		forms: extremes, call: fnExtreme("max", runtime.Less), keepsZone: true, aliases: []string{"latest"},
	},
	{
		name: "min", doc: "The smallest number, the earliest time or the shortest duration.", example: "min(appointment.startTime, now())",
		forms: extremes, call: fnExtreme("min", runtime.More), keepsZone: true, aliases: []string{"earliest"},
	},
	{
		name: "mean", doc: "The average.", example: "mean(1, 2, 4)",
		forms: []form{toAny(floatType, numberType), toAny(floatType, listType)}, price: walks(10), aliases: []string{"avg", "average"},
	},
	{
		name: "median", doc: "The number in the middle.", example: "median(1, 2, 4)",
		forms: []form{toAny(floatType, numberType), toAny(floatType, listType)}, price: walks(20),
	},
	{name: "bitand", doc: "Bitwise and.", example: "bitand(6, 3)", forms: bitwise, price: perByte(0)},
	{name: "bitor", doc: "Bitwise or.", example: "bitor(6, 3)", forms: bitwise, price: perByte(0)},
	{name: "bitxor", doc: "Bitwise exclusive or.", example: "bitxor(6, 3)", forms: bitwise, price: perByte(0)},
	{name: "bitnand", doc: "Bitwise and-not.", example: "bitnand(6, 3)", forms: bitwise, price: perByte(0)},
	{name: "bitshl", doc: "Shift to the left.", example: "bitshl(1, 3)", forms: bitwise, price: perByte(0)},
	{name: "bitshr", doc: "Shift to the right.", example: "bitshr(8, 1)", forms: bitwise, price: perByte(0)},
	{name: "bitushr", doc: "Unsigned shift to the right.", example: "bitushr(8, 1)", forms: bitwise, price: perByte(0)},
	{name: "bitnot", doc: "Bitwise not.", example: "bitnot(1)", forms: []form{to(intType, intType)}, price: perByte(0)},
}

var (
	extremes = []form{toAny(floatType, numberType), toAny(Time, Time), toAny(durationType, durationType), toAny(elementsType, listType)}
	bitwise  = []form{to(intType, intType, intType)}
)

func fnAbs(r *Machine, args []any) any {
	if d, ok := args[0].(time.Duration); ok {
		return d.Abs()
	}
	r.charge(50, 0)
	return callBuiltin("abs", args)
}

// fnExtreme is min or max of numbers, times or durations, including those in lists. Expr's own knows only numbers. better
// reports that the second value is more extreme.
func fnExtreme(name string, better func(a, b any) bool) operation {
	return func(r *Machine, args []any) any {
		walks(10)(r, args)
		var best any
		for v := range flat(args) {
			if k := kindOf(v); k != TimeKind && k != DurationKind || best != nil && k != kindOf(best) {
				return callBuiltin(name, args)
			}
			if best == nil || better(best, v) {
				best = v
			}
		}
		if best == nil {
			return callBuiltin(name, args)
		}
		return best
	}
}
