package rules

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// A limit is one entry of a rule's `limit`: how often the rule may do something for one value of an expression. It is
// immutable.
type limit struct {
	per   *lang.Program // nil: for the whole location
	max   int
	every time.Duration
}

// A Limit says how often something may happen.
type Limit struct {
	Name  string // of what is counted; unlike that of any other rule, location or value
	Max   int
	Every time.Duration
	Why   string // the reason for people if it is over
}

// The keys of a limit, and the largest number that `max` can be.
var limitKeys = []string{"per", "max", "every"}

const (
	maxLimit   = 100_000
	limitWords = `"limit" takes max and every, such as {per: contact.id, max: 1, every: 24h}`
)

// limits reads `limit`: one, or a list.
func (s *scope) limits(n *yaml.Node) (list []limit) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = s.Doc.Items(n, text.Quote("limit"))
	}
	for _, item := range items {
		if l, ok := s.limit(item); ok {
			list = append(list, l)
		}
	}
	return list
}

func (s *scope) limit(n *yaml.Node) (l limit, ok bool) {
	r := s.Doc
	if n.Kind != yaml.MappingNode || text.LooksLikeTemplate(n) {
		r.Errorf("type", r.At(n), "", "%s, but this is %s", limitWords, text.KindName(n))
		return l, false
	}
	before := r.Errors()
	given := map[string]bool{}
	for _, p := range s.limitEntries(n) {
		switch given[p.Name] = true; p.Name {
		case "per":
			l.per = s.per(p.Value)
		case "max":
			l.max = s.most(p.Value)
		case "every":
			l.every = s.every(p.Value)
		}
	}
	for _, key := range limitKeys[1:] {
		if !given[key] && r.Errors() == before {
			r.Errorf("missing-key", r.At(n), "", "this limit has no %s; %s", text.Quote(key), limitWords)
		}
	}
	return l, r.Errors() == before
}

// limitEntries returns the entries of a limit.
func (s *scope) limitEntries(n *yaml.Node) []text.Pair {
	entries := s.Doc.Pairs(n)
	return slices.DeleteFunc(slices.Clone(entries), func(p text.Pair) bool {
		if slices.Contains(limitKeys, p.Name) {
			return false
		}
		suggestion := cmp.Or(limitAliases[text.FoldWord(p.Name)], text.Closest(p.Name, limitKeys))
		if !slices.Contains(text.NotGiven(limitKeys, entries), suggestion) {
			suggestion = ""
		}
		s.Doc.Errorf("unknown-key", s.Doc.At(p.Key), suggestion, "a limit has no %s%s%s", text.Quote(p.Name), text.DidYouMean(suggestion), text.ListIfNone(suggestion, limitKeys))
		return true
	})
}

// limitAliases are other words for the keys of a limit.
var limitAliases = map[string]string{
	"maximum": "max", "count": "max", "times": "max", "limit": "max", "most": "max", "number": "max", "each": "every", "within": "every", "in": "every", "window": "every", "interval": "every",
	"period": "every", "duration": "every", "for": "per", "by": "per", "key": "per", "groupby": "per", "of": "per",
}

// per reads the expression whose values are counted apart.
func (s *scope) per(n *yaml.Node) *lang.Program {
	r := s.Doc
	t, ok := r.Scalar(n, text.Quote("per"))
	if !ok {
		return nil
	}
	if inner, isTemplate := unbrace(t.Value); isTemplate {
		s.bracesAround(t, inner)
		return nil
	}
	program, as := s.Compile(lang.WholeOf(t))
	if program == nil {
		return nil
	}
	switch tree, c := as.Node, as.Checker; {
	case program.Type.Kind == lang.ObjectKind:
		suggestion := ""
		if _, has := world.Objects[program.Type.Name].Fields["id"]; has {
			suggestion = c.Source(tree) + ".id"
		}
		c.FailAt(tree, "limit", suggestion, `"per" takes one value, such as contact.id, but this is the whole %s`, program.Type.Name)
		return nil
	case lang.IsLiteral(tree):
		c.FailAt(tree, "limit", "", `"per" takes an expression, such as contact.id, and this is the same for every event; leave "per" out to count all of a location together`)
		return nil
	}
	return program
}

// most reads `max`.
func (s *scope) most(n *yaml.Node) int {
	r := s.Doc
	t, ok := r.Scalar(n, text.Quote("max"))
	if !ok {
		return 0
	}
	max, err := strconv.Atoi(t.Value)
	switch {
	case err != nil:
		r.Errorf("limit", r.At(n), "", `"max" takes a whole number, not %s`, text.Quote(t.Value))
	case max < 1:
		r.Errorf("limit", r.At(n), "", `"max" is 1 or more; a rule that does nothing has enabled: false`)
	case max > maxLimit:
		r.Errorf("limit", r.At(n), strconv.Itoa(maxLimit), `"max" is at most %d`, maxLimit)
	}
	return max
}

// every reads the span of time in which a limit counts.
func (s *scope) every(n *yaml.Node) time.Duration {
	r := s.Doc
	t, ok := r.Scalar(n, text.Quote("every"))
	if !ok {
		return 0
	}
	d, err := actions.ParseDuration(t.Value)
	const most = 366 * 24 * time.Hour
	switch at := t.Span(0, len(t.Value)); {
	case err != nil:
		suggestion, _ := lang.ReadDuration(t.Value)
		if _, number := strconv.Atoi(t.Value); number == nil {
			suggestion = t.Value + "h"
		}
		suggestion = cmp.Or(suggestion, everyWords[strings.ToLower(t.Value)])
		r.Mendf(text.Error, "limit", t, at, suggestion, `"every" takes a length of time, such as 24h or 7d, not %s%s`, text.Quote(t.Value), text.DidYouMean(suggestion))
	case d <= 0:
		r.Mendf(text.Error, "limit", t, at, "", `"every" must be longer than nothing`)
	case d > most:
		r.Mendf(text.Error, "limit", t, at, "366d", `"every" is at most 366d`)
	}
	return d
}

// everyWords are words that people use for a span of time.
var everyWords = map[string]string{
	"day": "24h", "daily": "24h", "a day": "24h", "1 day": "24h", "hour": "1h", "hourly": "1h", "minute": "1m", "week": "7d", "weekly": "7d", "month": "30d", "monthly": "30d", "year": "365d",
}

// Limits returns the limits of a rule for an event. unknown is what has to be looked up first; nil if nothing has to be. skip is
// why nothing is sent: an expression failed. A value that is missing or empty is not limited, because it says nothing of whom it
// is about.
func (s *Set) Limits(name string, ev *Event, now time.Time) (list []Limit, skip string, unknown *lang.Unknown) {
	rule := s.named(name)
	if rule == nil {
		return nil, "", nil
	}
	r := newRun(s.know(ev), now)
	r.start(rule)
	for i, l := range r.body.limits {
		value := ""
		if l.per != nil {
			r.Refill()
			v, err := r.Eval(l.per)
			if unknown, ok := lang.UnknownIn(err); ok {
				return nil, "", &unknown
			}
			if err == nil && (v == nil || v == "") {
				continue
			}
			var data []byte
			if err == nil {
				data, err = json.Marshal(lang.JSON(v))
			}
			if err != nil {
				return nil, "limit: " + err.Error(), nil //nolint:nilerr // the result says it
			}
			value = string(data)
		}
		list = append(list, Limit{
			Name: fmt.Sprintf("%q %q %d %s", name, ev.LocationID, i, value), Max: l.max, Every: l.every,
			Why: "over the limit: " + l.words(value),
		})
	}
	return list, "", nil
}

// words returns the limit for people.
func (l limit) words(value string) string {
	if value != "" {
		value = " for " + value
	}
	return fmt.Sprintf("%d in %s%s", l.max, actions.Duration(l.every), value)
}
