package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// A step is one entry of a rule's `then`, compiled. It is immutable.
type step struct {
	number     int
	kind       actions.Kind
	connection string
	fields     []fieldValue
	wait       *wait  // nil for an immediate step
	anyway     bool   // it is sent also if the appointment was over when first seen
	latest     bool   // only the result of an appointment's latest event is sent
	to         string // the destination if there is no connection; "" if unknown until rendering
	sends      string // everything that is sent, and to whom, as written; see sameSends
	line       int    // position of its action's key
	column     int
}

type fieldValue struct {
	field actions.Field
	value value
	place string
	skips bool // if it renders to nothing, the step is skipped
}

// A value is the content of a field of a step: a fixed value, a text, a list or a map of values.
type value struct {
	form   form
	fixed  any // also the content of the file, for the sketch that the action checks
	text   *template
	list   []value
	keys   []string // of a map, parallel to list
	source string   // of a text, including its {{ }}
}

type form uint8

const (
	fixedForm form = iota
	textForm       // renders to a text
	treeForm       // a text in a tree: a single expression keeps its type
	listForm
	mapForm
)

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
	var at, late, latest *text.Pair
	waits := false // with another key than "at"
	entries := r.Pairs(n)
	if s.flatAction(entries) {
		return nil
	}
	for _, p := range entries {
		kind, isKind := actions.Lookup(p.Name)
		switch {
		case p.Name == "at":
			at = &p
		case p.Name == "late":
			late = &p
		case p.Name == "latest":
			latest = &p
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
	only := latest != nil && s.latest(latest.Value)
	if r.Errors() > before {
		return nil
	}
	out.latest = only
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

// latest reads the `latest` of a step. A waiting step is replaced by the latest anyway.
func (s *scope) latest(n *yaml.Node) bool {
	b, isBool := text.Bool(n)
	if !isBool {
		s.Doc.Errorf("type", s.Doc.At(n), "", `"latest" takes true or false, but this is %s`, text.KindName(n))
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
	fields := map[string]actions.Field{}
	var names []string
	hasRequiredRecipient := false
	for _, f := range fieldsOf(kind) {
		if !f.Internal {
			fields[f.Name] = f
			names = append(names, f.Name)
			hasRequiredRecipient = hasRequiredRecipient || f.Required && f.Recipient
		}
	}
	out := &step{number: number, kind: kind}
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
					s.field(f, fp)
				}
			case !misplaced: // only once for "at" and "late"
				misplaced = true
				r.Errorf("unknown-key", r.At(fp.Key), "", "%s", beside(fp.Name, kind.Name))
			}
			continue
		}
		at[fp.Name] = fp
		v, ok := s.field(f, fp)
		if !ok {
			continue
		}
		out.fields = append(out.fields, fieldValue{
			field: f, value: v, place: r.Place(r.At(fp.Value)),
			skips: f.Recipient && (f.Required || !hasRequiredRecipient),
		})
	}
	for _, f := range fieldsOf(kind) {
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
	req, err := decodeRequest(st.kind, sketch)
	if err != nil {
		r.Errorf("step", r.At(p.Key), "", "the fields of this %s do not fit together", st.kind.Name)
		return
	}
	for _, problem := range req.Check() {
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
	if data, err := json.Marshal(sketch); err == nil {
		st.sends = st.kind.Name + " " + st.connection + " " + string(data)
	}
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
	req := kind.New()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber() // whole numbers of a payload keep their digits
	if err := dec.Decode(req); err != nil {
		return nil, err
	}
	return req, nil
}

// field compiles the value of one field, by its Go type.
func (s *scope) field(f actions.Field, p text.Pair) (value, bool) {
	r, n := s.Doc, p.Value
	if !r.Tag(n) {
		return value{}, false
	}
	switch f.Type {
	case reflect.TypeFor[string]():
		return s.text(f, n)
	case reflect.TypeFor[actions.List]():
		return s.texts(f, n)
	case reflect.TypeFor[bool]():
		b, ok := text.Bool(n)
		if !ok {
			r.Errorf("type", r.At(n), "", "%s takes true or false, but this is %s", text.Quote(f.Name), text.KindName(n))
		}
		return value{fixed: b}, ok
	case reflect.TypeFor[actions.Duration]():
		return s.duration(f, n)
	case reflect.TypeFor[[]int]():
		return s.numbers(f, n)
	case reflect.TypeFor[map[string]string]():
		if n.Kind != yaml.MappingNode || text.LooksLikeTemplate(n) {
			if text.LooksLikeTemplate(n) {
				r.Unquoted(n)
			} else {
				r.Errorf("type", r.At(n), "", "%s takes entries of the form key: value, but this is %s", text.Quote(f.Name), text.KindName(n))
			}
			return value{}, false
		}
		out, ok := value{form: mapForm}, true
		for _, e := range r.Pairs(n) {
			v, good := s.text(f, e.Value)
			ok = ok && good
			out.keys, out.list = append(out.keys, e.Name), append(out.list, v)
		}
		return out, ok
	}
	if f.Type.Kind() == reflect.Interface {
		return s.tree(f, n)
	}
	r.Errorf("type", r.At(n), "", "%s cannot be set in a rule", text.Quote(f.Name))
	return value{}, false
}

// text compiles a field that is one text.
func (s *scope) text(f actions.Field, n *yaml.Node) (value, bool) {
	t, ok := s.Doc.Scalar(n, text.Quote(f.Name))
	if !ok {
		return value{}, false
	}
	return s.textRange(f, t, 0, len(t.Value))
}

func (s *scope) textRange(f actions.Field, t *text.Scalar, from, to int) (value, bool) {
	if f.Literal {
		if i := strings.Index(t.Value[from:to], "{{"); i >= 0 {
			s.Doc.Errorf("literal", t.Span(from+i, to), "", "%s is fixed when the rule is loaded and cannot hold {{ }}", text.Quote(f.Name))
			return value{}, false
		}
		return value{fixed: t.Value[from:to]}, true
	}
	tm := s.template(t, from, to, f.Escape, f.Recipient)
	return value{form: textForm, text: tm, source: t.Value[from:to]}, tm != nil
}

// texts compiles a field that is a list of texts, or one text with commas.
func (s *scope) texts(f actions.Field, n *yaml.Node) (value, bool) {
	r := s.Doc
	out, ok := value{form: listForm}, true
	if n.Kind == yaml.SequenceNode {
		for _, e := range n.Content {
			v, good := s.text(f, text.Resolve(e))
			ok = ok && good
			out.list = append(out.list, v)
		}
		return out, ok
	}
	if n.Kind == yaml.MappingNode && !text.LooksLikeTemplate(n) {
		r.Errorf("type", r.At(n), "", "%s takes a text or a list of texts, but this is a map (key: value)", text.Quote(f.Name))
		return value{}, false
	}
	t, ok := r.Scalar(n, text.Quote(f.Name))
	if !ok {
		return value{}, false
	}
	if f.Recipient && strings.Contains(t.Value, ";") && !strings.Contains(t.Value, "{{") && !strings.Contains(t.Value, "\"") {
		r.Mendf(text.Error, "mail-address", t, t.Span(0, len(t.Value)), strings.ReplaceAll(t.Value, ";", ","), "several addresses are separated by commas, not by semicolons")
		return value{}, false
	}
	from := 0
	for _, item := range actions.SplitList(t.Value) {
		i := strings.Index(t.Value[from:], item)
		if i < 0 { // the item does not occur in the text as it was split
			return s.textRange(f, t, 0, len(t.Value))
		}
		v, good := s.textRange(f, t, from+i, from+i+len(item))
		ok = ok && good
		out.list = append(out.list, v)
		from += i + len(item)
	}
	return out, ok
}

func (s *scope) duration(f actions.Field, n *yaml.Node) (value, bool) {
	t, ok := s.Doc.Scalar(n, text.Quote(f.Name))
	if !ok {
		return value{}, false
	}
	if _, err := actions.ParseDuration(t.Value); err != nil {
		suggestion := ""
		if d, ok := errors.AsType[*actions.DurationError](err); ok {
			suggestion = d.Suggestion
		}
		s.Doc.Mendf(text.Error, "duration", t, t.Span(0, len(t.Value)), suggestion, "%s", err)
		return value{}, false
	}
	return value{fixed: t.Value}, true
}

func (s *scope) numbers(f actions.Field, n *yaml.Node) (value, bool) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	var out []int
	for _, e := range items {
		e = text.Resolve(e)
		i, err := strconv.Atoi(e.Value)
		if e.Kind != yaml.ScalarNode || err != nil {
			s.Doc.Errorf("type", s.Doc.At(e), "", "%s takes whole numbers, but this is %s", text.Quote(f.Name), text.KindName(e))
			return value{}, false
		}
		out = append(out, i)
	}
	return value{fixed: out}, true
}

// tree compiles any YAML. The texts in it are templates.
func (s *scope) tree(f actions.Field, n *yaml.Node) (value, bool) {
	r := s.Doc
	n = text.Resolve(n)
	if !r.Tag(n) {
		return value{}, false
	}
	ok := true
	switch {
	case n.Kind == yaml.SequenceNode:
		out := value{form: listForm, list: []value{}}
		for _, e := range n.Content {
			v, good := s.tree(f, e)
			ok = ok && good
			out.list = append(out.list, v)
		}
		return out, ok
	case text.LooksLikeTemplate(n):
		r.Unquoted(n)
		return value{}, false
	case n.Kind == yaml.MappingNode:
		out := value{form: mapForm}
		entries := r.Pairs(n)
		for _, e := range entries {
			of := f
			if f.Escape == "blocks" && text.Resolve(e.Value).Kind == yaml.ScalarNode {
				of.Escape = blockEscape(entries, e.Name)
			}
			v, good := s.tree(of, e.Value)
			ok = ok && good
			out.keys, out.list = append(out.keys, e.Name), append(out.list, v)
		}
		return out, ok
	}
	switch n.Tag {
	case "!!null":
		return value{}, true
	case "!!bool":
		b, _ := text.Bool(n)
		return value{fixed: b}, true
	case "!!int", "!!float":
		digits := strings.TrimLeft(n.Value, "+-")
		if len(digits) > 1 && digits[0] == '0' && strings.Trim(digits, "0123456789") == "" {
			return value{fixed: n.Value}, true // 01234 is a post code, not the number that YAML reads
		}
		if number := strings.TrimPrefix(n.Value, "+"); json.Valid([]byte(number)) { // keep the digits as written
			return value{fixed: json.Number(number)}, true
		}
		var i int64
		if n.Tag == "!!int" && n.Decode(&i) == nil { // it would be 0 for .5
			suggestion := text.Quoted(n.Value)
			if strings.Contains(n.Value, "_") {
				suggestion = strconv.FormatInt(i, 10)
			}
			r.Warnf("number", r.At(n), suggestion, "YAML reads %s as the number %d: write that, or put it in quotes", n.Value, i)
			return value{fixed: i}, true
		}
		var v float64
		if n.Decode(&v) == nil && v-v == 0 { // neither infinite nor NaN
			if strings.Contains(n.Value, "_") {
				number := strconv.FormatFloat(v, 'g', -1, 64)
				r.Warnf("number", r.At(n), number, "YAML reads %s as the number %s: write that, or put it in quotes", n.Value, number)
			}
			return value{fixed: v}, true
		}
	}
	t, ok := r.Scalar(n, "this")
	if !ok {
		return value{}, false
	}
	if whole := strings.TrimSpace(t.Value); f.Name == "json" && strings.Contains(whole, "{{ ") && (strings.HasPrefix(whole, "{ ") || strings.HasPrefix(whole, "{\"")) {
		r.Warnf("json-text", t.Span(0, len(t.Value)), "", "this is sent as one text; write JSON here as YAML, without quotes around the whole, so that each value is escaped")
	}
	v, ok := s.textRange(f, t, 0, len(t.Value))
	if v.form == textForm {
		v.form = treeForm
	}
	return v, ok
}

// blockEscape returns how the values of a field in a Slack block are escaped: only text objects of type mrkdwn are,
// and URLs as URLs (https://docs.slack.dev/reference/block-kit/composition-objects/text-object).
func blockEscape(entries []text.Pair, key string) string {
	switch {
	case strings.HasSuffix(key, "url"):
		return "address"
	case key == "text" && slices.ContainsFunc(entries, func(e text.Pair) bool { return e.Name == "type" && e.Value.Value == "mrkdwn" }):
		return "slack"
	}
	return ""
}

// sketch returns the value with its {{ }} in place.
func (v value) sketch() any {
	switch v.form {
	case textForm, treeForm:
		return v.source
	case listForm:
		out := make([]any, len(v.list))
		for i, e := range v.list {
			out[i] = e.sketch()
		}
		return out
	case mapForm:
		out := make(map[string]any, len(v.list))
		for i, e := range v.list {
			out[v.keys[i]] = e.sketch()
		}
		return out
	}
	return v.fixed
}

func (v value) render(r *run, f actions.Field) (any, error) {
	switch v.form {
	case textForm, treeForm:
		if p, ok := v.text.single(); ok && (v.form == treeForm || f.Type == reflect.TypeFor[actions.List]()) {
			return renderSingle(r, v, p, f)
		}
		return v.text.render(r)
	case listForm:
		out := make([]any, 0, len(v.list))
		for _, e := range v.list {
			x, err := e.render(r, f)
			if err != nil {
				return nil, err
			}
			if list, ok := x.([]string); ok && f.Type == reflect.TypeFor[actions.List]() {
				for _, s := range list {
					out = append(out, s)
				}
				continue
			}
			out = append(out, x)
		}
		return out, nil
	case mapForm:
		out := make(map[string]any, len(v.list))
		for i, e := range v.list {
			x, err := e.render(r, f)
			if err != nil {
				return nil, err
			}
			out[v.keys[i]] = x
		}
		return out, nil
	}
	return v.fixed, nil
}

// renderSingle renders a single expression: in a tree it keeps its type, and in a list of texts it may be a list
// itself.
func renderSingle(r *run, v value, p part, f actions.Field) (any, error) {
	x, err := p.value(r)
	if err != nil {
		return nil, err
	}
	if err := r.ChargeFor(x, 20, 2); err != nil {
		return nil, p.program.Failed(err)
	}
	if v.form == treeForm {
		if p.escape != escapeNone {
			if s, ok := x.(string); ok {
				text, err := p.escape.put(s)
				if err != nil {
					err = p.program.At(err)
				}
				return text, err
			}
		}
		return lang.JSON(x), nil
	}
	switch rv := reflect.ValueOf(x); rv.Kind() {
	case reflect.Slice, reflect.Array:
		out := make([]string, rv.Len())
		for i := range out {
			if out[i], err = p.escape.put(lang.Print(rv.Index(i).Interface())); err != nil {
				return nil, p.program.At(err)
			}
		}
		return out, nil
	}
	text, err := p.escape.put(lang.Print(x))
	if err != nil {
		return nil, p.program.At(err)
	}
	return text, nil
}

// render renders the step's request for one event.
func (st *step) render(r *run) Step {
	out := Step{Number: st.number, Action: st.kind.Name, Connection: st.connection}
	if st.unwanted(r.ev) {
		out.Skip = skipOver
		return out
	}
	r.Refill()
	fields := make(map[string]any, len(st.fields))
	recipients := 0
	for _, f := range st.fields {
		v, err := f.value.render(r, f.field)
		if err == nil && f.field.Header {
			v = folded(v)
		}
		if no, ok := errors.AsType[*unusable](err); ok {
			out.Skip = f.field.Name + ": " + no.why
			return out
		}
		if err != nil {
			// A missing recipient is a skip even if rendering it fails.
			if f.skips && isMissing(err) {
				out.Skip = unresolved
				return out
			}
			out.Err = fmt.Errorf("%s: %w", f.field.Name, err)
			return out
		}
		if f.field.Recipient {
			v = dropEmpty(v)
			if v == nil && f.skips {
				out.Skip = unresolved
				return out
			}
			if list, ok := v.([]any); ok {
				recipients += len(list)
			}
			if recipients > maxRecipients {
				out.Err = fmt.Errorf("%s: this goes to more than %d recipients, the most that one message may have", f.field.Name, maxRecipients)
				return out
			}
		}
		if v != nil {
			fields[f.field.Name] = v
		}
	}
	req, err := decodeRequest(st.kind, fields)
	if err != nil {
		out.Err = fmt.Errorf("render %s: %w", st.kind.Name, err)
		return out
	}
	if p, ok := req.(actions.Preparer); ok {
		if err := p.Prepare(r.facts()); err != nil {
			out.Err = fmt.Errorf("prepare %s: %w", st.kind.Name, err)
			return out
		}
	}
	data, err := json.Marshal(req)
	if out.Destination = st.connection; out.Destination == "" {
		out.Destination = req.Destination(nil)
	}
	switch {
	case err != nil:
		out.Err = fmt.Errorf("render %s: %w", st.kind.Name, err)
	case len(data) > maxRequest:
		out.Err = fmt.Errorf("the rendered %s is larger than %d KiB", st.kind.Name, maxRequest>>10)
	default:
		out.Request = data
	}
	return out
}

const unresolved = "unresolved recipient"

// maxRecipients limits the recipients of one message: a list may come from a payload.
const maxRecipients = 100

func isMissing(err error) bool {
	e, ok := errors.AsType[*lang.Error](err)
	return ok && strings.HasPrefix(e.Message, "the value is missing")
}

// folded replaces line breaks by a space in a value that is used in a header.
func folded(v any) any {
	switch v := v.(type) {
	case string:
		return oneLine(v)
	case []string:
		return folded(anys(v))
	case []any:
		for i := range v {
			v[i] = folded(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = folded(v[k])
		}
	}
	return v
}

// dropEmpty removes recipients that rendered to nothing. It returns nil if none is left.
func dropEmpty(v any) any {
	switch v := v.(type) {
	case string:
		if noMailbox(v) {
			return nil
		}
	case []string:
		return dropEmpty(anys(v))
	case []any:
		out := slices.DeleteFunc(slices.Clone(v), func(e any) bool { return dropEmpty(e) == nil })
		if len(out) == 0 {
			return nil
		}
		return out
	}
	return v
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// facts returns what an action may use of the appointment besides its templates.
func (r *run) facts() actions.Facts {
	a := &r.ev.Appointment
	f := actions.Facts{
		Now: r.ev.ReceivedAt, AppointmentID: a.ID, Title: lang.ValidText(a.Title), Address: lang.ValidText(a.Address), Notes: lang.ValidText(a.Notes),
		Start: a.StartTime, End: a.EndTime, AllDay: a.AllDay, Updated: a.DateUpdated,
		Cancelled: a.AppointmentStatus == Cancelled || r.ev.Type == Delete || slices.Contains(r.ev.On, Cancelled),
	}
	if f.Updated.IsZero() {
		f.Updated = r.ev.ReceivedAt
	}
	if r.due { // a message sent weeks later does not have the time of its event
		f.Now = r.Now
	}
	return f
}
