package rules

import "bellhop/rules/lang"

// A scope holds what is needed to read one rule.
type scope struct {
	lang.Scope
	*memo
	when   lang.Term     // the condition; without a node if there is none
	values []*checkedLet // the named values that could be read
	prover *lang.Prover
	above  *body  // of the rule that is read
	draft  *draft // the rule
	names  string // identifies what names mean in the rule: its zone, and its named values as they are written
	unsure bool   // see [watch]
}

// asked returns what is known once the rule's condition is true.
func (s *scope) asked() []lang.Fact {
	if s.when.Node == nil {
		return nil
	}
	return []lang.Fact{{Term: s.when, Holds: true}}
}
