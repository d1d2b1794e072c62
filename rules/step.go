package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules/text"
)

// A step is one entry of a rule's `then`, compiled. It is immutable.
type step struct {
	number     int
	kind       *actions.Kind
	connection string
	fields     []fieldValue
	wait       *wait  // nil for an immediate step
	anyway     bool   // it is sent also if the appointment was over when first seen
	latest     bool   // only the result of an appointment's latest event is sent
	window     window // its own; those of the rule hold for what it does not give
	must       bool   // it is sent whether or not its recipient wants messages
	to         string // the destination if there is no connection; "" if unknown until rendering
	sends      string // everything that is sent, and to whom, as written; "" when the rule is complete
	sendKey    sendKey
	line       int // position of its action's key
	column     int
}

// waitingKeys are keys that other programs use for waiting.
var waitingKeys = map[string]bool{
	"before": true, "after": true, "in": true, "delay": true, "delayfor": true, "delayed": true, "wait": true, "waitfor": true, "waituntil": true, "until": true, "sleep": true,
	"offset": true, "timer": true, "schedule": true, "scheduled": true, "scheduledat": true, "scheduleat": true, "sendat": true, "sendafter": true, "deliverat": true,
	"postat": true, "runat": true, "due": true, "dueat": true, "duedate": true, "time": true, "date": true, "moment": true, "remind": true, "remindat": true,
}

// conditionKeys are keys for a condition; a step has none.
var conditionKeys = map[string]bool{"when": true, "if": true, "condition": true, "conditions": true, "unless": true, "onlyif": true, "where": true, "filter": true}

// waitingKey reports a key that is meant for waiting, and suggests `at`.
func (s *scope) waitingKey(p text.Pair) {
	r := s.Doc
	suggestion := ""
	if p.Value.Kind == yaml.ScalarNode {
		expression, ok := momentOf(p.Name, p.Value.Value)
		if !ok {
			expression, _, ok = spokenMoment(p.Value.Value)
		}
		if ok && expression != "" {
			at := r.At(p.Key)
			at.To = max(at.To, r.At(p.Value).To)
			written := "at: " + r.Written(p.Value).PlainOrQuoted(expression)
			r.Errorf("unknown-key", at, written, "a step has no %s; write %s", text.Quote(p.Name), written)
			return
		}
		if !ok && p.Value.ShortTag() == "!!str" { // it is already an expression
			suggestion = "at"
		}
	}
	r.Errorf("unknown-key", r.At(p.Key), suggestion, `a step has no %s; say when with "at", such as at: %s`, text.Quote(p.Name), aMoment)
}

// step compiles one entry of `then`. It returns nil after a mistake.
func (s *scope) step(n *yaml.Node, number int, o Options) *step {
	r := s.Doc
	before := r.Errors()
	if !r.Tag(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		if k, ok := actions.Lookup(strings.TrimSuffix(n.Value, ":")); ok && n.Kind == yaml.ScalarNode {
			r.Errorf("step", r.At(n), "", "%s needs a colon and its fields below it", k.Name)
		} else {
			r.Errorf("step", r.At(n), "", "a step is a map with one of %s as its key, but this is %s", text.OneOf(actionNames()), text.KindName(n))
		}
		return nil
	}
	var out *step
	var first *yaml.Node
	keys := map[string]*text.Pair{} // of the step, besides its action
	waits := false                  // with another key than "at"
	entries := r.Pairs(n)
	if s.flatAction(entries) {
		return nil
	}
	for _, p := range entries {
		kind, isKind := actions.Lookup(p.Name)
		switch {
		case slices.Contains(stepKeys, p.Name):
			keys[p.Name] = &p
		case isKind && first != nil:
			r.Errorf("step", r.At(p.Key), "", "a step has one action, and this one has %s already; begin another step with -", first.Value)
		case isKind:
			first = p.Key
			out = s.action(kind, p, number, o)
		default:
			suggestion := s.unknownKey(p, first, entries)
			waits = waits || suggestion == "at"
			if kind, isKind := actions.Lookup(suggestion); isKind && first == nil { // its fields are checked as those of the action that was meant
				first = p.Key
				s.action(kind, p, number, o)
			}
		}
	}
	at, late, latest, must := keys["at"], keys["late"], keys["latest"], keys["transactional"]
	if first == nil && r.Errors() == before {
		where := ""
		if at != nil || late != nil {
			where = " beside it, without a - of its own"
		}
		r.Errorf("step", r.At(n), "", "this step does nothing; it needs one of %s%s", text.OneOf(actionNames()), where)
	} else if late != nil && at == nil && !waits {
		s.lateAlone(late, out)
		late = nil
	}
	w := s.wait(at, late)
	only := latest != nil && s.flag(latest)
	anyhow := must != nil && s.flag(must)
	open := s.window(keys["hours"], keys["outside"], s.above.window, o)
	if r.Errors() > before {
		return nil
	}
	out.latest, out.must, out.window = only, anyhow, open
	if must != nil && !out.kind.Message {
		r.Warnf("transactional", r.At(must.Key), "", `"transactional" is for messages to people, and %s is none`, out.kind.Name)
	}
	out.anyway = out.anyway || w != nil && w.late < 0
	out.hold(w)
	return out
}

// lateAlone reads the `late` of a step without `at`. For a message, it says what is done if the appointment was over
// when it was first seen. out is nil if the step's action has mistakes.
func (s *scope) lateAlone(late *text.Pair, out *step) {
	before := s.Doc.Errors()
	grace := s.late(late.Value)
	switch {
	case s.Doc.Errors() > before || out == nil:
	case !out.kind.Message:
		s.Doc.Errorf("late", s.Doc.At(late.Key), "", `"late" belongs to a step that waits, and this one has no "at"`)
	case grace > 0:
		s.Doc.Errorf("late", s.Doc.At(late.Key), "", `this step has no "at", so "late" is send or skip: what is done about an appointment that was over when it was first seen`)
	default:
		out.anyway = grace < 0
	}
}

// skipOver is the reason for not sending a message about an appointment that was over when it was first seen.
const skipOver = "the appointment was over when it was first seen; late: send would send it all the same"

// unwanted reports whether the step is a message about an appointment that was over when it was first seen.
func (st *step) unwanted(ev *Event) bool {
	return ev.Appointment.Over && st.kind.Message && !st.anyway
}

// flag reads a key of a step that is true or false.
func (s *scope) flag(p *text.Pair) bool {
	b, isBool := text.Bool(p.Value)
	if !isBool {
		s.Doc.Errorf("type", s.Doc.At(p.Value), "", `%s takes true or false, but this is %s`, text.Quote(p.Name), text.KindName(p.Value))
	}
	return b
}

// unknownKey reports a key that a step does not have, and returns the one that was meant, "" if unknown. action is
// the key of the step's action, nil if it has not come yet; entries are all entries of the step.
func (s *scope) unknownKey(p text.Pair, action *yaml.Node, entries []text.Pair) string {
	r := s.Doc
	if waitingKeys[text.FoldWord(p.Name)] {
		s.waitingKey(p)
		return "at"
	}
	if conditionKeys[text.FoldWord(p.Name)] {
		if _, _, moment := spokenMoment(p.Value.Value); moment && p.Value.Kind == yaml.ScalarNode {
			s.waitingKey(p)
			return "at"
		}
		r.Errorf("unknown-key", r.At(p.Key), "", `a step has no condition of its own: "when" belongs to the rule; for another condition write another rule`)
		return ""
	}
	if slices.Contains([]string{"limit", "language", "timezone", "let", "mode", "enabled"}, p.Name) {
		r.Errorf("unknown-key", r.At(p.Key), "", "%s belongs to the rule, beside its name", text.Quote(p.Name))
		return ""
	}
	known := slices.Concat(actionNames(), stepKeys)
	suggestion := text.Closest(p.Name, text.NotGiven(known, entries))
	if action != nil && slices.ContainsFunc(actions.Kinds(), func(k actions.Kind) bool { return hasField(k, p.Name) }) {
		r.Errorf("unknown-key", r.At(p.Key), "", "%s belongs to %s: indent it further than %s", text.Quote(p.Name), action.Value, action.Value)
	} else {
		r.Errorf("unknown-key", r.At(p.Key), suggestion, "a step has no %s%s%s", text.Quote(p.Name), text.DidYouMean(suggestion), text.ListIfNone(suggestion, known))
	}
	return suggestion
}

// flatAction reports, once, a step whose fields are next to its action instead of below it.
func (s *scope) flatAction(entries []text.Pair) bool {
	r := s.Doc
	for i, p := range entries {
		if kind, ok := actions.Lookup(p.Name); ok && text.IsNull(p.Value) {
			for _, f := range entries[i+1:] {
				if hasField(kind, f.Name) {
					r.Errorf("unknown-key", r.At(f.Key), "", "%s belongs to %s: indent it, and the other fields, further than %s", text.Quote(f.Name), kind.Name, kind.Name)
					return true
				}
			}
		}
		switch p.Name {
		case "action", "type", "do", "kind", "uses":
			if kind, ok := actions.Lookup(p.Value.Value); ok {
				at := r.At(p.Key)
				at.To = max(at.To, r.At(p.Value).To)
				r.Errorf("step", at, "", "the action itself is the key: write %s: and its fields below it, indented further", kind.Name)
				return true
			}
		}
	}
	return false
}

func actionNames() (names []string) {
	for _, k := range actions.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// actionFields holds the fields of each kind of action, which actions.Fields computes on every call.
var actionFields = sync.OnceValue(func() map[string][]actions.Field {
	out := map[string][]actions.Field{}
	for _, k := range actions.Kinds() {
		out[k.Name] = actions.Fields(k)
	}
	return out
})

// actionKinds holds the kinds of actions, for the steps to point to.
var actionKinds = sync.OnceValue(func() map[string]*actions.Kind {
	out := map[string]*actions.Kind{}
	for _, k := range actions.Kinds() {
		out[k.Name] = &k
	}
	return out
})

func fieldsOf(k actions.Kind) []actions.Field { return actionFields()[k.Name] }

func hasField(k actions.Kind, name string) bool {
	return slices.ContainsFunc(fieldsOf(k), func(f actions.Field) bool { return f.Name == name && !f.Internal })
}

// action compiles one action with its fields.
func (s *scope) action(kind actions.Kind, p text.Pair, number int, o Options) *step {
	r := s.Doc
	before := r.Errors()
	if p.Value.Kind != yaml.MappingNode {
		s.notFields(kind, p)
		return nil
	}
	all := fieldsOf(kind)
	fields := map[string]*actions.Field{}
	var names []string
	hasRequiredRecipient := false
	for i, f := range all {
		if !f.Internal {
			fields[f.Name] = &all[i]
			names = append(names, f.Name)
			hasRequiredRecipient = hasRequiredRecipient || f.Required && f.Recipient
		}
	}
	out := &step{number: number, kind: actionKinds()[kind.Name]}
	out.line, out.column = r.Position(p.Key)
	at := map[string]text.Pair{}
	misplaced := false
	entries := r.Pairs(p.Value)
	for _, fp := range entries {
		f, ok := fields[fp.Name]
		if !ok {
			suggestion := text.Closest(fp.Name, text.NotGiven(names, entries))
			switch waits := slices.Contains(stepKeys, fp.Name) || suggestion == "" && waitingKeys[text.FoldWord(fp.Name)]; {
			case !waits:
				if f, ok = fields[s.unknownField(kind, fp, suggestion, names, entries)]; ok { // it is checked as the field that was meant
					s.field(*f, fp)
				}
			case !misplaced: // only once for "at" and "late"
				misplaced = true
				r.Errorf("unknown-key", r.At(fp.Key), "", "%s", beside(fp.Name, kind.Name))
			}
			continue
		}
		at[fp.Name] = fp
		v, ok := s.field(*f, fp)
		if !ok {
			continue
		}
		out.fields = append(out.fields, fieldValue{
			field: f, value: v, place: r.Place(r.At(fp.Value)),
			skips: f.Recipient && (f.Required || !hasRequiredRecipient),
		})
	}
	for _, f := range all {
		if _, given := at[f.Name]; f.Required && !given && !f.Internal && r.Errors() == before {
			r.Errorf("missing-key", r.At(p.Key), "", "%s needs %s", kind.Name, text.Quote(f.Name))
		}
	}
	if r.Errors() == before {
		s.sketch(out, p, at, o)
	}
	if r.Errors() > before {
		return nil
	}
	return out
}

// notFields reports an action whose value is not a map of fields.
func (s *scope) notFields(kind actions.Kind, p text.Pair) {
	r := s.Doc
	hint := ""
	switch {
	case text.IsNull(p.Value):
		r.Errorf("step", r.At(p.Key), "", "the fields of %s are missing; put them below it, indented further", kind.Name)
		return
	case !r.Tag(p.Value):
		return
	case p.Value.Kind == yaml.SequenceNode:
		hint = "; leave out the - before each"
	}
	r.Errorf("step", r.At(p.Value), "", "%s takes its fields as key: value, but this is %s%s", kind.Name, text.KindName(p.Value), hint)
}

// unknownField reports a field that an action does not have, and returns the one that was meant, if known. names are
// the action's fields; suggestion is the closest of those that entries lack.
func (s *scope) unknownField(kind actions.Kind, p text.Pair, suggestion string, names []string, entries []text.Pair) string {
	r := s.Doc
	switch p.Name {
	case "token", "bearer", "password", "auth", "basic", "secret", "api_key", "apikey", "webhook":
		r.Errorf("unknown-key", r.At(p.Key), "", "a rule holds no secrets: put %s in a connection of the configuration, and name that with connection:", text.Quote(p.Name))
		return ""
	}
	if suggestion == "" {
		for _, alias := range fieldKeyAliases[text.FoldWord(p.Name)] {
			if slices.Contains(text.NotGiven(names, entries), alias) {
				suggestion = alias
				break
			}
		}
	}
	r.Errorf("unknown-key", r.At(p.Key), suggestion, "%s has no %s%s%s", kind.Name, text.Quote(p.Name), text.DidYouMean(suggestion), text.ListIfNone(suggestion, names))
	return suggestion
}

// beside says where a key for waiting belongs that was written among the fields of an action.
func beside(name, action string) string {
	if slices.Contains(stepKeys, name) {
		return fmt.Sprintf("%s belongs to the step: beside %s, not below it", text.Quote(name), action)
	}
	return fmt.Sprintf(`%s has no %s; a step waits with "at", beside %s and not below it, such as at: %s`, action, text.Quote(name), action, aMoment)
}

// fieldKeyAliases are keys that people try, and the fields that they may mean.
var fieldKeyAliases = map[string][]string{
	"body": {"text", "json"}, "message": {"text"}, "msg": {"text"}, "content": {"text", "body"}, "recipient": {"to", "channel"}, "recipients": {"to"}, "mail": {"to"},
	"title": {"subject"}, "room": {"channel"}, "data": {"json"}, "payload": {"json"}, "params": {"query"}, "uri": {"url"}, "endpoint": {"url"}, "verb": {"method"}, "emoji": {"icon"},
	"sender": {"from"}, "ics": {"invite"}, "calendar": {"invite"}, "status": {"expect"},
}

// sketch builds the request with the {{ }} still in place, and lets the action check it and choose its connection.
func (s *scope) sketch(st *step, p text.Pair, at map[string]text.Pair, o Options) {
	r := s.Doc
	sketch := map[string]any{}
	for _, f := range st.fields {
		sketch[f.field.Name] = f.value.sketch()
	}
	data, err := json.Marshal(sketch)
	if err != nil {
		r.Errorf("step", r.At(p.Key), "", "the fields of this %s do not fit together", st.kind.Name)
		return
	}
	written := st.kind.Name + " " + string(data)
	known, ok := s.memo.sends[written]
	if !ok {
		before := r.Reports()
		s.check(st, data, p, at, o)
		known = checkedSend{st.connection, st.to}
		if r.Reports() == before {
			s.memo.sends[written] = known
		}
	}
	st.connection, st.to = known.connection, known.to
	st.sends = st.kind.Name + " " + st.connection + " " + string(data)
}

// check checks a request, and sets where the step goes.
func (s *scope) check(st *step, data []byte, p text.Pair, at map[string]text.Pair, o Options) {
	r := s.Doc
	req, err := decodeJSON(*st.kind, data)
	if err != nil {
		r.Errorf("step", r.At(p.Key), "", "the fields of this %s do not fit together", st.kind.Name)
		return
	}
	for _, problem := range s.problems(req) {
		where, suggestion := r.At(p.Key), problem.Suggestion
		if fp, ok := at[problem.Field]; ok {
			where = r.At(fp.Value)
			if fp.Value.Kind == yaml.ScalarNode && fp.Value.Value != "" {
				t := r.Written(fp.Value)
				where, suggestion = t.Mend(t.Span(0, len(t.Value)), suggestion)
			}
		} else if name, _, found := strings.Cut(problem.Field, "."); found {
			if fp, ok := at[name]; ok {
				where = r.At(fp.Key)
			}
		}
		r.Errorf("step-field", where, suggestion, "%s", problem.Message)
	}
	s.connect(st, req, p, at, o)
	if to := req.Destination(nil); !strings.Contains(to, "{{") && !strings.HasSuffix(to, ":") { // not just a scheme
		st.to = to
	}
}

// problems returns what the action finds wrong with a request.
func (s *scope) problems(req actions.Request) []actions.Problem {
	if s.Checked {
		return nil
	}
	return req.Check()
}

// connect chooses the connection of a step.
func (s *scope) connect(st *step, req actions.Request, p text.Pair, at map[string]text.Pair, o Options) {
	r := s.Doc
	var fitting []string
	for _, name := range text.SortedKeys(o.Connections) {
		if o.Connections[name] == st.kind.Name {
			fitting = append(fitting, name)
		}
	}
	if name := req.ConnectionName(); name != "" {
		where := r.At(p.Key)
		if fp, ok := at["connection"]; ok {
			t := r.Written(fp.Value)
			where = t.Span(0, len(t.Value))
		}
		switch kind, ok := o.Connections[name]; {
		case !ok && len(o.only) > 0: // the locations must have it, which is checked with their files
			st.connection = name
			s.draft.borrowed = append(s.draft.borrowed, borrowed{name, st.kind.Name, findingAt(r, where)})
		case !ok:
			suggestion := text.Closest(name, fitting)
			if suggestion == "" && len(fitting) == 1 {
				suggestion = fitting[0]
			}
			r.Errorf("connection", where, suggestion, "there is no connection %s in the configuration%s", text.Quote(name), text.DidYouMean(suggestion))
		case kind != st.kind.Name:
			suggestion := ""
			if len(fitting) == 1 {
				suggestion = fitting[0]
			}
			r.Errorf("connection", where, suggestion, "the connection %s is for %s, not for %s%s", text.Quote(name), kind, st.kind.Name, text.DidYouMean(suggestion))
		default:
			st.connection = name
		}
		return
	}
	switch {
	case !req.NeedsConnection():
	case len(fitting) == 0:
		r.Errorf("connection", r.At(p.Key), "", "no connection for %s is configured; add one to the configuration, under connections:", st.kind.Name)
	case len(fitting) > 1:
		r.Errorf("connection", r.At(p.Key), "", "there are several connections for %s: say which one with connection: %s", st.kind.Name, text.OneOf(fitting))
	default:
		st.connection = fitting[0]
	}
}

func decodeRequest(kind actions.Kind, fields map[string]any) (actions.Request, error) {
	data, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	return decodeJSON(kind, data)
}

func decodeJSON(kind actions.Kind, data []byte) (actions.Request, error) {
	req := kind.New()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber() // whole numbers of a payload keep their digits
	if err := dec.Decode(req); err != nil {
		return nil, err
	}
	return req, nil
}
