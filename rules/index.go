package rules

import (
	"slices"
	"strings"

	"bellhop/rules/lang"
)

// An index finds the rules that an event may match, at a cost that does not grow with the number of rules. Each rule is
// filed under the rarest test that its condition needs, for example appointment.calendarId == "a" (see [lang.Need]). A
// rule that needs none is filed under the names of its events. The rules that the index does not return would not match,
// and their conditions would not fail.
//
// The index is immutable.
type index struct {
	table
	lookups []lookup  // what to look up for an event
	names   [][]int32 // by the number of an event name: the rules without a key
	hears   []uint16  // for each rule, the event names it is for, as bits; 0 for a disabled rule
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

// changed returns the index after rules have moved to other indexes, or are gone, and others are added. rules are all
// rules then, added the indexes of the new ones, and asked has every test of every rule.
func (ix *index) changed(moved moves, rules []*Rule, added []int32, asked *table) *index {
	out := &index{hears: make([]uint16, len(rules)), names: make([][]int32, len(Names())), lookups: slices.Clone(ix.lookups)}
	for i, hears := range ix.hears {
		if to := moved.to(int32(i)); to >= 0 {
			out.hears[to] = hears
		}
	}
	for n, list := range ix.names {
		for _, rule := range list {
			if to := moved.to(rule); to >= 0 {
				out.names[n] = append(out.names[n], to)
			}
		}
	}
	var entries []entry
	for _, i := range added {
		rule := rules[i]
		if !rule.Enabled {
			continue
		}
		out.hears[i] = eventNames(rule.On)
		need := rarest(rule.needs, asked)
		if need == nil {
			for n := range out.names {
				if out.hears[i]&(1<<n) != 0 {
					out.names[n] = append(out.names[n], i)
				}
			}
			continue
		}
		for _, a := range need {
			entries = append(entries, entry{uint64(a.Key()), i})
			l := a.Lookup.Value()
			if out.lookUp(l); l.Test == lang.Contains || l.Test == lang.Holds {
				entries = append(entries, entry{uint64(wholeOf(l.Field)), i})
			}
			if object, name, _ := strings.Cut(l.Field, "."); slices.Contains(soughtFields[object], name) {
				entries = append(entries, entry{uint64(soughtOf(l.Field)), i})
			}
		}
	}
	out.table = ix.table.changed(moved, entries)
	return out
}

// wholeOf is the key under which rules are filed that test the parts of a field.
func wholeOf(field string) lang.Key { return lang.KeyOf(0, field, "") }

// soughtOf is the key under which rules are filed that test a field of a person or a place.
func soughtOf(field string) lang.Key { return lang.KeyOf(1, field, "") }

// lookUp adds what is to be looked up for an event.
func (ix *index) lookUp(l lang.Lookup) {
	i := slices.IndexFunc(ix.lookups, func(o lookup) bool { return o.field == l.Field })
	switch {
	case i < 0:
		ix.lookups = append(ix.lookups, lookup{field: l.Field, of: valueOf(l.Field), whole: wholeOf(l.Field), tests: []lang.Lookup{l}})
	case !slices.Contains(ix.lookups[i].tests, l):
		ix.lookups[i].tests = append(slices.Clip(ix.lookups[i].tests), l) // the other index has the list too
	}
}

// rarest returns the need under whose keys the fewest rules could be filed. It returns nil if there is none.
func rarest(needs []lang.Need, asked *table) (best lang.Need) {
	if len(needs) == 1 {
		return needs[0]
	}
	least := 0
	for _, need := range needs {
		sum := 0
		for _, a := range need {
			sum += len(asked.of(uint64(a.Key())))
		}
		if best == nil || sum < least {
			best, least = need, sum
		}
	}
	return best
}

// candidates returns the indexes of the rules that the event may match, rising.
func (ix *index) candidates(ev *Event) []int32 {
	heard := eventNames(ev.On)
	var out []int32
	look := func(k lang.Key) {
		for _, rule := range ix.of(uint64(k)) {
			if ix.hears[rule]&heard != 0 {
				out = append(out, rule)
			}
		}
	}
	for i := range ix.lookups {
		l := &ix.lookups[i]
		value := l.of(ev)
		if ev.seeks(l.field, value) { // any test of it may succeed
			look(soughtOf(l.field))
		}
		switch v := value.(type) {
		case string:
			l.text(v, look)
		case []string:
			l.list(v, look)
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
