package rules

import (
	"cmp"
	"slices"
)

// A table finds the rules of a set by keys. It is immutable, keeps 12 bytes for each key of a rule, and is made anew from
// another one in one pass when some rules are replaced.
type table struct {
	keys  []uint64 // sorted
	rules []int32  // parallel to keys: the index of a rule in its set; rising for one key
	first []int32  // for the leading bits of a key, where in keys the search begins
	shift int      // the number of bits of a key that are not leading
}

// An entry is one key of one rule.
type entry struct {
	key  uint64
	rule int32
}

// of returns the rules with a key.
func (t *table) of(key uint64) []int32 {
	if len(t.keys) == 0 {
		return nil
	}
	bucket := key >> t.shift
	from, end := t.first[bucket], t.first[bucket+1]
	for from < end && t.keys[from] < key {
		from++
	}
	to := from
	for to < end && t.keys[to] == key {
		to++
	}
	return t.rules[from:to]
}

// changed returns the table after its rules have moved to other indexes, or are gone, and others are added.
func (t *table) changed(moved moves, added []entry) table {
	slices.SortFunc(added, func(a, b entry) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.rule, b.rule)) })
	added = slices.Compact(added)
	size := len(added)
	for _, rule := range t.rules {
		if moved.to(rule) >= 0 {
			size++
		}
	}
	out := table{keys: make([]uint64, 0, size), rules: make([]int32, 0, size)}
	add := func(key uint64, rule int32) {
		out.keys, out.rules = append(out.keys, key), append(out.rules, rule)
	}
	next := 0
	for i, key := range t.keys {
		for ; next < len(added) && added[next].key < key; next++ {
			add(added[next].key, added[next].rule)
		}
		if to := moved.to(t.rules[i]); to >= 0 {
			add(key, to)
		}
	}
	for _, e := range added[next:] {
		add(e.key, e.rule)
	}
	out.sort()
	bits := 0
	for 1<<bits < size {
		bits++
	}
	out.shift, out.first = 64-bits, make([]int32, 1<<bits+1)
	for i, key := range out.keys {
		out.first[key>>out.shift+1] = int32(i + 1)
	}
	for i := 1; i < len(out.first); i++ {
		out.first[i] = max(out.first[i], out.first[i-1])
	}
	return out
}

// sort puts the rules of each key in order, which they are unless files changed places.
func (t *table) sort() {
	for from := 0; from < len(t.keys); {
		to := from + 1
		for to < len(t.keys) && t.keys[to] == t.keys[from] {
			to++
		}
		if list := t.rules[from:to]; !slices.IsSorted(list) {
			slices.Sort(list)
		}
		from = to
	}
}

// moves says where the rules of a set are in another one, by their index; -1 is for those that are not in it.
type moves []int32

func (m moves) to(rule int32) int32 { return m[rule] }

// rising reports whether the rules that are still there are in the order they were in.
func (m moves) rising() bool {
	last := int32(-1)
	for _, to := range m {
		if to >= 0 && to < last {
			return false
		}
		last = max(last, to)
	}
	return true
}
