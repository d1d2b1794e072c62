package ruletest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/engine/record"
	"bellhop/rules/live"
	"bellhop/rules/text"
)

// Update runs the tests of one file and changes the expectations that were not met to what happened. It leaves
// everything else in the file as it was, including comments. It returns the result of the changed tests. If the file
// cannot be changed so that its tests pass, or cannot be written, Update leaves it as it is and returns an error with
// the result of the unchanged tests.
func (r *Runner) Update(path string) (*Result, error) {
	data, findings := live.Read(filepath.Dir(path), filepath.Base(path))
	if text.HasErrors(findings) {
		return r.Run(path), nil // which says why
	}
	// Windows line ends are removed here and put back below, because the YAML library cannot read comments with them.
	crlf := bytes.Count(data, []byte("\r\n")) == bytes.Count(data, []byte("\n"))
	if crlf {
		data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	}
	before := r.run(path, data)
	var changes []splice
	updated := 0
	for _, ran := range before.ran {
		if ran.test.Status == Failed && ran.outcome.failed == nil {
			changes = append(changes, ran.c.accept(before.file, ran.outcome)...)
			updated++
		}
	}
	if updated == 0 {
		return before.result, nil
	}
	changed := apply(data, changes)
	after := r.run(path, changed)
	if err := accepted(before.result, after.result); err != nil {
		return before.result, fmt.Errorf("the expectations of %s cannot be rewritten by themselves: %w", path, err)
	}
	after.result.Findings = before.result.Findings // the second run does not report mistakes in the rules again
	after.result.Updated = updated
	if crlf {
		changed = bytes.ReplaceAll(changed, []byte("\n"), []byte("\r\n"))
	}
	if err := replaceFile(path, changed); err != nil {
		return before.result, fmt.Errorf("rewriting %s: %w", path, err)
	}
	return after.result, nil
}

// accepted returns an error unless the rewritten file has the same tests and all of them pass, except those that were
// not run before.
func accepted(before, after *Result) error {
	if len(before.Tests) != len(after.Tests) {
		return errors.New("its tests would no longer be readable")
	}
	for i := range after.Tests {
		was, is := &before.Tests[i], &after.Tests[i]
		if was.Name != is.Name || is.Status != Passed && was.Status != NotRun {
			return fmt.Errorf("change the test %s by hand", text.Quote(was.Name))
		}
	}
	return nil
}

// replaceFile replaces a file in one step, so that nobody reads an incomplete file.
func replaceFile(path string, data []byte) (err error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(real), ".bellhop-*.tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chmod(info.Mode().Perm()), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), real)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(tmp.Name()))
	}
	return err
}

// A splice replaces a range of a file.
type splice struct {
	from, to int
	text     string
}

func apply(data []byte, changes []splice) []byte {
	slices.SortStableFunc(changes, func(a, b splice) int { return cmp.Compare(a.from, b.from) })
	var out []byte
	at := 0
	for _, c := range changes {
		if c.from < at { // two tests share this text by an anchor
			continue
		}
		out = append(append(out, data[at:c.from]...), c.text...)
		at = c.to
	}
	return append(out, data[at:]...)
}

// accept returns the changes of the file that make the test expect what happened. If only texts and names differ, they
// are replaced one by one. Otherwise the complete expectation is written again, with its comments.
func (c *testCase) accept(f *file, o *outcome) []splice {
	x := &c.expect
	if x.node == nil || len(x.node.Content) == 0 {
		return c.write(f, everything(o))
	}
	e := &editor{f: f, small: true}
	if x.fires.node != nil && !slices.Equal(slices.Sorted(slices.Values(values(x.fires))), slices.Sorted(slices.Values(o.fired))) {
		e.names(x.fires.node, o.fired)
	}
	if still := slices.DeleteFunc(values(x.not), func(n string) bool { return slices.Contains(o.fired, n) }); len(still) < len(x.not.list) {
		e.names(x.not.node, still)
	}
	for i, d := range x.pair(o) {
		s := &x.steps.list[i]
		if d == nil || d.Action != s.action.Name || d.State == record.Skipped || isHeld(d) {
			e.remove(x.node, s.node)
			continue
		}
		e.fields(s, d)
	}
	e.holds(x, o)
	e.skips(x, o)
	if e.small {
		return e.changes
	}
	return c.write(f, x.node)
}

// An editor changes an expectation. It changes the nodes and, while small is true, collects the changes of the text.
type editor struct {
	f       *file
	small   bool // changes has everything that was changed
	changes []splice
}

func (e *editor) replace(n *yaml.Node, text string) {
	if n.Line == 0 { // another test that shares the node by an anchor has changed it
		return
	}
	from, to := e.f.doc.Range(n)
	e.changes = append(e.changes, splice{from, to, text})
}

func (e *editor) names(old *yaml.Node, want []string) {
	fresh := node(list(want))
	fresh.Style = yaml.FlowStyle
	if old.Kind == yaml.SequenceNode {
		fresh.Style = old.Style
	}
	if line, err := encode(fresh); err == nil && !strings.Contains(line, "\n") && !text.IsNull(old) && fresh.Style&yaml.FlowStyle != 0 {
		e.replace(old, line)
	} else {
		e.small = false
	}
	replaceNode(old, fresh)
}

// remove removes an expected step.
func (e *editor) remove(expect, step *yaml.Node) {
	e.small = false
	i := keyIndex(expect, "steps")
	if i < 0 {
		return
	}
	steps := expect.Content[i+1]
	steps.Content = slices.DeleteFunc(steps.Content, func(n *yaml.Node) bool { return n == step })
	if len(steps.Content) == 0 {
		expect.Content = slices.Delete(expect.Content, i, i+2)
	}
}

// keyIndex returns the index of a key among the nodes of a map, -1 if there is none.
func keyIndex(m *yaml.Node, key string) int {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// fields changes what is compared of a step to what it renders.
func (e *editor) fields(s *expectedStep, d *record.Delivery) {
	request := rendered(d)
	for _, f := range s.fields {
		if got := request[f.field.Name]; !same(f.want, got) {
			e.field(s, f, got)
		}
	}
}

func (e *editor) field(s *expectedStep, f expectedField, got any) {
	old := f.entry.Value
	if got == nil { // the field is no longer rendered
		e.small = false
		fields := s.action.Value
		if i := keyIndex(fields, f.entry.Name); i >= 0 {
			fields.Content = slices.Delete(fields.Content, i, i+2)
		}
		return
	}
	e.change(old, node(got), s.node, s.action.Value)
}

// change changes a value. around are the maps that it is in, from which a value of several lines takes the brackets.
func (e *editor) change(old, fresh *yaml.Node, around ...*yaml.Node) {
	if fresh.Kind == yaml.ScalarNode && old.Kind == yaml.ScalarNode {
		if text, ok := e.inStyle(old, fresh); ok {
			e.replace(old, text)
			replaceNode(old, fresh)
			return
		}
		if fresh.Style == 0 {
			fresh.Style = old.Style &^ (yaml.LiteralStyle | yaml.FoldedStyle)
		}
	}
	e.small = false
	if fresh.Style&yaml.LiteralStyle != 0 || fresh.Kind != yaml.ScalarNode && fresh.Style&yaml.FlowStyle == 0 {
		for _, n := range around {
			n.Style &^= yaml.FlowStyle
		}
	}
	replaceNode(old, fresh)
}

// inStyle returns the text of a scalar in the style of the one that it replaces. It returns false if that style cannot
// be used.
func (e *editor) inStyle(old, fresh *yaml.Node) (string, bool) {
	value := fresh.Value
	switch {
	case fresh.Tag != "!!str":
		return value, old.Style == 0
	case old.Style&yaml.LiteralStyle != 0:
		return e.block(old, value)
	case old.Style&yaml.FoldedStyle != 0, strings.ContainsAny(value, "\n\r\t"):
		return "", false
	case old.Style&yaml.DoubleQuotedStyle != 0:
		return doubleQuoted(value), true
	case old.Style&yaml.SingleQuotedStyle != 0 && printable(value):
		return text.SingleQuoted(value), true
	case isPlain(value):
		return value, true
	}
	return doubleQuoted(value), true
}

// block returns a text as a literal block with the indentation of the old block. It returns false if the text cannot be
// a block.
func (e *editor) block(old *yaml.Node, text string) (string, bool) {
	from, to := e.f.doc.Range(old)
	_, body, ok := strings.Cut(string(e.f.data[from:to]), "\n")
	first, _, _ := strings.Cut(body, "\n")
	indent := first[:len(first)-len(strings.TrimLeft(first, " "))]
	if !ok || indent == "" || !isBlock(text) {
		return "", false
	}
	out, err := encode(mapping("x", &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.LiteralStyle, Value: text}))
	return strings.ReplaceAll(strings.TrimPrefix(out, "x: "), "\n  ", "\n"+indent), err == nil
}

// skips changes the list of skipped steps to what happened, if it differs.
func (e *editor) skips(x *expectation, o *outcome) {
	e.list(x, "skipped", x.skipped, o, func(d *record.Delivery) []*yaml.Node {
		for _, s := range x.skipped.list {
			if s.rule.value == d.Rule && s.number == d.Step && strings.Contains(d.Reason, s.reason) {
				return []*yaml.Node{s.node}
			}
		}
		return nil
	})
}

// list changes a list of the expectation to the deliveries that belong in it, or adds the list. known returns the
// entries of the list that a delivery has already.
func (e *editor) list(x *expectation, key string, old listed[expectedStep], o *outcome, known func(*record.Delivery) []*yaml.Node) {
	fresh := sequence()
	kept, added := 0, 0
	for i := range o.deliveries {
		d := &o.deliveries[i]
		if listOf(d) != key {
			continue
		}
		if nodes := known(d); len(nodes) > 0 {
			fresh.Content = append(fresh.Content, nodes...)
			kept += len(nodes)
		} else {
			fresh.Content = append(fresh.Content, entry(o, d))
			added++
		}
	}
	if added == 0 && kept == len(old.list) {
		return
	}
	e.small = false
	if old.node != nil {
		replaceNode(old.node, fresh)
		return
	}
	put(x.node, key, fresh)
}

// listOf returns the key of the list that a delivery belongs in.
func listOf(d *record.Delivery) string {
	switch {
	case d.State == record.Skipped:
		return "skipped"
	case isHeld(d):
		return "held"
	}
	return "steps"
}

// entry returns an entry that says all of a delivery. It has the number of the step only if it is needed.
func entry(o *outcome, d *record.Delivery) *yaml.Node {
	m := mapping("rule", d.Rule)
	isNumbered := d.Step > 0
	if list := listOf(d); list != "skipped" {
		isNumbered = slices.ContainsFunc(o.deliveries, func(other record.Delivery) bool {
			alike := other.Action == d.Action
			if list == "held" {
				alike = isHeld(&other)
			}
			return alike && other.Rule == d.Rule && other.Step != d.Step
		})
	}
	if isNumbered {
		put(m, "step", json.Number(strconv.Itoa(d.Step)))
	}
	if isHeld(d) {
		put(m, "until", timestamp(d.At))
	}
	switch {
	case d.State == record.Skipped:
		put(m, "reason", reason(d))
	case isHeld(d) && d.Reason != "":
		put(m, "then", reason(d))
	default:
		put(m, d.Action, fieldsOf(d))
	}
	return m
}

func reason(d *record.Delivery) *yaml.Node { return node(d.Reason[len(place.FindString(d.Reason)):]) }

// place matches the position in a rule file at the beginning of an error. It is left out of expectations, because it
// changes when the file is edited.
var place = regexp.MustCompile(`^.*\.(?:yaml|yml):\d+:\d+: `)

// everything returns an expectation of everything that happened.
func everything(o *outcome) *yaml.Node {
	fires := node(list(o.fired))
	fires.Style = yaml.FlowStyle
	x := mapping("fires", fires)
	e := &editor{}
	for _, key := range []string{"steps", "held", "skipped"} {
		e.list(&expectation{node: x}, key, listed[expectedStep]{}, o, func(*record.Delivery) []*yaml.Node { return nil })
	}
	return x
}

// fieldsOf is all that a step renders, in the order of the action's fields.
func fieldsOf(d *record.Delivery) *yaml.Node {
	kind, _ := actions.Lookup(d.Action)
	request := rendered(d)
	fields := mapping()
	for _, f := range actions.Fields(kind) {
		if v, ok := request[f.Name]; ok && !f.Internal {
			put(fields, f.Name, v)
		}
	}
	return fields
}

// write returns the changes of the file that put an expectation into the test. It replaces the old one, if any.
func (c *testCase) write(f *file, x *yaml.Node) []splice {
	flow := c.node.Style&yaml.FlowStyle != 0
	if flow {
		toFlow(x)
	}
	dropFoot(x)
	text, err := encode(mapping("expect", x))
	if err != nil {
		return nil
	}
	indent := strings.Repeat(" ", c.column-1)
	text = strings.ReplaceAll(text, "\n", "\n"+indent)
	for strings.Contains(text, "\n"+indent+"\n") {
		text = strings.ReplaceAll(text, "\n"+indent+"\n", "\n\n") // empty lines of texts
	}
	_, end := f.doc.Range(c.node)
	switch {
	case c.expect.node != nil:
		from, _ := f.doc.Range(c.expect.key)
		to := c.expect.end
		if !flow {
			to = lineEnd(f.data, to) // the text has the comments on this line
		}
		return []splice{{from, to, text}}
	case c.expect.key != nil: // its value is null
		_, to := f.doc.Range(c.expect.key)
		to += bytes.IndexByte(f.data[to:], ':') + 1
		var out []splice
		if n := c.expect.null; n.Value != "" {
			from, end := f.doc.Range(n)
			out, to = append(out, splice{from, end, ""}), end
		}
		if !flow {
			to = lineEnd(f.data, to) // after a comment
		}
		return append(out, splice{to, to, strings.TrimPrefix(text, "expect:")})
	case flow:
		return []splice{{end - 1, end - 1, ", " + text}}
	default:
		end = lineEnd(f.data, end)
		return []splice{{end, end, "\n" + indent + text}}
	}
}

// lineEnd returns the end of the line of an offset, without its line break.
func lineEnd(data []byte, at int) int {
	if i := bytes.IndexAny(data[at:], "\r\n"); i >= 0 {
		return at + i
	}
	return len(data)
}

// dropFoot removes the comments below the last entry from the nodes, because they stay in the file.
func dropFoot(n *yaml.Node) {
	for {
		n.FootComment = ""
		if len(n.Content) == 0 {
			return
		}
		if n.Kind == yaml.MappingNode {
			n.Content[len(n.Content)-2].FootComment = ""
		}
		n = n.Content[len(n.Content)-1]
	}
}

func toFlow(n *yaml.Node) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
		n.Style |= yaml.FlowStyle
	} else if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		toFlow(c)
	}
}

// replaceNode replaces a node with another one, and keeps its comments.
func replaceNode(old, fresh *yaml.Node) {
	fresh.HeadComment, fresh.LineComment, fresh.FootComment = old.HeadComment, old.LineComment, old.FootComment
	*old = *fresh
}

func sequence() *yaml.Node { return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"} }

func mapping(pairs ...any) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	put(m, pairs...)
	return m
}

// put adds keys and their values to a map.
func put(m *yaml.Node, pairs ...any) {
	for _, p := range pairs {
		m.Content = append(m.Content, node(p))
	}
}

// node returns a JSON value as a YAML node. Texts with several lines become blocks. A node stays as it is.
func node(v any) *yaml.Node {
	scalar := func(tag string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: fmt.Sprint(v)} }
	switch v := v.(type) {
	case *yaml.Node:
		return v
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	case bool:
		return scalar("!!bool")
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return scalar("!!float")
		}
		return scalar("!!int")
	case []any:
		n := sequence()
		short := len(v) <= 4
		for _, e := range v {
			c := node(e)
			short = short && c.Kind == yaml.ScalarNode && len(c.Value) < 40 && c.Style == 0
			n.Content = append(n.Content, c)
		}
		if short {
			n.Style = yaml.FlowStyle
		}
		return n
	case map[string]any:
		n := mapping()
		for _, k := range slices.Sorted(maps.Keys(v)) {
			put(n, k, v[k])
		}
		return n
	}
	n := scalar("!!str")
	switch {
	case strings.Contains(strings.TrimSuffix(n.Value, "\n"), "\n") && isBlock(n.Value):
		n.Style = yaml.LiteralStyle
	case !isPlain(n.Value):
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func encode(n *yaml.Node) (string, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(n), enc.Close()); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// isPlain says whether a text can be written in YAML without quotes, also inside brackets.
func isPlain(text string) bool {
	if text == "" || strings.ContainsAny(text, ",[]{}#:'\"\n\t\\") || !printable(text) {
		return false
	}
	var n yaml.Node
	if yaml.Unmarshal([]byte(text), &n) != nil || len(n.Content) != 1 {
		return false
	}
	s := n.Content[0]
	return s.Kind == yaml.ScalarNode && s.Tag == "!!str" && s.Style == 0 && s.Value == text && s.Anchor == ""
}

// isBlock says whether a text can be a literal block with the header | or |-.
func isBlock(text string) bool {
	trimmed := strings.TrimSuffix(text, "\n")
	return trimmed != "" && !strings.ContainsAny(trimmed[:1], " \n") && !strings.HasSuffix(trimmed, "\n") && printable(strings.ReplaceAll(trimmed, "\n", ""))
}

// doubleQuoted returns a text in double quotes. It uses the escapes of JSON, which YAML can read.
func doubleQuoted(text string) string { return toJSON(text, "") }

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool {
		return c < ' ' || c >= 0x7f && c < 0xa0 || c == 0xfeff || c == 0x2028 || c == 0x2029 || c == 0xfffd
	})
}
