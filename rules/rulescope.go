package rules

import "bellhop/rules/lang"

// A scope holds what is needed to read one rule.
type scope struct {
	lang.Scope
	when   lang.Term // the condition; without a node if there is none
	prover *lang.Prover
}

// asked returns what is known once the rule's condition is true.
func (s *scope) asked() []lang.Fact {
	if s.when.Node == nil {
		return nil
	}
	return []lang.Fact{{Term: s.when, Holds: true}}
}
