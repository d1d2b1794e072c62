package rules

// A scope is what one rule is read with.
type scope struct {
	vocabulary
	when   term // the condition; without a node if there is none
	prover *prover
}

// asked is what is so once the rule's condition is true.
func (s *scope) asked() []fact {
	if s.when.node == nil {
		return nil
	}
	return []fact{{s.when, true}}
}
