package rules

import (
	"cmp"
	"slices"

	"bellhop/rules/lang"
)

// An index finds the rules that an event may match, at a cost that does not grow with the number of rules. Each rule is
// filed under the rarest test that its condition needs, for example appointment.calendarId == "a" (see [lang.Need]). A
// rule that needs none is filed under the names of its events. The rules that the index does not return would not match,
// and their conditions would not fail.
//
// The index is immutable. It keeps 12 bytes for each key of a rule.
type index struct {
	keys    []lang.Key // sorted
	rules   []int32    // parallel to keys: the index of a rule in its set
	first   []int32    // for the leading bits of a key, where in keys the search begins
	shift   int        // the number of bits of a key that are not leading
	lookups []lookup   // what to look up for an event
	names   [][]int32  // by the number of an event name: the rules without a key
	hears   []uint16   // for each rule, the event names it is for, as bits; 0 for a disabled rule
}

// A lookup is a field that keys test, and how.
type lookup struct {
	field string
	of    func(*Event) any // reads the field
	tests []lang.Lookup
	whole lang.Key // under which the rules are filed that test the parts or the elements of this field
}

// eventNames returns the names of events as bits.
func eventNames(names []string) (bits uint16) {
	for _, name := range names {
		bits |= nameBits[name]
	}
	return bits
}

var nameBits = func() map[string]uint16 {
	out := map[string]uint16{}
	for i, name := range Names() {
		out[name] = 1 << i
	}
	return out
}()

// newIndex files rules under what their conditions need.
func newIndex(rules []*Rule, needs func(*Rule) []lang.Need) *index {
	ix := &index{hears: make([]uint16, len(rules)), names: make([][]int32, len(Names()))}
	count := map[lang.Key]int32{}
	for i, rule := range rules {
		if !rule.Enabled {
			continue
		}
		ix.hears[i] = eventNames(rule.On)
		for _, need := range needs(rule) {
			for _, a := range need {
				count[a.Key()]++
			}
		}
	}
	type posting struct {
		key  lang.Key
		rule int32
	}
	var postings []posting
	used := map[lang.Lookup]bool{}
	for i, rule := range rules {
		if ix.hears[i] == 0 {
			continue
		}
		need := rarest(needs(rule), count)
		if need == nil {
			for n := range ix.names {
				if ix.hears[i]&(1<<n) != 0 {
					ix.names[n] = append(ix.names[n], int32(i))
				}
			}
			continue
		}
		for _, a := range need {
			postings = append(postings, posting{a.Key(), int32(i)})
			l := a.Lookup.Value()
			if used[l] = true; l.Test == lang.Contains || l.Test == lang.Holds {
				postings = append(postings, posting{wholeOf(l.Field), int32(i)})
			}
		}
	}
	slices.SortFunc(postings, func(a, b posting) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.rule, b.rule)) })
	postings = slices.Compact(postings) // a rule can have several tests of the parts of one field
	ix.keys, ix.rules = make([]lang.Key, len(postings)), make([]int32, len(postings))
	bits := 0
	for 1<<bits < len(postings) {
		bits++
	}
	ix.shift, ix.first = 64-bits, make([]int32, 1<<bits+1)
	for i, p := range postings {
		ix.keys[i], ix.rules[i] = p.key, p.rule
		ix.first[uint64(p.key)>>ix.shift+1] = int32(i + 1)
	}
	for i := 1; i < len(ix.first); i++ {
		ix.first[i] = max(ix.first[i], ix.first[i-1])
	}
	ix.lookups = lookupsOf(used)
	return ix
}

// wholeOf is the key under which rules are filed that test the parts of a field.
func wholeOf(field string) lang.Key { return lang.KeyOf(0, field, "") }

// lookupsOf groups what is looked up by field.
func lookupsOf(used map[lang.Lookup]bool) (out []lookup) {
	for l := range used {
		i := slices.IndexFunc(out, func(o lookup) bool { return o.field == l.Field })
		if i < 0 {
			i = len(out)
			out = append(out, lookup{field: l.Field, of: valueOf(l.Field), whole: wholeOf(l.Field)})
		}
		out[i].tests = append(out[i].tests, l)
	}
	return out
}

// rarest returns the need under whose keys the fewest rules could be filed. It returns nil if there is none.
func rarest(needs []lang.Need, count map[lang.Key]int32) (best lang.Need) {
	least := int32(0)
	for i := range needs {
		sum := int32(0)
		for _, a := range needs[i] {
			sum += count[a.Key()]
		}
		if best == nil || sum < least {
			best, least = needs[i], sum
		}
	}
	return best
}

// candidates returns the indexes of the rules that the event may match, rising.
func (ix *index) candidates(ev *Event) []int32 {
	heard := eventNames(ev.On)
	var out []int32
	look := func(k lang.Key) {
		bucket := uint64(k) >> ix.shift
		for i := ix.first[bucket]; i < ix.first[bucket+1]; i++ {
			if ix.keys[i] == k && ix.hears[ix.rules[i]]&heard != 0 {
				out = append(out, ix.rules[i])
			}
		}
	}
	for i := range ix.lookups {
		switch v := ix.lookups[i].of(ev).(type) {
		case string:
			ix.lookups[i].text(v, look)
		case []string:
			ix.lookups[i].list(v, look)
		}
	}
	for n, rules := range ix.names {
		if heard&(1<<n) != 0 {
			out = append(out, rules...)
		}
	}
	if len(out) < 2 {
		return out
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// text looks up a text.
func (l *lookup) text(v string, look func(lang.Key)) {
	for _, t := range l.tests {
		switch {
		case t.Test == lang.Equals:
			look(lang.KeyOf(t.Test, l.field, v))
		case t.Test == lang.StartsWith && len(v) >= t.Size:
			look(lang.KeyOf(t.Test, l.field, v[:t.Size]))
		case t.Test == lang.EndsWith && len(v) >= t.Size:
			look(lang.KeyOf(t.Test, l.field, v[len(v)-t.Size:]))
		case t.Test == lang.Contains && len(v) > lang.MaxLooked:
			look(l.whole)
		case t.Test == lang.Contains:
			for i := 0; i+lang.PartSize <= len(v); i++ {
				look(lang.KeyOf(t.Test, l.field, v[i:i+lang.PartSize]))
			}
		}
	}
}

// list looks up the elements of a list.
func (l *lookup) list(v []string, look func(lang.Key)) {
	size := 0
	for _, e := range v {
		size += len(e) + 1
	}
	if size > lang.MaxLooked {
		look(l.whole)
		return
	}
	for _, e := range v {
		look(lang.KeyOf(lang.Holds, l.field, e))
	}
}
