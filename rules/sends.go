package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"bellhop/rules/text"
)

// codeSameSend is the code of a finding about several files together.
const codeSameSend = "same-send"

// maxAlike limits how many steps that send the same are compared with one.
const maxAlike = 20

// A sending is one step of one rule, by its place among the steps.
type sending struct {
	rule *Rule
	step int
}

// A comparison compares what rules send. It reads the conditions of those that send the same, each once.
type comparison struct {
	proofs map[*Rule]*body
}

// proof returns the rule's body with what is needed to compare its condition.
func (c *comparison) proof(rule *Rule) *body {
	b := c.proofs[rule]
	if b == nil {
		b = rule.proof()
		if c.proofs == nil {
			c.proofs = map[*Rule]*body{}
		}
		c.proofs[rule] = b
	}
	return b
}

// A sameSend is a warning about a step.
type sameSend struct {
	key     uint64 // in the table of what is sent
	rule    *Rule  // of the step
	finding text.Finding
}

// sent returns the keys of what the rule sends, as far as they are known.
func (rule *Rule) sent() (out []sendKey) {
	if !rule.Enabled || rule.Shadow {
		return nil
	}
	if !slices.Contains(rule.sends, sendKey{}) {
		return rule.sends
	}
	return slices.DeleteFunc(slices.Clone(rule.sends), func(k sendKey) bool { return k == sendKey{} })
}

// sameSends warns about steps that send the same to the same recipient for the same event: in one rule, or in two
// rules whose events overlap and of which one fires whenever the other does. What is sent is compared as it is
// written. was is the set before, from which the rules have moved or are gone. What was compared then is not compared
// again.
func (s *Set) sameSends(was *Set, moved moves, added []int32) (out []sameSend) {
	fresh := make(map[*Rule]bool, len(added))
	touched := map[uint64]bool{} // the keys of which rules came or are gone; whether all with the key are compared again
	for _, i := range added {
		rule := s.rules[i]
		fresh[rule] = true
		for _, key := range rule.sent() {
			touched[key.high] = false
		}
	}
	if !moved.rising() { // files changed places
		for _, key := range s.alike.keys {
			touched[key] = true
		}
	}
	gone := map[*Rule]bool{}
	for i, rule := range was.rules {
		if moved.to(int32(i)) >= 0 {
			continue
		}
		gone[rule] = true
		for _, key := range rule.sent() {
			first := was.alike.of(key.high) // later ones were compared with them
			touched[key.high] = touched[key.high] || slices.Contains(first[:min(len(first), maxAlike)], int32(i))
		}
	}
	var c comparison
	for key, all := range touched {
		group := s.alike.of(key)
		old := slices.IndexFunc(group, func(i int32) bool { return fresh[s.rules[i]] })
		all = all || old >= 0 && slices.ContainsFunc(group[old:], func(i int32) bool { return !fresh[s.rules[i]] })
		touched[key] = all
		out = c.compare(out, s.rules, key, group, func(r *Rule) bool { return all || fresh[r] })
	}
	for _, found := range was.same {
		if all := touched[found.key]; !all && !gone[found.rule] {
			out = append(out, found)
		}
	}
	return out
}

// compare compares the rules of a group, which may send the same, each with the first ones before it. It reports only
// those that are wanted.
func (c *comparison) compare(out []sameSend, rules []*Rule, key uint64, group []int32, wanted func(*Rule) bool) []sameSend {
	alike := map[sendKey][]sending{}
	for _, i := range group {
		rule := rules[i]
		for n, k := range rule.sends {
			if k.high != key {
				continue
			}
			this := sending{rule, n}
			if wanted(rule) {
				for _, other := range alike[k] {
					if c.fireTogether(other.rule, rule) {
						out = append(out, sameSend{key, rule, repeatedSend(other, this)})
						break
					}
				}
			}
			if len(alike[k]) < maxAlike {
				alike[k] = append(alike[k], this)
			}
		}
	}
	return out
}

func repeatedSend(first, again sending) text.Finding {
	one, st := first.rule.body().steps[first.step], again.rule.body().steps[again.step]
	out := text.Finding{
		File: again.rule.File, Line: st.line, Column: st.column, EndLine: st.line, EndColumn: st.column + len(st.kind.Name),
		Severity: text.Warning, Code: codeSameSend,
	}
	where := fmt.Sprintf("rule %s in %s:%d", text.Quote(first.rule.Name), first.rule.File, one.line)
	if first.rule == again.rule {
		where = fmt.Sprintf("step %d in line %d", one.number, one.line)
	}
	out.Message = fmt.Sprintf("for the same event this sends the same as %s", where)
	return out
}

// A sendKey is the same for two steps that send the same. It is zero if that is unknown.
type sendKey struct{ high, low uint64 }

// sendKeyOf returns the key of everything that a step sends, to whom and when, as written. The same words in another
// rule mean the same only if the names in them and the zone do.
func (b *body) sendKeyOf(st *step) sendKey {
	if st.sends == "" {
		return sendKey{}
	}
	h := sha256.New()
	h.Write([]byte(st.sends))
	if strings.Contains(st.sends, "{{") || st.wait != nil {
		if st.wait != nil {
			h.Write([]byte("\x00at " + st.wait.src))
		}
		h.Write([]byte("\x00in " + b.zoneName()))
		for _, l := range b.lets { // each may use the ones above it
			h.Write([]byte("\x00" + l.name + "=" + l.src))
		}
	}
	sum := h.Sum(nil)
	return sendKey{binary.BigEndian.Uint64(sum), binary.BigEndian.Uint64(sum[8:])}
}

// fireTogether reports whether there are events for which both rules fire, because the condition of one implies that
// of the other.
func (c *comparison) fireTogether(a, b *Rule) bool {
	if a == b {
		return true
	}
	if len(a.only) > 0 && len(b.only) > 0 && !slices.ContainsFunc(a.only, func(name string) bool { return slices.Contains(b.only, name) }) {
		return false
	}
	if a.asks.Disjoint(b.asks) { // as most are: one for each calendar
		return false
	}
	if !slices.ContainsFunc(a.On, func(x string) bool {
		return slices.ContainsFunc(b.On, func(y string) bool { return coincide(x, y) || coincide(y, x) })
	}) {
		return false
	}
	return implies(c.proof(a), c.proof(b)) || implies(c.proof(b), c.proof(a))
}

// coincide reports whether an event named x is always, or nearly always, named y as well.
func coincide(x, y string) bool {
	switch {
	case x == y:
		return true
	case y == Create:
		return x == Booked
	case y == Update:
		return x == Rescheduled || x == Reassigned || x == Updated
	case y == Cancelled:
		return x == Delete
	}
	return false
}

// implies reports whether b's condition is true whenever a's is.
func implies(a, b *body) bool {
	if b.when == nil {
		return true
	}
	if a.when == nil || a.zoneName() != b.zoneName() { // the same words may then mean another day or hour
		return false
	}
	same := slices.EqualFunc(a.lets, b.lets, func(x, y namedValue) bool { return x.name == y.name && x.src == y.src })
	if !same && (a.namesLet(a.when.Source) || b.namesLet(b.when.Source)) {
		return false // the same name may stand for something else
	}
	if strings.TrimSpace(a.when.Source) == strings.TrimSpace(b.when.Source) {
		return true
	}
	return a.when.Implies(b.when)
}

func (b *body) namesLet(src string) bool {
	return slices.ContainsFunc(b.lets, func(l namedValue) bool { return strings.Contains(src, l.name) })
}
