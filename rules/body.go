package rules

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"gopkg.in/yaml.v3"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// A body is what a rule needs to decide and to send: its programs. It is made from the rule's text when the rule first
// becomes a candidate, because most of many rules never do. It is immutable.
type body struct {
	when     *lang.Condition // nil: always
	lets     []namedValue
	programs []*lang.Program // of lets, in order
	steps    []*step
	zone     *time.Location // the zone in which times are seen; nil: their own offset, or the zone of whose
	naive    *time.Location // the zone of texts without an offset; nil is UTC
	whose    string         // contact, user or location if times are seen in their zone; "" if the zone is fixed
	language *lang.Language // nil is English
	// whoseLanguage is contact, user or location if names are printed in their language; "" if it is fixed.
	whoseLanguage string

	window window
	limits []limit

	err error // why it could not be made; nil unless something outside its file changed, such as the zones there are
}

// A draft is a rule while its file is read.
type draft struct {
	*Rule
	*body
	list     *yaml.Node // in which it stands
	borrowed []borrowed
	nameSpan text.Span
}

// A written is where the text of a rule is, and its body once it was made.
type written struct {
	in    *fileText  // nil: the rule has no text, as in tests
	lines text.Lines // its lines in the file; empty if they cannot be read alone
	made  atomic.Pointer[body]
}

// A fileText is the text of a file that was compiled.
type fileText struct {
	path  string
	data  []byte
	o     Options
	rules []*Rule // all of the file, if their lines cannot be read alone
}

// body returns the rule's body.
func (rule *Rule) body() *body {
	if b := rule.text.made.Load(); b != nil {
		return b
	}
	if rule.text.in == nil {
		return &body{}
	}
	drafts := rule.read(true)
	if rule.text.lines.To > 0 {
		rule.text.made.CompareAndSwap(nil, drafts[0].body)
	} else {
		for i, d := range drafts {
			rule.text.in.rules[i].text.made.CompareAndSwap(nil, d.body)
		}
	}
	return rule.text.made.Load()
}

// proof returns a body with everything that is only needed to compare conditions. It is not kept.
func (rule *Rule) proof() *body {
	if rule.text.in == nil {
		return &body{}
	}
	drafts := rule.read(false)
	if rule.text.lines.To > 0 {
		return drafts[0].body
	}
	for i, other := range rule.text.in.rules {
		if other == rule {
			return drafts[i].body
		}
	}
	return &body{}
}

// read reads the rule's text again: one draft, or one for each rule of the file. checked says that only programs are
// needed.
func (rule *Rule) read(checked bool) []*draft {
	in, at := rule.text.in, rule.text.lines
	var r *text.Document
	if at.To > 0 {
		r = text.Part(in.path, ruleFile, in.data[at.From:at.To], at.Above)
	} else {
		r = text.New(in.path, ruleFile, in.data, lineKeys())
	}
	var drafts []*draft
	parseSafely(r, func() {
		switch {
		case at.To == 0:
			drafts, _, _ = parse(r, in.o, &Directory{}, checked)
		default:
			if root := r.Root(); root != nil && len(root.Content) == 1 {
				drafts = []*draft{parseRule(r, text.Resolve(root.Content[0]), in.o, newMemo(), checked)}
			}
		}
	})
	want := max(1, len(in.rules))
	if len(drafts) == want && drafts[0] != nil && r.Errors() == 0 {
		return drafts
	}
	err := errors.New("the rule cannot be read again")
	if list := r.Findings(); len(list) > 0 {
		err = fmt.Errorf("%s: %s", list[0].Place(), list[0].Message)
	}
	drafts = make([]*draft, want)
	for i := range drafts {
		drafts[i] = &draft{body: &body{err: err}}
	}
	return drafts
}
