package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// maxName is the length of a rule's name, in characters.
const maxName = 100

// parse reads a file: its rules, the locations that they are for, and its entries of the directory, which it adds to people. The rules are complete only if
// no error was reported. checked says that none was before, so that only what rules do is read.
func parse(r *text.Document, o Options, people *Directory, checked bool) (rules []*draft, entries []listed, only []forLocation) {
	root := r.Root()
	if root == nil || text.IsNull(root) {
		return nil, nil, nil
	}
	if root.Kind == yaml.SequenceNode {
		at := r.At(root)
		r.Errorf("file", text.Span{From: at.From, To: min(at.From+1, at.To)}, "", "a rule file begins with the line rules: and the list of rules stands below it")
		return nil, nil, nil
	}
	if root.Kind != yaml.MappingNode {
		r.Errorf("file", r.At(root), "", "a rule file begins with the line rules: and the list of rules stands below it")
		return nil, nil, nil
	}
	found := false
	pairs := r.Pairs(root)
	if i := slices.IndexFunc(pairs, func(p text.Pair) bool { return p.Name == "for" }); i >= 0 {
		only = readFor(r, pairs[i])
		o.only = only
	}
	for _, p := range pairs {
		if p.Name == "for" {
			continue
		}
		if slices.Contains(directoryKeys, p.Name) {
			found = true
			entries = append(entries, people.read(r, p)...)
			continue
		}
		if p.Name != "rules" {
			suggestion := text.Closest(p.Name, append([]string{"rules", "for"}, directoryKeys...))
			switch {
			case suggestion == "" && p.Name == "rule":
				suggestion = "rules"
			case suggestion == "" && slices.Contains(ruleKeys, p.Name) && len(pairs) > 1:
				r.Errorf("unknown-key", r.At(p.Key), "", "%s belongs to a rule; a rule file begins with rules: and each rule with -", text.Quote(p.Name))
				return nil, nil, nil
			}
			r.Errorf("unknown-key", r.At(p.Key), suggestion, "a rule file has no %s%s%s", text.Quote(p.Name), text.DidYouMean(suggestion), text.ListIfNone(suggestion, []string{"rules"}))
			if suggestion != "rules" || found {
				continue
			}
		}
		found = true
		switch {
		case text.IsNull(p.Value):
		case p.Value.Kind == yaml.MappingNode && p.Value.Style&yaml.FlowStyle == 0:
			at, suggestion := r.Dashed(p.Value, nil)
			r.Errorf("type", at, suggestion, "rules takes a list: each rule begins with -")
		case p.Value.Kind != yaml.SequenceNode:
			r.Errorf("type", r.At(p.Value), "", "rules takes a list: each rule begins with -")
		default:
			rules = parseRules(r, p.Value, o, checked)
		}
	}
	if !found && r.Errors() == 0 {
		r.Errorf("file", r.At(root), "", "a rule file begins with the line rules: and the list of rules stands below it")
	}
	return rules, entries, only
}

func parseRules(r *text.Document, list *yaml.Node, o Options, checked bool) []*draft {
	rules := make([]*draft, 0, len(list.Content))
	first := map[string]*draft{}
	m := newMemo()
	for _, n := range list.Content {
		n = text.Resolve(n)
		rule := parseRule(r, n, o, m, checked)
		if rule == nil {
			continue
		}
		rule.list = list
		if rule.Name != "" {
			if other, ok := first[rule.Name]; ok {
				r.Errorf("duplicate-rule", rule.nameSpan, "", "there is another rule named %s, in line %d", text.Quote(rule.Name), other.line)
			} else {
				first[rule.Name] = rule
			}
		}
		rules = append(rules, rule)
	}
	return rules
}

// ruleEntries returns the entries of a rule by their keys. A key that is not known is reported. If it is clear what was
// meant, its entry is checked as that key.
func ruleEntries(r *text.Document, n *yaml.Node) map[string]text.Pair {
	keys := map[string]text.Pair{}
	entries := r.Pairs(n)
	misplaced := false
	for _, p := range entries {
		if !slices.Contains(ruleKeys, p.Name) {
			suggestion := text.Closest(p.Name, text.NotGiven(ruleKeys, entries))
			if p.Name == "for" {
				r.Errorf("unknown-key", r.At(p.Key), "", `"for" stands at the top of the file, and is for all its rules; for one rule, ask for its location: when: locationId == "…"`)
				continue
			}
			if slices.Contains([]string{"latest", "transactional"}, p.Name) {
				r.Errorf("unknown-key", r.At(p.Key), "", "%s belongs to a step, beside its action", text.Quote(p.Name))
				continue
			}
			if slices.Contains(stepKeys, p.Name) || suggestion == "" && waitingKeys[text.FoldWord(p.Name)] {
				if !misplaced { // only once for "at" and "late"
					r.Errorf("unknown-key", r.At(p.Key), "", `a rule has no %s; a step of it waits with "at", beside its action, such as at: %s`, text.Quote(p.Name), aMoment)
				}
				misplaced = true
				continue
			}
			if quietKeys[text.FoldWord(p.Name)] {
				r.Errorf("unknown-key", r.At(p.Key), "", `a rule has no %s; "hours" says when messages may go out, such as hours: 08:00-20:00`, text.Quote(p.Name))
				continue
			}
			if suggestion == "" {
				suggestion = ruleKeyAliases[strings.ToLower(p.Name)]
			}
			if _, ok := keys[suggestion]; ok || !slices.Contains(text.NotGiven(ruleKeys, entries), suggestion) {
				suggestion = ""
			}
			r.Errorf("unknown-key", r.At(p.Key), suggestion, "a rule has no %s%s%s", text.Quote(p.Name), text.DidYouMean(suggestion), text.ListIfNone(suggestion, ruleKeys))
			if suggestion != "" { // it is checked as the key that was meant
				keys[suggestion] = p
			}
			continue
		}
		keys[p.Name] = p
	}
	return keys
}

// parseRule reads one rule and reports all its mistakes.
func parseRule(r *text.Document, n *yaml.Node, o Options, m *memo, checked bool) *draft {
	if !r.Tag(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.Errorf("type", r.At(n), "", "a rule is a map with name, on and then, but this is %s", text.KindName(n))
		return nil
	}
	rule := &draft{Rule: &Rule{Enabled: true, File: r.Path()}, body: &body{naive: o.Zone, language: lang.FindLanguage(o.Language), whoseLanguage: "location"}}
	keys := ruleEntries(r, n)
	at := func(name string) (text.Pair, bool) {
		p, ok := keys[name]
		return p, ok && p.Value != nil
	}
	lacks := func(name, why string) {
		if _, ok := keys[name]; !ok {
			where := r.At(n)
			if p, ok := at("name"); ok {
				where = r.At(p.Value)
			}
			r.Errorf("missing-key", where, "", "this rule has no %s%s", text.Quote(name), why)
		}
	}
	if p, ok := at("name"); ok {
		rule.name(r, p)
	}
	lacks("name", "; every rule needs one of its own")
	if p, ok := at("description"); ok && !text.IsNull(p.Value) {
		if t, ok := r.Scalar(p.Value, text.Quote("description")); ok {
			rule.Description = t.Value
		}
	}
	if p, ok := at("on"); ok {
		rule.On = m.list(parseOn(r, p.Value))
	}
	lacks("on", ", which says what events it is for")
	rule.settings(r, keys)
	s := &scope{above: rule.body, draft: rule, Scope: lang.Scope{Env: world, Doc: r, Zone: rule.zoneName(), Naive: rule.fixedNaive(), Used: map[int]bool{}, Checked: checked}, memo: m}
	s.name("", rule.zoneName())
	before := r.Errors()
	if p, ok := at("let"); ok {
		rule.parseLets(s, p.Value)
	}
	letsFailed := r.Errors() > before
	rule.window = s.window(given(keys, "hours"), given(keys, "outside"), window{}, o)
	if p, ok := at("limit"); ok {
		rule.limits = s.limits(p.Value)
	}
	if p, ok := at("when"); ok {
		rule.parseWhen(s, p.Value, keys["on"].Value)
	}
	if checked {
		if p, ok := at("then"); ok {
			rule.parseThen(s, p, o)
		}
		return rule
	}
	s.missingInLets()
	if p, ok := at("then"); ok {
		rule.parseThen(s, p, o)
	}
	lacks("then", ", which says what it does")
	if p, ok := at("let"); ok && !letsFailed && r.Errors() == before {
		for i, l := range r.Pairs(p.Value) {
			if !s.Used[i] {
				r.Warnf("unused-let", r.At(l.Key), "", "%s is never used", text.Quote(l.Name))
			}
		}
	}
	return rule
}

// quietKeys are keys for the times at which nothing is sent, the opposite of `hours`.
var quietKeys = map[string]bool{"quiethours": true, "quiet": true, "silenthours": true, "silent": true, "donotdisturb": true, "dnd": true, "blackout": true, "nighttime": true}

// settings reads the keys that need no expressions.
func (rule *draft) settings(r *text.Document, keys map[string]text.Pair) {
	if p := given(keys, "timezone"); p != nil {
		if zone, whose := parseZone(r, p.Value); zone != nil {
			rule.zone, rule.naive = zone, zone
		} else {
			rule.whose = whose
		}
	}
	if p := given(keys, "language"); p != nil {
		rule.readLanguage(r, p.Value)
	}
	if p := given(keys, "enabled"); p != nil {
		rule.enabled(r, p.Value)
	}
	if p := given(keys, "mode"); p != nil {
		rule.mode(r, p.Value)
	}
}

// given returns the entry with a key, nil if there is none.
func given(keys map[string]text.Pair, name string) *text.Pair {
	if p, ok := keys[name]; ok && p.Value != nil {
		return &p
	}
	return nil
}

var ruleKeyAliases = map[string]string{
	"if": "when", "condition": "when", "conditions": "when", "where": "when", "filter": "when", "do": "then", "actions": "then", "action": "then", "steps": "then",
	"event": "on", "events": "on", "trigger": "on", "triggers": "on", "tz": "timezone", "zone": "timezone", "vars": "let", "variables": "let",
	"title": "name", "id": "name", "lang": "language", "locale": "language", "opening_hours": "hours", "businesshours": "hours", "business_hours": "hours",
	"throttle": "limit", "rate": "limit", "ratelimit": "limit", "rate_limit": "limit", "limits": "limit", "comment": "description", "desc": "description", "active": "enabled",
}

func (rule *draft) name(r *text.Document, p text.Pair) {
	rule.nameSpan = r.At(p.Value)
	rule.line, rule.column, rule.endLine, rule.endColumn = r.Lines(rule.nameSpan)
	t, ok := r.Scalar(p.Value, text.Quote("name"))
	if !ok {
		return
	}
	name := t.Value
	switch {
	case strings.TrimSpace(name) == "":
		r.Errorf("name", rule.nameSpan, "", "the name is empty")
	case utf8.RuneCountInString(name) > maxName:
		r.Errorf("name", rule.nameSpan, "", "the name is longer than %d characters", maxName)
	case strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }):
		r.Errorf("name", rule.nameSpan, "", "the name holds a character that cannot be printed, such as a line break")
	case strings.TrimSpace(name) != name:
		r.Mendf(text.Error, "name", t, t.Span(0, len(name)), strings.TrimSpace(name), "the name begins or ends with a space")
	default:
		rule.Name = name
	}
}

func (rule *draft) enabled(r *text.Document, n *yaml.Node) {
	b, isBool := text.Bool(n)
	if !isBool {
		suggestion := map[string]string{"1": "true", "0": "false"}[n.Value]
		r.Errorf("type", r.At(n), suggestion, `"enabled" takes true or false, but this is %s`, text.KindName(n))
	}
	rule.Enabled = b
}

func (rule *draft) mode(r *text.Document, n *yaml.Node) {
	t, ok := r.Scalar(n, text.Quote("mode"))
	switch {
	case !ok || t.Value == "live":
	case t.Value == "shadow":
		rule.Shadow = true
	default:
		r.Mendf(text.Error, "mode", t, t.Span(0, len(t.Value)), "shadow", `"mode" is shadow (send nothing, only record) or live, not %s`, text.Quote(t.Value))
	}
}

// parseOn reads the names of the events that a rule is for: one, or a list.
func parseOn(r *text.Document, n *yaml.Node) []string {
	items := []*yaml.Node{n}
	switch n.Kind {
	case yaml.SequenceNode:
		items = n.Content
		if len(items) == 0 {
			r.Errorf("empty", r.At(n), "", `"on" is empty, so the rule would never apply`)
		}
	case yaml.MappingNode:
		r.Errorf("type", r.At(n), "", `"on" takes the name of an event or a list of them, but this is a map (key: value)`)
		return nil
	}
	var on []string
	for _, item := range items {
		item = text.Resolve(item)
		t, ok := r.Scalar(item, text.Quote("on"))
		if !ok {
			continue
		}
		if slices.Contains(Names(), t.Value) {
			if slices.Contains(on, t.Value) {
				r.Warnf("repeated", r.At(item), "", "%s is in this list twice", text.Quote(t.Value))
				continue
			}
			on = append(on, t.Value)
			continue
		}
		suggestion := similarEvent(t.Value)
		if suggestion == "" && strings.Contains(t.Value, ",") && n.Kind == yaml.ScalarNode {
			words := actions.SplitList(strings.Trim(t.Value, "[] "))
			for i, w := range words {
				if !slices.Contains(Names(), w) {
					words[i] = cmp.Or(similarEvent(w), w)
				}
			}
			suggestion = "[" + strings.Join(words, ", ") + "]"
			r.Errorf("event-name", r.At(item), suggestion, "write several events as a list: %s", suggestion)
			continue
		}
		message := text.DidYouMean(suggestion)
		if suggestion == "" {
			message = "; there are " + strings.Join(Names(), ", ")
		}
		r.Mendf(text.Error, "event-name", t, t.Span(0, len(t.Value)), suggestion, "there is no event %s%s", text.Quote(t.Value), message)
	}
	return on
}

var eventAliases = map[string]string{
	"created": Create, "create": Create, "new": Booked, "booking": Booked, "canceled": Cancelled, "cancel": Cancelled, "deleted": Cancelled, "delete": Delete, "cancellation": Cancelled,
	"moved": Rescheduled, "changed": Updated, "update": Update, "show": Showed, "attended": Showed, "missed": NoShow, "assigned": Reassigned, "confirm": Confirmed,
	"appointmentcreated": Create, "appointmentupdated": Update, "appointmentdeleted": Delete,
}

func similarEvent(word string) string {
	if s, ok := eventAliases[text.FoldWord(word)]; ok {
		return s
	}
	return text.Closest(word, Names())
}

// parseLets reads the named values in the order of the file.
func (rule *draft) parseLets(s *scope, n *yaml.Node) {
	r := s.Doc
	if text.IsNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		suggestion, hint := "", ""
		if n.Kind == yaml.ScalarNode && n.Style == 0 {
			suggestion = text.Assignments(r.In(r.At(n)))
		}
		for l := range strings.Lines(suggestion) { // the names are known, but not the values
			name, _, _ := strings.Cut(strings.TrimSpace(l), ":")
			s.Lets = append(s.Lets, lang.Let{Name: name, Type: lang.Bad})
			rule.lets = append(rule.lets, namedValue{name: name})
		}
		if n.Kind == yaml.SequenceNode {
			hint = "; leave out the - before each"
		}
		r.Errorf("type", r.At(n), suggestion, `"let" takes entries of the form name: expression, but this is %s%s`, text.KindName(n), hint)
		return
	}
	entries := r.Pairs(n)
	names := make([]string, len(entries))
	for i, p := range entries {
		names[i] = p.Name
	}
	for i, p := range entries {
		s.Later = names[i:]
		l := lang.Let{Name: p.Name, Type: lang.Bad}
		written := ""
		if why := (&lang.Checker{Scope: lang.Scope{Env: world}}).Taken(p.Name); why != "" {
			r.Errorf("let-name", r.At(p.Key), "", "%s cannot be used as a name: %s", text.Quote(p.Name), why)
		} else if !isIdentifier(p.Name) {
			r.Errorf("let-name", r.At(p.Key), "", "%s cannot be used as a name: it must be letters, digits and _, and is no word of the language", text.Quote(p.Name))
		}
		var program *lang.Program
		if t, ok := r.Scalar(p.Value, text.Quote(p.Name)); ok {
			if inner, isTemplate := unbrace(t.Value); isTemplate {
				s.bracesAround(t, inner)
			} else {
				written = t.Value
				known := s.letOf(t)
				l.Type, l.Term, l.Optional, program = known.let.Type, known.let.Term, known.let.Optional, known.program
				s.values = append(s.values, known)
			}
		}
		s.Lets = append(s.Lets, l)
		s.name(p.Name, written)
		rule.lets = append(rule.lets, namedValue{p.Name, program, written})
		rule.programs = append(rule.programs, program)
	}
	s.Later = nil
}

// letOf compiles a named value, and returns what is to be remembered of it if no part of it turns out to be missing.
func (s *scope) letOf(t *text.Scalar) *checkedLet {
	key := s.names + t.Value
	if done := s.memo.lets[key]; done != nil && !s.Checked {
		s.use(done.uses)
		return done
	}
	w := s.watch()
	out := &checkedLet{key: key, let: lang.Let{Type: lang.Bad}}
	if out.program, out.let.Term = s.Compile(lang.WholeOf(t)); out.program != nil {
		out.let.Type = out.program.Type
		out.let.Optional = !s.Checked && out.let.Term.Optional()
	} else {
		out.let.Term = lang.Term{}
	}
	out.uses, out.clean = w.end()
	return out
}

// missingInLets warns about what may be missing in named values. Each is used only if the condition is true, or to
// decide it.
func (s *scope) missingInLets() {
	for _, l := range s.values {
		if l.let.Term.Node == nil || s.memo.lets[l.key] == l {
			continue
		}
		a := l.let.Term.Checker.Absences(l.let.Term.Node, s.asked(), "what uses this value fails with an error", "")
		if l.clean && !a.Unsure {
			s.memo.lets[l.key] = l
		}
	}
}

// unbrace recognises an expression written as {{ expression }}.
func unbrace(s string) (inner string, ok bool) {
	trimmed := strings.TrimSpace(s)
	if !strings.HasPrefix(trimmed, "{{") || !strings.HasSuffix(trimmed, "}}") || len(trimmed) < 4 {
		return "", false
	}
	return strings.TrimSpace(trimmed[2 : len(trimmed)-2]), true
}

func isIdentifier(s string) bool {
	for i, c := range s {
		if c != '_' && !unicode.IsLetter(c) && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	switch s {
	case "", "true", "false", "nil", "in", "or", "and", "not", "matches", "contains", "startsWith", "endsWith", "let", "if", "else":
		return false
	}
	return true
}

// parseWhen reads the condition. on is the node with the names of events, nil if there is none.
func (rule *draft) parseWhen(s *scope, n, on *yaml.Node) {
	r := s.Doc
	if n.Kind == yaml.SequenceNode {
		r.Errorf("type", r.At(n), "", `"when" takes one condition, not a list; several are joined with && (all of them) or || (one of them)`)
		return
	}
	t, ok := r.Scalar(n, text.Quote("when"))
	if !ok {
		return
	}
	if inner, isTemplate := unbrace(t.Value); isTemplate {
		s.bracesAround(t, inner)
		return
	}
	if b, isBool := text.Bool(n); isBool && n.Style == 0 { // yes and no
		t = t.As(fmt.Sprint(b))
		if b {
			r.Warnf("always-true", r.At(n), "", "this condition is always true; it can be left out")
		} else {
			r.Warnf("never-true", r.At(n), "", "this condition is never true; a rule is switched off with enabled: false")
		}
	}
	key := s.names + strings.Join(rule.On, ",") + "\x00" + t.Value
	if done := s.memo.whens[key]; done != nil {
		rule.when, s.when = done.condition, done.term
		s.use(done.uses)
		return
	}
	w := s.watch()
	rule.condition(s, lang.WholeOf(t), on)
	if used, ok := w.end(); ok && rule.when != nil && !s.Checked {
		s.memo.whens[key] = &checkedWhen{rule.when, s.when, used}
	}
}

// condition compiles the condition.
func (rule *draft) condition(s *scope, p lang.Piece, on *yaml.Node) {
	program, as := s.Compile(p)
	if program == nil {
		return
	}
	if !program.Type.Is(lang.BoolKind) {
		s.Doc.Errorf("type", p.Whole(), "", "a condition must be true or false, but this is %s", program.Type)
		return
	}
	rule.when = lang.NewCondition(program, as)
	if s.Checked {
		return
	}
	as.Checker.Absences(as.Node, nil, "the rule fails with an error", "").Condition(as.Node)
	s.when = as
	rule.reach(as, on)
}

// stepOf reads a step, or takes what is known of one with the same words.
func (rule *draft) stepOf(s *scope, n *yaml.Node, number int, o Options) *step {
	key := ""
	if !s.Checked {
		key = s.stepKey(n, number)
	}
	if known, ok := s.memo.steps[key]; ok {
		s.use(known.uses)
		return &step{number: number, kind: known.kind, sendKey: known.key}
	}
	w := s.watch()
	st := s.step(n, number, o)
	if used, ok := w.end(); ok && st != nil && key != "" {
		s.memo.steps[key] = checkedStep{st.kind, rule.sendKeyOf(st), used}
	}
	return st
}

func (rule *draft) parseThen(s *scope, p text.Pair, o Options) {
	r := s.Doc
	switch n := p.Value; {
	case text.IsNull(n) || n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		r.Errorf("empty", r.At(p.Key), "", `"then" is empty, so the rule would do nothing`)
	case n.Kind == yaml.MappingNode:
		at, suggestion := r.Dashed(n, actionNames())
		r.Errorf("type", at, suggestion, `"then" takes a list: put a - before each step`)
	case n.Kind != yaml.SequenceNode:
		r.Errorf("type", r.At(n), "", `"then" takes a list of steps, but this is %s`, text.KindName(n))
	default:
		for i, c := range n.Content {
			if st := rule.stepOf(s, text.Resolve(c), i+1, o); st != nil {
				rule.steps = append(rule.steps, st)
			}
		}
		rule.tellApart()
	}
}
