package config

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules/text"
)

// A decoder decodes one file into a configuration and collects the findings.
type decoder struct {
	dir string
	env Env
	cfg *Config

	doc        *text.Document        // the file, and the findings in it
	places     map[string]*yaml.Node // the node at a path such as sources.hoopai.verify
	written    map[*yaml.Node]string // scalars with ${…}: the text as written
	unresolved map[*yaml.Node]bool   // scalars in which a ${…} could not be replaced
}

func (d *decoder) relative(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}

// decodeFile decodes the file. The suggestions about what cannot be read as YAML are dropped, because they repeat text of
// the file, which can be a secret.
func (d *decoder) decodeFile(data []byte) {
	d.doc = text.New(d.cfg.Path, "configuration", data, nil)
	root := d.doc.Root()
	unreadable := d.doc.Findings()
	for i := range unreadable {
		unreadable[i].Suggestion = ""
	}
	if root != nil {
		d.expand(root)
		d.value(root, reflect.ValueOf(d.cfg).Elem(), "")
	}
}

// value decodes a node into v. v keeps its default if the node is null or cannot be read. path names the value, such as
// delivery.max_age.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	n = text.Resolve(n)
	if path != "" {
		d.places[path] = n
	}
	if !knownTag(n) {
		d.errorf(n, "unknown-tag", "%s is a tag that means nothing here; put the text in quotes", n.Tag)
		return
	}
	if text.IsNull(n) || d.unresolved[n] && v.Kind() != reflect.String {
		return
	}
	switch t := v.Type(); {
	case t == reflect.TypeFor[Connection]():
		d.connection(n, v, path)
	case t == reflect.TypeFor[time.Duration]():
		d.duration(n, v, path)
	case v.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		d.value(n, p.Elem(), path)
		v.Set(p)
	case v.Kind() == reflect.String:
		if d.scalar(n, path, "a text") {
			v.SetString(n.Value)
		}
	case v.CanInt():
		i, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 10, t.Bits())
		if err != nil {
			d.wrong(n, path, "a whole number")
			return
		}
		v.SetInt(i)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path)
	case v.Kind() == reflect.Map:
		d.mapping(n, v, path)
	case v.Kind() == reflect.Struct:
		d.structure(n, v, path)
	default:
		panic(fmt.Sprintf("config: %s has the type %s, which is not decoded", named(path), t))
	}
}

// scalar says whether the node is a scalar, and reports it if not.
func (d *decoder) scalar(n *yaml.Node, path, what string) bool {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, path, what)
		return false
	}
	return true
}

func (d *decoder) wrong(n *yaml.Node, path, what string) {
	d.errorf(n, "wrong-type", "%s must be %s", named(path), what)
}

// named returns the name of a value for people.
func named(path string) string { return cmp.Or(path, "the configuration") }

func (d *decoder) duration(n *yaml.Node, v reflect.Value, path string) {
	if !d.scalar(n, path, `a length of time, such as "90m" or "3d"`) {
		return
	}
	length, err := actions.ParseDuration(n.Value)
	if err != nil {
		suggestion := ""
		if de, ok := errors.AsType[*actions.DurationError](err); ok {
			suggestion = de.Suggestion
		}
		d.report(n, text.Error, "bad-value", fmt.Sprintf("%s: %v", named(path), err), suggestion)
		return
	}
	v.SetInt(int64(length))
}

// list decodes a list. A single value is decoded as a list with one item.
func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	items := []*yaml.Node{n}
	switch n.Kind {
	case yaml.SequenceNode:
		items = n.Content
	case yaml.MappingNode:
		d.wrong(n, path, "a list")
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(items))
	for i, item := range items {
		if text.IsNull(item) {
			continue
		}
		e := reflect.New(v.Type().Elem()).Elem()
		at := path
		if n.Kind == yaml.SequenceNode {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		d.value(item, e, at)
		out = reflect.Append(out, e)
	}
	v.Set(out)
	d.places[path] = n
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	pairs, ok := d.pairs(n, path)
	if !ok {
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, p := range pairs {
		e := reflect.New(v.Type().Elem()).Elem()
		at := join(path, p.Name)
		d.value(p.Value, e, at)
		if e.Type() == reflect.TypeFor[Connection]() && e.IsZero() {
			continue // it has no kind, which is reported already
		}
		v.SetMapIndex(reflect.ValueOf(p.Name), e)
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	names := map[string]string{} // of each key and each second name, the key
	fields := map[string]reflect.Value{}
	var known []string
	for name, f := range actions.Keys(v.Type()) {
		if f.Tag.Get("short") == "true" && n.Kind == yaml.ScalarNode {
			d.value(n, v.FieldByIndex(f.Index), path)
			return
		}
		names[name] = name
		if also := f.Tag.Get("also"); also != "" {
			names[also] = name
		}
		fields[name] = v.FieldByIndex(f.Index)
		known = append(known, name)
	}
	pairs, ok := d.pairs(n, path)
	if !ok {
		return
	}
	said := map[string]string{}
	for _, p := range pairs {
		name, ok := names[p.Name]
		if !ok {
			d.unknownKey(p.Key, path, text.Closest(p.Name, known), known)
			continue
		}
		if before, twice := said[name]; twice {
			d.errorf(p.Key, "duplicate-key", "%s means the same as %s; keep one", p.Name, before)
			continue
		}
		said[name] = p.Name
		d.value(p.Value, fields[name], join(path, name))
	}
}

func (d *decoder) unknownKey(key *yaml.Node, path, suggestion string, known []string) {
	d.report(key, text.Error, "unknown-key", fmt.Sprintf("%s has no key %q%s%s",
		named(path), key.Value, text.DidYouMean(suggestion), text.ListIfNone(suggestion, known)), suggestion)
}

// pairs returns the entries of a mapping. It reports a node that is not a mapping.
func (d *decoder) pairs(n *yaml.Node, path string) ([]text.Pair, bool) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "keys with values")
		return nil, false
	}
	return d.doc.Pairs(n), true
}

// connection decodes an entry of `connections:`. The keys say which kind of action it is for. It also reports what the
// connection's own check finds.
func (d *decoder) connection(n *yaml.Node, v reflect.Value, path string) {
	pairs, ok := d.pairs(n, path)
	if !ok {
		return
	}
	var kinds []actions.Kind
	var keys, hints []string
	for _, k := range actions.Kinds() {
		hints = append(hints, fmt.Sprintf("%s (%s)", strings.Join(k.ConnectionKeys, " or "), k.Name))
		keys = append(keys, k.ConnectionKeys...)
		if slices.ContainsFunc(pairs, func(p text.Pair) bool { return slices.Contains(k.ConnectionKeys, p.Name) }) {
			kinds = append(kinds, k)
		}
	}
	switch len(kinds) {
	case 0:
		for _, p := range pairs {
			if s := text.Closest(p.Name, keys); s != "" {
				d.unknownKey(p.Key, path, s, nil)
				return
			}
		}
		d.errorf(n, "unknown-kind", "%s does not say what it connects to: it needs one of %s", path, strings.Join(hints, ", "))
		return
	case 1:
	default:
		d.errorf(n, "ambiguous-kind", "%s could be for %s or for %s: make two entries of it", path, kinds[0].Name, kinds[1].Name)
		return
	}
	conn := kinds[0].NewConnection()
	d.structure(n, reflect.ValueOf(conn).Elem(), path)
	if r, ok := conn.(actions.Rebaser); ok {
		r.Rebase(d.dir)
	}
	v.Set(reflect.ValueOf(Connection{Kind: kinds[0].Name, Connection: conn}))
	for _, p := range conn.Check() {
		at := n
		if node := d.places[join(path, p.Field)]; node != nil && p.Field != "" {
			at = node
		}
		if d.anyUnresolved(at) {
			continue // the mistake is the secret that is not set, which is reported already
		}
		d.report(at, text.Error, "connection", fmt.Sprintf("%s: %s", path, p.Message), p.Suggestion)
	}
}

// anyUnresolved says whether the node, or a node below it, has a ${…} that could not be replaced.
func (d *decoder) anyUnresolved(n *yaml.Node) bool {
	return len(d.unresolved) > 0 &&
		(d.unresolved[n] || n.Alias != nil && d.anyUnresolved(n.Alias) || slices.ContainsFunc(n.Content, d.anyUnresolved))
}

func knownTag(n *yaml.Node) bool {
	switch n.Tag {
	case "", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!seq", "!!map", "!!timestamp", "!!merge", "!":
		return true
	}
	return false
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// report adds a finding about a node; nil is what a flag or a default says.
func (d *decoder) report(n *yaml.Node, severity text.Severity, code, message, suggestion string) {
	add := d.doc.Errorf
	if severity == text.Warning {
		add = d.doc.Warnf
	}
	add(code, d.span(n), suggestion, "%s", message)
}

// errorf adds an error about a node, without a suggestion.
func (d *decoder) errorf(n *yaml.Node, code, format string, args ...any) {
	d.doc.Errorf(code, d.span(n), "", format, args...)
}

// span returns the range of a scalar, or where anything else begins.
func (d *decoder) span(n *yaml.Node) text.Span {
	if n == nil {
		return text.Span{}
	}
	asWritten := *n
	if written, ok := d.written[n]; ok {
		asWritten.Value = written
	}
	if !knownTag(n) {
		asWritten.Kind = 0 // points at the tag, not at the text after it
	}
	at := d.doc.At(&asWritten)
	if asWritten.Kind != yaml.ScalarNode {
		at.To = at.From
	}
	return at
}
