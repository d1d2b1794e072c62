package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"bellhop/actions"
	"bellhop/rules/lang"
)

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
	switch opens, skip, err := st.opens(r, r.Now); {
	case err != nil:
		return out.failed(err)
	case skip != "":
		out.Skip = skip
		return out
	case !opens.IsZero():
		out.Opens = opens
		out.Destination = st.destination(r.rule, r.ev)
		return out
	}
	fields, over := st.renderFields(r)
	if over != nil {
		over.Number, over.Action, over.Connection = out.Number, out.Action, out.Connection
		return *over
	}
	req, err := decodeRequest(*st.kind, fields)
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
	skip, unknown := st.consent(r, req)
	if unknown != nil {
		return st.wants(r, *unknown)
	}
	if skip != "" {
		out.Skip = skip
		return out
	}
	data, err := json.Marshal(req)
	if out.Destination = st.destination(r.rule, r.ev); st.connection == "" {
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

// renderFields renders the fields of the step. If it is not sent, over says why, or what has to be looked up.
func (st *step) renderFields(r *run) (fields map[string]any, over *Step) {
	fields = make(map[string]any, len(st.fields))
	recipients := 0
	for _, f := range st.fields {
		v, err := f.value.render(r, *f.field)
		if err == nil && f.field.Header {
			v = folded(v)
		}
		if no, ok := errors.AsType[*unusable](err); ok {
			return nil, &Step{Skip: f.field.Name + ": " + no.why}
		}
		if err != nil {
			// A missing recipient is a skip even if rendering it fails.
			if f.skips && isMissing(err) {
				return nil, &Step{Skip: unresolved}
			}
			if unknown, ok := lang.UnknownIn(err); ok {
				wants := st.wants(r, unknown)
				return nil, &wants
			}
			return nil, &Step{Err: fmt.Errorf("%s: %w", f.field.Name, err)}
		}
		if f.field.Recipient {
			v = dropEmpty(v)
			if v == nil && f.skips {
				return nil, &Step{Skip: unresolved}
			}
			if list, ok := v.([]any); ok {
				recipients += len(list)
			}
			if recipients > maxRecipients {
				return nil, &Step{Err: fmt.Errorf("%s: this goes to more than %d recipients, the most that one message may have", f.field.Name, maxRecipients)}
			}
		}
		if v != nil {
			fields[f.field.Name] = v
		}
	}
	return fields, nil
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
