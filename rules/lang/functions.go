package lang

import (
	"cmp"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"math"
	"math/bits"
	"reflect"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/vm/runtime"

	"bellhop/actions"
	"bellhop/rules/text"
)

// operations are what the checker puts in place of operators that need a bound. Names with a "$" cannot be
// written in a rule.
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

// truths are the operations that give true or false.
var truths = []string{"$eq", "$in", "$less", "$lessEq", "$more", "$moreEq", "$contains", "$startsWith", "$endsWith", "$matches"}

func Describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing (the value is missing)"
	case string:
		return "the text " + text.Quote(v)
	case bool:
		return "true or false"
	case int, int64, float64:
		return "a number"
	case time.Time:
		return "a time"
	case time.Duration:
		return "a duration"
	case *time.Location:
		return "a time zone"
	}
	switch reflect.ValueOf(v).Kind() {
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map:
		return "a map"
	}
	return "something else"
}

func wantText(name string, v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", Errorf("%s needs a text, but got %s", name, Describe(v))
	}
	return s, nil
}

func wantInt(name string, v any) (int, error) {
	switch v := v.(type) {
	case int:
		return v, nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int(v), nil
		}
	}
	return 0, Errorf("%s needs a whole number, but got %s", name, Describe(v))
}

func wantTime(name string, v any) (time.Time, error) {
	t, ok := v.(time.Time)
	switch {
	case !ok:
		return t, Errorf("%s needs a time, but got %s", name, Describe(v))
	case t.IsZero():
		return t, Errorf("%s needs a time, but the time is missing", name)
	}
	return t, nil
}

func wantList(name string, v any) (reflect.Value, error) {
	rv := reflect.ValueOf(v)
	if v == nil || rv.Kind() != reflect.Slice && rv.Kind() != reflect.Array {
		return rv, Errorf("%s needs a list, but got %s", name, Describe(v))
	}
	return rv, nil
}

func wantMap(name string, v any) (map[string]any, error) {
	if m, ok := v.(map[string]any); ok {
		return m, nil
	}
	rv := reflect.ValueOf(v)
	if v == nil || rv.Kind() != reflect.Map {
		return nil, Errorf("%s needs a map, but got %s", name, Describe(v))
	}
	m := make(map[string]any, rv.Len()) // of groupBy and fromPairs, whose keys are of any type
	for it := rv.MapRange(); it.Next(); {
		m[Print(it.Key().Interface())] = it.Value().Interface()
	}
	return m, nil
}

func fnNow(r *Machine, _ []any) (any, error) { return r.Now.In(r.naive), nil }

// Zoned is a time as a rule sees it: in the zone that tz gave it, else in the rule's, else in the time's own. A day
// without a time begins at midnight of that zone.
func (r *Machine) Zoned(t time.Time) time.Time {
	if r.Zone == nil || chosen.has(t) {
		return t
	}
	return shift(t, r.Zone)
}

func fnDate(r *Machine, args []any) (any, error) {
	if err := r.charge(2000, 128); err != nil {
		return nil, err
	}
	if text, ok := args[0].(string); ok {
		return ParseDate(r.naive, text, args[1:])
	}
	t, err := wantTime("date", args[0])
	if err != nil {
		return nil, err
	}
	if len(args) != 2 {
		return nil, Errorf("date needs a layout to print a time, such as date(t, \"2 Jan 2006\")")
	}
	layout, err := wantText("date", args[1])
	if err != nil {
		return nil, err
	}
	if err := r.charge(20*len(layout), 2*len(layout)); err != nil {
		return nil, err
	}
	return r.language.format(r.Zoned(t), layout), nil
}

// ParseDate reads a text as a time. One without an offset is of the given zone.
func ParseDate(zone *time.Location, written string, args []any) (any, error) {
	if len(written) > 1000 {
		return nil, Errorf("%s is not a date", text.Quote(written))
	}
	layouts := []string{
		"2006-01-02", "15:04:05", "2006-01-02 15:04:05", time.RFC3339, time.RFC822, time.RFC850, time.RFC1123,
		"2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04",
	}
	if len(args) > 0 {
		layout, err := wantText("date", args[0])
		if err != nil {
			return nil, err
		}
		layouts = []string{layout}
	}
	if len(args) > 1 {
		name, err := wantText("date", args[1])
		if err != nil {
			return nil, err
		}
		var ok bool
		if zone, ok = FindZone(name); !ok {
			return nil, Errorf("%s is not a time zone", text.Quote(name))
		}
	}
	for _, layout := range layouts {
		t, err := time.ParseInLocation(layout, written, noZone)
		switch {
		case err != nil:
		case t.Location() == noZone:
			return Clock(shown(t), zone), nil
		default: // the text says its offset, or an abbreviation that the zone may know
			if t, err = time.ParseInLocation(layout, written, zone); err == nil {
				return t, nil
			}
		}
	}
	return nil, Errorf("%s is not a date", text.Quote(written))
}

// noZone marks a time that was read from a text without an offset. No text has its own.
var noZone = time.FixedZone("", 1)

func fnDuration(r *Machine, args []any) (any, error) {
	text, err := wantText("duration", args[0])
	if err != nil {
		return nil, err
	}
	if err := r.charge(200+10*len(text), 0); err != nil {
		return nil, err
	}
	return parseDuration(text)
}

// parseDuration also takes a sign, which a duration that is subtracted from a time may have.
func parseDuration(text string) (time.Duration, error) {
	rest, negative := strings.CutPrefix(text, "-")
	d, err := actions.ParseDuration(rest)
	if err != nil {
		return 0, err
	}
	if negative {
		d = -d
	}
	return d, nil
}

func fnTZ(r *Machine, args []any) (any, error) {
	t, err := wantTime("tz", args[0])
	if err != nil {
		return nil, err
	}
	zone, ok := args[1].(*time.Location)
	if !ok {
		z, err := fnTimezone(r, args[1:])
		if err != nil {
			return nil, err
		}
		zone = z.(*time.Location)
	}
	return shift(t, chosen.on(zone)), nil
}

func fnTimezone(r *Machine, args []any) (any, error) {
	name, err := wantText("tz", args[0])
	if err != nil {
		return nil, err
	}
	if err := r.charge(20_000, 4096); err != nil { // a zone that is met first is read from a file
		return nil, err
	}
	zone, ok := FindZone(name)
	if !ok {
		return nil, Errorf("%s is not a time zone", text.Quote(name))
	}
	return zone, nil
}

func fnWeekday(r *Machine, args []any) (any, error) {
	t, err := wantTime("weekday", args[0])
	if err != nil {
		return nil, err
	}
	return r.Zoned(t).Weekday().String(), nil
}

func fnTimeOfDay(r *Machine, args []any) (any, error) {
	t, err := wantTime("timeOfDay", args[0])
	if err != nil {
		return nil, err
	}
	return r.Zoned(t).Format("15:04"), nil
}

func fnLen(r *Machine, args []any) (any, error) {
	switch v := args[0].(type) {
	case string:
		if err := r.charge(10+len(v)/2, 0); err != nil {
			return nil, err
		}
		return utf8.RuneCountInString(v), nil
	case nil:
		return nil, Errorf("len needs a text, a list or a map, but the value is missing")
	}
	rv := reflect.ValueOf(args[0])
	switch rv.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		return rv.Len(), nil
	}
	return nil, Errorf("len needs a text, a list or a map, but got %s", Describe(args[0]))
}

func fnString(r *Machine, args []any) (any, error) {
	if err := r.ChargeFor(args[0], 20, 2); err != nil {
		return nil, err
	}
	return Print(args[0]), nil
}

// parts is the price of dividing a text.
func parts(name string) func(*Machine, []any) error {
	return func(r *Machine, args []any) error {
		text, err := wantText(name, args[0])
		if err != nil {
			return err
		}
		sep, err := wantText(name, args[1])
		if err != nil {
			return err
		}
		if err := r.charge(50+2*len(text), 0); err != nil {
			return err
		}
		parts := utf8.RuneCountInString(text)
		if sep != "" {
			parts = strings.Count(text, sep) + 1
		}
		return r.charge(20*parts, 16*parts)
	}
}

// replacing is the price of replacing parts of a text.
func replacing(r *Machine, args []any) error {
	var texts [3]string
	for i := range texts {
		s, err := wantText("replace", args[i])
		if err != nil {
			return err
		}
		texts[i] = s
	}
	if err := r.charge(50+2*len(texts[0]), 0); err != nil {
		return err
	}
	size := len(texts[0]) + strings.Count(texts[0], texts[1])*len(texts[2])
	return r.charge(2*size, size)
}

func fnRepeat(r *Machine, args []any) (any, error) {
	text, err := wantText("repeat", args[0])
	if err != nil {
		return nil, err
	}
	n, err := wantInt("repeat", args[1])
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, Errorf("repeat needs a number that is not negative")
	}
	if n > maxBytes || len(text)*n > maxBytes {
		return nil, errTooMuch
	}
	if err := r.charge(50+len(text)*n, len(text)*n); err != nil {
		return nil, err
	}
	return strings.Repeat(text, n), nil
}

func fnJoin(r *Machine, args []any) (any, error) {
	list, err := wantList("join", args[0])
	if err != nil {
		return nil, err
	}
	glue := ""
	if len(args) == 2 {
		if glue, err = wantText("join", args[1]); err != nil {
			return nil, err
		}
	}
	units, bytes, err := r.measure(args[0])
	if err != nil {
		return nil, err
	}
	size := list.Len() * len(glue)
	if err := r.charge(20*units+size, bytes+size); err != nil {
		return nil, err
	}
	texts := make([]string, list.Len())
	for i := range texts {
		texts[i] = Print(list.Index(i).Interface())
	}
	return strings.Join(texts, glue), nil
}

func fnToJSON(r *Machine, args []any) (any, error) {
	if err := r.ChargeFor(args[0], 20, 6); err != nil {
		return nil, err
	}
	data, err := marshal(args[0])
	if err != nil {
		return nil, Errorf("toJSON cannot write %s", Describe(args[0]))
	}
	return string(data), nil
}

func fnFromJSON(r *Machine, args []any) (any, error) {
	text, err := wantText("fromJSON", args[0])
	if err != nil {
		return nil, err
	}
	if err := r.charge(100+40*len(text), 20*len(text)); err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, Errorf("fromJSON was given a text that is not JSON")
	}
	return v, nil
}

func fnElement(i int) func(*Machine, []any) (any, error) {
	return func(r *Machine, args []any) (any, error) {
		if args[0] == nil {
			return nil, nil
		}
		if _, err := wantList("first", args[0]); err != nil {
			return nil, err
		}
		return fnGet(r, []any{args[0], i})
	}
}

// fnGet takes an element or an entry. What is not there is nil, at every depth: raw.a.b is nil where raw.a is.
func fnGet(_ *Machine, args []any) (any, error) {
	switch from := args[0].(type) {
	case nil:
		return nil, nil
	case map[string]any:
		if key, ok := args[1].(string); ok {
			return from[key], nil
		}
		return nil, nil
	case []string:
		if i, ok := index(args[1], len(from)); ok {
			return from[i], nil
		}
		return nil, nil
	case []any:
		if i, ok := index(args[1], len(from)); ok {
			return from[i], nil
		}
		return nil, nil
	}
	switch rv := reflect.ValueOf(args[0]); rv.Kind() {
	case reflect.Slice, reflect.Array:
		if i, ok := index(args[1], rv.Len()); ok {
			return rv.Index(i).Interface(), nil
		}
	case reflect.Map:
		if key := reflect.ValueOf(args[1]); key.IsValid() && key.Type().AssignableTo(rv.Type().Key()) && key.Comparable() {
			if v := rv.MapIndex(key); v.IsValid() {
				return v.Interface(), nil
			}
		}
	}
	return nil, nil
}

// index reads an element's number; negative ones count from the end.
func index(v any, length int) (int, bool) {
	i, err := wantInt("", v)
	if err != nil {
		return 0, false
	}
	if i < 0 {
		i += length
	}
	return i, i >= 0 && i < length
}

func fnTake(r *Machine, args []any) (any, error) {
	return opSlice(r, []any{args[0], 0, args[1]})
}

// opSlice cuts a list, or a text by characters.
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

func (r *Machine) chargeMap(name string, v any) (map[string]any, []string, error) {
	m, err := wantMap(name, v)
	if err != nil {
		return nil, nil, err
	}
	if err := r.charge(50+300*len(m), 64*len(m)); err != nil {
		return nil, nil, err
	}
	return m, slices.Sorted(maps.Keys(m)), nil
}

func fnKeys(r *Machine, args []any) (any, error) {
	_, keys, err := r.chargeMap("keys", args[0])
	return keys, err
}

func fnValues(r *Machine, args []any) (any, error) {
	m, keys, err := r.chargeMap("values", args[0])
	if err != nil {
		return nil, err
	}
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = m[k]
	}
	return out, nil
}

func fnToPairs(r *Machine, args []any) (any, error) {
	m, keys, err := r.chargeMap("toPairs", args[0])
	if err != nil {
		return nil, err
	}
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = []any{k, m[k]}
	}
	return out, nil
}

func fnFromPairs(r *Machine, args []any) (any, error) {
	list, err := wantList("fromPairs", args[0])
	if err != nil {
		return nil, err
	}
	if err := r.charge(50+300*list.Len(), 64*list.Len()); err != nil {
		return nil, err
	}
	out := make(map[string]any, list.Len())
	for i := range list.Len() {
		pair, err := wantList("fromPairs", list.Index(i).Interface())
		if err != nil {
			return nil, err
		}
		if pair.Len() != 2 {
			return nil, Errorf("fromPairs needs lists of a key and a value")
		}
		out[Print(pair.Index(0).Interface())] = pair.Index(1).Interface()
	}
	return out, nil
}

func fnConcat(r *Machine, args []any) (any, error) {
	size := 0
	for _, a := range args {
		list, err := wantList("concat", a)
		if err != nil {
			return nil, err
		}
		size += list.Len()
	}
	if err := r.charge(50+50*size, 32*size); err != nil {
		return nil, err
	}
	out := make([]any, 0, size)
	for _, a := range args {
		list := reflect.ValueOf(a)
		for i := range list.Len() {
			out = append(out, list.Index(i).Interface())
		}
	}
	return out, nil
}

// comparingAll is the price of comparing each element with each.
func comparingAll(r *Machine, args []any) error {
	list, err := wantList("uniq", args[0])
	if err != nil {
		return err
	}
	units, bytes, err := r.measure(args[0])
	if err != nil {
		return err
	}
	n := list.Len()
	if n > maxElements {
		return errTooMuch
	}
	return r.charge(n*n*20+n*units/4, bytes)
}

// sorting is the price of putting a list in order.
func sorting(r *Machine, args []any) error {
	list, err := wantList("sort", args[0])
	if err != nil {
		return err
	}
	units, bytes, err := r.measure(args[0])
	if err != nil {
		return err
	}
	return r.charge(units*max(1, bits.Len(uint(list.Len())))*4, bytes)
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

func fnAbs(r *Machine, args []any) (any, error) {
	if d, ok := args[0].(time.Duration); ok {
		return d.Abs(), nil
	}
	if err := r.charge(50, 0); err != nil {
		return nil, err
	}
	return callBuiltin("abs", args)
}

// fnExtreme is min or max, of numbers, of times or of durations, also of those in lists.
func fnExtreme(name string, sign int) func(*Machine, []any) (any, error) {
	numbers := func(r *Machine, args []any) (any, error) {
		if err := walks(10)(r, args); err != nil {
			return nil, err
		}
		return callBuiltin(name, args)
	}
	return func(r *Machine, args []any) (any, error) {
		var best any
		for v := range flat(args) {
			switch v.(type) {
			case time.Time, time.Duration:
			default:
				return numbers(r, args)
			}
			if err := r.charge(20, 0); err != nil {
				return nil, err
			}
			switch {
			case best == nil:
				best = v
			case reflect.TypeOf(best) != reflect.TypeOf(v):
				return nil, Errorf("%s cannot work with %s and %s", name, Describe(best), Describe(v))
			case order(v, best) == sign:
				best = v
			}
		}
		if best == nil {
			return numbers(r, args)
		}
		return best, nil
	}
}

// order compares two times or two durations.
func order(a, b any) int {
	if t, ok := a.(time.Time); ok {
		return t.Compare(b.(time.Time))
	}
	return cmp.Compare(a.(time.Duration), b.(time.Duration))
}

// flat goes through values, and through the elements of those that are lists.
func flat(args []any) iter.Seq[any] {
	return func(yield func(any) bool) {
		for _, a := range args {
			rv := reflect.ValueOf(a)
			if a == nil || rv.Kind() != reflect.Slice {
				if !yield(a) {
					return
				}
				continue
			}
			for i := range rv.Len() {
				if !yield(rv.Index(i).Interface()) {
					return
				}
			}
		}
	}
}

// opTimes, opDivide and opNegate are * / and - with a duration, or with what may be one.
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

// guarded runs one of the language's operators, which panic at types they do not take.
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

// opWalked charges for a loop over a list whose body is trivial.
func opWalked(r *Machine, args []any) (any, error) {
	list, err := wantList("this", args[0])
	if err != nil {
		return nil, err
	}
	return args[0], r.charge(50*list.Len(), 0)
}

// opMirrored is the index in a list of what has an index in the same list backwards; nil stays nil.
func opMirrored(_ *Machine, args []any) (any, error) {
	list, err := wantList("this", args[0])
	if err != nil || args[1] == nil {
		return nil, err
	}
	i, err := wantInt("this", args[1])
	return list.Len() - 1 - i, err
}

// opPresent is the left side of ??: nil where there is nothing, which includes an empty text and a zero time.
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

// A wordSet is a list of texts written out in a rule.
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

// opText compares two texts: searching costs what the first is long, looking at an end what the second is.
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

// A pattern is a compiled regular expression and what a match costs: each byte that is looked at may meet each
// instruction. One that begins at the beginning of the text looks no further than it is long.
type pattern struct {
	re      *regexp.Regexp
	perByte int
	longest int // bytes that a match can have, if it must stand at the beginning; else -1
}

func (p *pattern) cost(text string) int {
	n := len(text)
	if p.longest >= 0 {
		n = min(n, p.longest+utf8.UTFMax)
	}
	return 200 + n*p.perByte
}

// maxPattern bounds the size of a compiled pattern: repetitions count as often as they repeat.
const maxPattern = 2000

func compilePattern(source string) (*pattern, error) {
	if len(source) > 1000 {
		return nil, Errorf("the pattern is longer than 1000 characters")
	}
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, Errorf("the pattern %s is not valid: %s", text.Quote(source), patternMistake(err))
	}
	if patternSize(parsed) > maxPattern {
		return nil, Errorf("the pattern %s repeats too much", text.Quote(source))
	}
	simple := parsed.Simplify()
	prog, err := syntax.Compile(simple)
	if err != nil {
		return nil, Errorf("the pattern %s is not valid", text.Quote(source))
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, Errorf("the pattern %s is not valid", text.Quote(source))
	}
	out := &pattern{re: re, perByte: 4 + 4*len(prog.Inst), longest: -1}
	if prog.StartCond()&syntax.EmptyBeginText != 0 {
		out.longest = longestMatch(simple)
	}
	return out, nil
}

// longestMatch is the number of bytes that a match of a simplified pattern can have, -1 if there is no limit.
func longestMatch(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return len(string(re.Rune))
		}
		return utf8.UTFMax * len(re.Rune)
	case syntax.OpCharClass:
		if n := len(re.Rune); n > 0 {
			return utf8.RuneLen(re.Rune[n-1])
		}
		return 0
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return utf8.UTFMax
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		return -1
	}
	n := 0
	for _, sub := range re.Sub {
		switch k := longestMatch(sub); {
		case k < 0:
			return -1
		case re.Op == syntax.OpAlternate:
			n = max(n, k)
		default:
			n += k
		}
	}
	return n
}

func patternMistake(err error) string {
	mistake, ok := errors.AsType[*syntax.Error](err)
	if !ok {
		return "the pattern cannot be read"
	}
	switch mistake.Code {
	case syntax.ErrMissingParen:
		return "a ( is never closed"
	case syntax.ErrUnexpectedParen:
		return "a ) has no ( before it"
	case syntax.ErrMissingBracket:
		return "a [ is never closed"
	case syntax.ErrMissingRepeatArgument:
		return "*, + or ? has nothing before it to repeat"
	case syntax.ErrInvalidRepeatSize:
		return "a repetition is too large"
	case syntax.ErrInvalidCharRange, syntax.ErrInvalidCharClass:
		return "what stands between [ and ] is no range of characters"
	case syntax.ErrInvalidEscape, syntax.ErrTrailingBackslash:
		return `a \ is followed by something that has no meaning`
	case syntax.ErrInvalidPerlOp:
		return "looking ahead or behind is not supported"
	}
	return string(mistake.Code)
}

func patternSize(re *syntax.Regexp) int {
	size := 1
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		size += patternSize(sub)
		if size > maxPattern {
			return maxPattern + 1
		}
	}
	if re.Op == syntax.OpRepeat {
		n := max(re.Max, re.Min+1, 1)
		if size*n > maxPattern {
			return maxPattern + 1
		}
		size *= n
	}
	return size
}

func opMatches(r *Machine, args []any) (any, error) {
	if args[0] == nil || args[1] == nil {
		return false, nil
	}
	text, err := wantText("matches", args[0])
	if err != nil {
		return nil, err
	}
	p, ok := args[1].(*pattern)
	if !ok {
		source, err := wantText("matches", args[1])
		if err != nil {
			return nil, err
		}
		if err := r.charge(200_000, 64<<10); err != nil {
			return nil, err
		}
		if p, err = compilePattern(source); err != nil {
			return nil, err
		}
	}
	if err := r.charge(p.cost(text), 0); err != nil {
		return nil, err
	}
	return p.re.MatchString(text), nil
}
