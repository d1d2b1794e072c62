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

// sameSends warns about steps that send the same to the same recipient for the same event: in one rule, or in two
// rules whose events overlap and of which one fires whenever the other does. What is sent is compared as it is
// written.
func sameSends(rules []*Rule) []text.Finding {
	var findings []text.Finding
	var c comparison
	alike := map[sendKey][]sending{}
	for _, rule := range rules {
		if !rule.Enabled || rule.Shadow {
			continue
		}
		for i, key := range rule.sends {
			if key == (sendKey{}) {
				continue
			}
			for _, other := range alike[key] {
				if !c.fireTogether(other.rule, rule) {
					continue
				}
				findings = append(findings, repeatedSend(other, sending{rule, i}))
				break
			}
			if len(alike[key]) < maxAlike {
				alike[key] = append(alike[key], sending{rule, i})
			}
		}
	}
	return findings
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
