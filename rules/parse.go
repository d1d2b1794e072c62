package rules

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
)

// maxName is the length of a rule's name, in characters.
const maxName = 100

// parse reads a whole file. Its rules are complete only if nothing was reported as an error.
func parse(r *report, o Options) []*Rule {
	root := readYAML(r)
	src := r.src
	if root == nil || isNull(root) {
		return nil
	}
	if root.Kind == yaml.SequenceNode {
		at := src.span(root)
		r.errorf("file", span{at.from, min(at.from+1, len(src.data))}, "", "a rule file begins with the line rules: and the list of rules stands below it")
		return nil
	}
	if root.Kind != yaml.MappingNode {
		r.errorf("file", src.span(root), "", "a rule file begins with the line rules: and the list of rules stands below it")
		return nil
	}
	var rules []*Rule
	found := false
	entries := pairs(src, r, root)
	for _, p := range entries {
		if p.name != "rules" {
			suggestion := closest(p.name, []string{"rules"})
			switch {
			case suggestion == "" && p.name == "rule":
				suggestion = "rules"
			case suggestion == "" && slices.Contains(ruleKeys, p.name) && len(entries) > 1:
				r.errorf("unknown-key", src.span(p.key), "", "%s belongs to a rule; a rule file begins with rules: and each rule with -", quote(p.name))
				return nil
			}
			r.errorf("unknown-key", src.span(p.key), suggestion, "a rule file has no %s%s%s", quote(p.name), didYouMean(suggestion), listIfNone(suggestion, []string{"rules"}))
			if suggestion == "" || found {
				continue
			}
		}
		found = true
		switch {
		case isNull(p.value):
		case p.value.Kind == yaml.MappingNode && p.value.Style&yaml.FlowStyle == 0:
			at, suggestion := dashed(src, p.value, nil)
			r.errorf("type", at, suggestion, "rules takes a list: each rule begins with -")
		case p.value.Kind != yaml.SequenceNode:
			r.errorf("type", src.span(p.value), "", "rules takes a list: each rule begins with -")
		default:
			rules = parseRules(r, p.value, o)
		}
	}
	if !found && r.errors == 0 {
		r.errorf("file", src.span(root), "", "a rule file begins with the line rules: and the list of rules stands below it")
	}
	return rules
}

func parseRules(r *report, list *yaml.Node, o Options) []*Rule {
	var rules []*Rule
	first := map[string]*Rule{}
	for _, n := range list.Content {
		n = resolve(n)
		rule := parseRule(r, n, o)
		if rule == nil {
			continue
		}
		if rule.Name != "" {
			if other, ok := first[rule.Name]; ok {
				r.errorf("duplicate-rule", rule.nameSpan, "", "there is another rule named %s, in line %d", quote(rule.Name), other.line)
			} else {
				first[rule.Name] = rule
			}
		}
		rules = append(rules, rule)
	}
	return rules
}

// parseRule reads one rule. All its mistakes are reported, not only the first.
func parseRule(r *report, n *yaml.Node, o Options) *Rule {
	src := r.src
	if !checkTag(src, r, n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.errorf("type", src.span(n), "", "a rule is a map with name, on and then, but this is %s", kindName(n))
		return nil
	}
	rule := &Rule{Enabled: true, File: r.src.name, naive: o.Zone, language: languages[baseLanguage(o.Language)]}
	keys := map[string]pair{}
	entries := pairs(src, r, n)
	misplaced := false
	for _, p := range entries {
		if !slices.Contains(ruleKeys, p.name) {
			suggestion := closest(p.name, notGiven(ruleKeys, entries))
			if slices.Contains(stepKeys, p.name) || suggestion == "" && waitingKeys[foldWord(p.name)] {
				if !misplaced { // once for "at" and "late"
					r.errorf("unknown-key", src.span(p.key), "", `a rule has no %s; a step of it waits with "at", beside its action, such as at: %s`, quote(p.name), aMoment)
				}
				misplaced = true
				continue
			}
			if suggestion == "" {
				suggestion = ruleKeyAliases[strings.ToLower(p.name)]
			}
			if _, ok := keys[suggestion]; ok || !slices.Contains(notGiven(ruleKeys, entries), suggestion) {
				suggestion = ""
			}
			r.errorf("unknown-key", src.span(p.key), suggestion, "a rule has no %s%s%s", quote(p.name), didYouMean(suggestion), listIfNone(suggestion, ruleKeys))
			if suggestion != "" { // it is checked as what it was meant to be
				keys[suggestion] = p
			}
			continue
		}
		keys[p.name] = p
	}
	at := func(name string) (pair, bool) {
		p, ok := keys[name]
		return p, ok && p.value != nil
	}
	lacks := func(name, why string) {
		if _, ok := keys[name]; !ok {
			where := src.span(n)
			if p, ok := at("name"); ok {
				where = src.span(p.value)
			}
			r.errorf("missing-key", where, "", "this rule has no %s%s", quote(name), why)
		}
	}
	if p, ok := at("name"); ok {
		rule.name(r, p)
	}
	lacks("name", "; every rule needs one of its own")
	if p, ok := at("description"); ok && !isNull(p.value) {
		if t, ok := scalarText(src, r, p.value, quote("description")); ok {
			rule.Description = t.value
		}
	}
	if p, ok := at("on"); ok {
		rule.On = parseOn(r, p.value)
	}
	lacks("on", ", which says what events it is for")
	if p, ok := at("timezone"); ok {
		if zone, whose := parseZone(r, p.value); zone != nil {
			rule.zone, rule.naive = zone, zone
		} else {
			rule.whose = whose
		}
	}
	if p, ok := at("enabled"); ok {
		b, isBool := yamlBool(p.value)
		if !isBool {
			suggestion := map[string]string{"1": "true", "0": "false"}[p.value.Value]
			r.errorf("type", src.span(p.value), suggestion, `"enabled" takes true or false, but this is %s`, kindName(p.value))
		}
		rule.Enabled = b
	}
	if p, ok := at("mode"); ok {
		if t, ok := scalarText(src, r, p.value, quote("mode")); ok {
			switch t.value {
			case "shadow":
				rule.Shadow = true
			case "live":
			default:
				r.mendf(Error, "mode", t, t.span(0, len(t.value)), "shadow", `"mode" is shadow (send nothing, only record) or live, not %s`, quote(t.value))
			}
		}
	}

	s := &scope{report: r, zone: rule.zoneName(), naive: rule.fixedNaive(), used: map[int]bool{}, absent: map[int]bool{}}
	before := r.errors
	if p, ok := at("let"); ok {
		rule.parseLets(s, p.value)
	}
	letsFailed := r.errors > before
	if p, ok := at("when"); ok {
		rule.parseWhen(s, p.value, keys["on"].value)
	}
	for _, l := range s.trees { // what uses them does so where the condition is true, or in it, where it may decide
		if l.node != nil {
			l.c.absences(l.node, s.asked(), "what uses this value fails with an error", "")
		}
	}
	if p, ok := at("then"); ok {
		rule.parseThen(s, p, o)
	}
	lacks("then", ", which says what it does")
	if p, ok := at("let"); ok && !letsFailed && r.errors == before {
		for i, l := range pairs(src, r, p.value) {
			if !s.used[i] {
				r.warnf("unused-let", src.span(l.key), "", "%s is never used", quote(l.name))
			}
		}
	}
	return rule
}

var ruleKeyAliases = map[string]string{
	"if": "when", "condition": "when", "conditions": "when", "where": "when", "filter": "when", "do": "then", "actions": "then", "action": "then", "steps": "then",
	"event": "on", "events": "on", "trigger": "on", "triggers": "on", "tz": "timezone", "zone": "timezone", "vars": "let", "variables": "let",
	"title": "name", "id": "name", "comment": "description", "desc": "description", "active": "enabled",
}

func (rule *Rule) name(r *report, p pair) {
	rule.nameSpan = r.src.span(p.value)
	rule.line, rule.column = r.src.position(rule.nameSpan.from)
	rule.endLine, rule.endColumn = r.src.position(rule.nameSpan.to)
	t, ok := scalarText(r.src, r, p.value, quote("name"))
	if !ok {
		return
	}
	name := t.value
	switch {
	case strings.TrimSpace(name) == "":
		r.errorf("name", rule.nameSpan, "", "the name is empty")
	case utf8.RuneCountInString(name) > maxName:
		r.errorf("name", rule.nameSpan, "", "the name is longer than %d characters", maxName)
	case strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }):
		r.errorf("name", rule.nameSpan, "", "the name holds a character that cannot be printed, such as a line break")
	case strings.TrimSpace(name) != name:
		r.mendf(Error, "name", t, t.span(0, len(name)), strings.TrimSpace(name), "the name begins or ends with a space")
	default:
		rule.Name = name
	}
}

// parseOn reads the event names a rule is for, one or a list.
func parseOn(r *report, n *yaml.Node) []string {
	src := r.src
	items := []*yaml.Node{n}
	switch n.Kind {
	case yaml.SequenceNode:
		items = n.Content
		if len(items) == 0 {
			r.errorf("empty", src.span(n), "", `"on" is empty, so the rule would never apply`)
		}
	case yaml.MappingNode:
		r.errorf("type", src.span(n), "", `"on" takes the name of an event or a list of them, but this is a map (key: value)`)
		return nil
	}
	var on []string
	for _, item := range items {
		item = resolve(item)
		t, ok := scalarText(src, r, item, quote("on"))
		if !ok {
			continue
		}
		if slices.Contains(Names(), t.value) {
			if slices.Contains(on, t.value) {
				r.warnf("repeated", src.span(item), "", "%s is in this list twice", quote(t.value))
				continue
			}
			on = append(on, t.value)
			continue
		}
		suggestion := similarEvent(t.value)
		if suggestion == "" && strings.Contains(t.value, ",") && n.Kind == yaml.ScalarNode {
			words := actions.SplitList(strings.Trim(t.value, "[] "))
			for i, w := range words {
				if !slices.Contains(Names(), w) {
					words[i] = cmp.Or(similarEvent(w), w)
				}
			}
			suggestion = "[" + strings.Join(words, ", ") + "]"
			r.errorf("event-name", src.span(item), suggestion, "write several events as a list: %s", suggestion)
			continue
		}
		message := didYouMean(suggestion)
		if suggestion == "" {
			message = "; there are " + strings.Join(Names(), ", ")
		}
		r.mendf(Error, "event-name", t, t.span(0, len(t.value)), suggestion, "there is no event %s%s", quote(t.value), message)
	}
	return on
}

var eventAliases = map[string]string{
	"created": Create, "create": Create, "new": Booked, "booking": Booked, "canceled": Cancelled, "cancel": Cancelled, "deleted": Cancelled, "delete": Delete, "cancellation": Cancelled,
	"moved": Rescheduled, "changed": Updated, "update": Update, "show": Showed, "attended": Showed, "missed": NoShow, "assigned": Reassigned, "confirm": Confirmed,
	"appointmentcreated": Create, "appointmentupdated": Update, "appointmentdeleted": Delete,
}

func similarEvent(word string) string {
	if s, ok := eventAliases[foldWord(word)]; ok {
		return s
	}
	return closest(word, Names())
}

// parseLets reads the named values, in the order they are written.
func (rule *Rule) parseLets(s *scope, n *yaml.Node) {
	src, r := s.report.src, s.report
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		suggestion, hint := "", ""
		if n.Kind == yaml.ScalarNode && n.Style == 0 {
			suggestion = assignments(string(src.data[src.span(n).from:src.span(n).to]))
		}
		for l := range strings.Lines(suggestion) { // the names are known, though not their values
			name, _, _ := strings.Cut(strings.TrimSpace(l), ":")
			s.lets, s.trees = append(s.lets, letVar{name, badType}), append(s.trees, term{})
			rule.lets = append(rule.lets, namedValue{name: name})
		}
		if n.Kind == yaml.SequenceNode {
			hint = "; leave out the - before each"
		}
		r.errorf("type", src.span(n), suggestion, `"let" takes entries of the form name: expression, but this is %s%s`, kindName(n), hint)
		return
	}
	entries := pairs(src, r, n)
	names := make([]string, len(entries))
	for i, p := range entries {
		names[i] = p.name
	}
	for i, p := range entries {
		s.later = names[i:]
		l, as := letVar{p.name, badType}, term{}
		written := ""
		if why := (&checker{lets: nil}).taken(p.name); why != "" {
			r.errorf("let-name", src.span(p.key), "", "%s cannot be used as a name: %s", quote(p.name), why)
		} else if !isIdentifier(p.name) {
			r.errorf("let-name", src.span(p.key), "", "%s cannot be used as a name: it must be letters, digits and _, and is no word of the language", quote(p.name))
		}
		var program *program
		if t, ok := scalarText(src, r, p.value, quote(p.name)); ok {
			var tree = piece{t, 0, t.value}
			if inner, isTemplate := unbrace(t.value); isTemplate {
				s.bracesAround(t, inner)
			} else {
				compiled, root, c := s.expression(tree)
				written = t.value
				if compiled != nil {
					as = term{root, c}
					program, l.typ = compiled, compiled.typ
					if at, _ := (&absence{c: c, p: &prover{steps: proverSteps}}).value(s, root); at != nil {
						s.absent[i] = true
					}
				}
			}
		}
		s.lets, s.trees = append(s.lets, l), append(s.trees, as)
		rule.lets = append(rule.lets, namedValue{p.name, program, written})
	}
	s.later = nil
}

var assignment = regexp.MustCompile(`^(\s*[A-Za-z_]\w*)\s*:?=\s*([^=\s].*?)\s*$`)

// assignments writes lines such as day = 1 as entries of a map. It is "" if any line is something else.
func assignments(written string) string {
	lines := strings.Split(written, "\n")
	for i, l := range lines {
		m := assignment.FindStringSubmatch(l)
		if m == nil {
			return ""
		}
		value := m[2]
		if !isPlain(value, false) {
			value = quoted(value)
		}
		lines[i] = m[1] + ": " + value
	}
	return strings.Join(lines, "\n")
}

// dashed returns a map written as a list, its lines indented further: one entry, or one for each key of first. It is ""
// for a long map, which nobody wants to read again in a message.
func dashed(src *source, n *yaml.Node, first []string) (at span, suggestion string) {
	at = src.extent(n)
	line, column := src.position(at.from)
	begins := map[int]bool{0: true} // lines of the map, from 0
	for i := 2; i < len(n.Content); i += 2 {
		if key := n.Content[i]; slices.Contains(first, key.Value) {
			at, _ := src.position(src.offset(key))
			begins[at-line] = true
		}
	}
	written := string(src.data[at.from:at.to])
	lines := strings.Split(written, "\n")
	switch flow := n.Style&yaml.FlowStyle != 0; {
	case len(lines) > 12 || n.Anchor != "":
		return span{at.from, at.from}, ""
	case flow && len(n.Content) == 2:
		return at, "[" + written + "]"
	case flow:
		return at, ""
	}
	for i, l := range lines {
		switch {
		case i == 0:
			lines[i] = "- " + l
		case begins[i] && len(l) >= column-1:
			lines[i] = l[:column-1] + "- " + l[column-1:]
		case strings.TrimSpace(l) != "":
			lines[i] = "  " + l
		}
	}
	return at, strings.Join(lines, "\n")
}

// unbrace recognises an expression that was written as {{ expression }}.
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

// parseWhen reads the condition. on is the node of the events' names, nil if there is none.
func (rule *Rule) parseWhen(s *scope, n, on *yaml.Node) {
	src, r := s.report.src, s.report
	if n.Kind == yaml.SequenceNode {
		r.errorf("type", src.span(n), "", `"when" takes one condition, not a list; several are joined with && (all of them) or || (one of them)`)
		return
	}
	t, ok := scalarText(src, r, n, quote("when"))
	if !ok {
		return
	}
	if inner, isTemplate := unbrace(t.value); isTemplate {
		s.bracesAround(t, inner)
		return
	}
	value := t.value
	if b, isBool := yamlBool(n); isBool && n.Style == 0 { // yes and no
		value = fmt.Sprint(b)
		t = &text{value: value, node: n, src: src, mapped: true, outer: src.span(n)}
	}
	if b, isBool := yamlBool(n); isBool && n.Style == 0 {
		if b {
			r.warnf("always-true", src.span(n), "", "this condition is always true; it can be left out")
		} else {
			r.warnf("never-true", src.span(n), "", "this condition is never true; a rule is switched off with enabled: false")
		}
	}
	p := piece{t, 0, value}
	program, tree, c := s.expression(p)
	if program == nil {
		return
	}
	if !program.typ.is(boolKind) {
		r.errorf("type", p.whole(), "", "a condition must be true or false, but this is %s", program.typ)
		return
	}
	c.absences(tree, nil, "the rule fails with an error", "").use(use{tree, "false"})
	s.when = term{tree, c}
	rule.when = &condition{whole: program, src: value, lets: slices.Clone(s.lets)}
	rule.reach(term{tree, c}, on)
}

func (rule *Rule) parseThen(s *scope, p pair, o Options) {
	src, r := s.report.src, s.report
	switch n := p.value; {
	case isNull(n) || n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		r.errorf("empty", src.span(p.key), "", `"then" is empty, so the rule would do nothing`)
	case n.Kind == yaml.MappingNode:
		at, suggestion := dashed(src, n, actionNames())
		r.errorf("type", at, suggestion, `"then" takes a list: put a - before each step`)
	case n.Kind != yaml.SequenceNode:
		r.errorf("type", src.span(n), "", `"then" takes a list of steps, but this is %s`, kindName(n))
	default:
		for i, c := range n.Content {
			if st := s.step(resolve(c), i+1, o); st != nil {
				rule.steps = append(rule.steps, st)
			}
		}
		rule.tellApart()
	}
}
