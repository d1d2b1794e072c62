package lsp

import (
	"bellhop/actions"
	"bellhop/cmd/bellhop/ruletest"
	"bellhop/rules"
)

// atTest says what can be written at a path of a test file.
func (g *guide) atTest(p path) offer {
	keys := func(keys []rules.Key) offer { return offer{form: mapForm, words: keysOf(keys, 0)} }
	switch {
	case len(p) == 0:
		return keys(ruletest.FileKeys())
	case p[0] != "tests":
		return offer{}
	case len(p) == 1:
		return offer{form: listForm, words: items(keysOf(ruletest.TestKeys()[:1], 0))}
	case len(p) == 2:
		return keys(ruletest.TestKeys())
	}
	switch key, rest := p[2], p[3:]; {
	case key == "source":
		return offer{form: wordForm, words: names(kindValue, g.sources...)}
	case key == "state" && len(rest) == 0:
		return keys(ruletest.StateKeys())
	case key == "state" && len(rest) == 1 && rest[0] == "appointmentStatus":
		return offer{form: wordForm, words: names(kindConstant, rules.Statuses()...)}
	case key == "expect" && len(rest) == 0:
		return keys(ruletest.ExpectKeys())
	case key == "expect":
		return g.expected(rest[0], rest[1:])
	}
	return offer{}
}

// expected says what can be written below a key of expect.
func (g *guide) expected(key string, p path) offer {
	ofRules := offer{form: wordForm, words: names(kindValue, g.rules...)}
	own := ruletest.StepKeys()
	kindWords, kinds := actionKeys("What it sends; only what is given is compared.")
	switch key {
	case "fires", "not":
		return ofRules
	case "steps":
	case "held":
		own = ruletest.HoldKeys()
	case "skipped":
		own, kindWords, kinds = ruletest.SkipKeys(), nil, nil
	default:
		return offer{}
	}
	words := append(keysOf(own, 0), kindWords...)
	switch {
	case len(p) == 0:
		return offer{form: listForm, words: items(words[:1])}
	case len(p) == 1:
		return offer{form: mapForm, words: words, one: kinds}
	case len(p) == 2 && p[1] == "rule":
		return ofRules
	case len(p) == 2:
		if kind, ok := actions.Lookup(p[1]); ok {
			return offer{form: mapForm, words: fieldKeys(kind)}
		}
	}
	return offer{}
}
