package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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

const (
	maxNesting = 32
	maxNodes   = 50_000 // with aliases expanded, so that a few lines cannot expand to billions
)

// A decoder decodes one file into a configuration and collects the findings.
type decoder struct {
	file     string
	dir      string
	env      Env
	cfg      *Config
	findings []text.Finding
	found    map[text.Severity]int

	doc        *text.Document        // the file, for the places of findings
	places     map[string]*yaml.Node // the node at a path such as sources.hoopai.verify
	written    map[*yaml.Node]string // scalars with ${…}: the text as written
	unresolved map[*yaml.Node]bool   // scalars in which a ${…} could not be replaced
	nodes      int
	stopped    bool
}

func (d *decoder) relative(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}

func (d *decoder) decodeFile(data []byte) {
	d.doc = text.New(d.file, "configuration", data, nil)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return // an empty file says nothing
	case err != nil:
		d.syntax(data, err)
		return
	}
	if err := dec.Decode(&second); err == nil {
		d.errorf(&second, "second-document", "a configuration file has one document, and this is a second one")
		return
	} else if !errors.Is(err, io.EOF) {
		d.syntax(data, err)
		return
	}
	d.expand(&doc)
	d.value(doc.Content[0], reflect.ValueOf(d.cfg).Elem(), "", 0)
}

// syntax reports what cannot be read as YAML, in the same words as for rule files. It drops the suggestions, because
// they repeat text of the file, which can be a secret.
func (d *decoder) syntax(data []byte, err error) {
	for _, f := range text.ExplainYAML(d.file, data, nil, err) {
		f.Suggestion = ""
		d.findings = append(d.findings, f)
		d.found[f.Severity]++
	}
}

// value decodes a node into v. v keeps its default if the node is null or cannot be read. path names the value, such as
// delivery.max_age.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, depth int) {
	if d.tooMuch(n, depth) {
		return
	}
	if n.Kind == yaml.AliasNode {
		d.value(n.Alias, v, path, depth+1)
		return
	}
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
		d.connection(n, v, path, depth)
	case t == reflect.TypeFor[time.Duration]():
		d.duration(n, v, path)
	case v.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		d.value(n, p.Elem(), path, depth+1)
		v.Set(p)
	case v.Kind() == reflect.String:
		if d.scalar(n, path, "a text") {
			v.SetString(n.Value)
		}
	case v.CanInt():
		if !d.scalar(n, path, "a whole number") {
			return
		}
		i, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 10, t.Bits())
		if err != nil {
			d.wrong(n, path, "a whole number")
			return
		}
		v.SetInt(i)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path, depth)
	case v.Kind() == reflect.Map:
		d.mapping(n, v, path, depth)
	case v.Kind() == reflect.Struct:
		d.structure(n, v, path, depth)
	default:
		panic(fmt.Sprintf("config: %s has the type %s, which is not decoded", named(path), t))
	}
}

// tooMuch counts the node and says whether decoding must stop because a limit is reached. It reports this once.
func (d *decoder) tooMuch(n *yaml.Node, depth int) bool {
	if d.nodes++; d.nodes <= maxNodes && depth <= maxNesting {
		return false
	}
	if !d.stopped {
		d.stopped = true
		d.errorf(n, "too-large", "this is nested too deeply, or refers to itself or to others too often")
	}
	return true
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

func named(path string) string {
	if path == "" {
		return "the configuration"
	}
	return path
}

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
func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, depth int) {
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
		if d.nodes > maxNodes {
			return
		}
		if text.IsNull(item) {
			continue
		}
		e := reflect.New(v.Type().Elem()).Elem()
		at := path
		if n.Kind == yaml.SequenceNode {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		d.value(item, e, at, depth+1)
		out = reflect.Append(out, e)
	}
	v.Set(out)
	d.places[path] = n
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string, depth int) {
	pairs, ok := d.pairs(n, path)
	if !ok {
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, p := range pairs {
		if d.nodes > maxNodes {
			return
		}
		e := reflect.New(v.Type().Elem()).Elem()
		at := join(path, p.key.Value)
		d.value(p.value, e, at, depth+1)
		if e.Type() == reflect.TypeFor[Connection]() && e.IsZero() {
			continue // it has no kind, which is reported already
		}
		v.SetMapIndex(reflect.ValueOf(p.key.Value), e)
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string, depth int) {
	names := map[string]string{} // of each key and each second name, the key
	fields := map[string]reflect.Value{}
	var known []string
	for name, f := range actions.Keys(v.Type()) {
		if f.Tag.Get("short") == "true" && n.Kind == yaml.ScalarNode {
			d.value(n, v.FieldByIndex(f.Index), path, depth+1)
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
		name, ok := names[p.key.Value]
		if !ok {
			d.unknownKey(p.key, path, text.Closest(p.key.Value, known), known)
			continue
		}
		if before, twice := said[name]; twice {
			d.errorf(p.key, "duplicate-key", "%s means the same as %s; keep one", p.key.Value, before)
			continue
		}
		said[name] = p.key.Value
		d.value(p.value, fields[name], join(path, name), depth+1)
	}
}

func (d *decoder) unknownKey(key *yaml.Node, path, suggestion string, known []string) {
	d.report(key, text.Error, "unknown-key", fmt.Sprintf("%s has no key %q%s%s",
		named(path), key.Value, text.DidYouMean(suggestion), text.ListIfNone(suggestion, known)), suggestion)
}

// A pair is one entry of a mapping.
type pair struct{ key, value *yaml.Node }

// pairs returns the entries of a mapping: first its own, then those of merge keys (<<). It reports a node that is not
// a mapping, and keys that are given twice.
func (d *decoder) pairs(n *yaml.Node, path string) ([]pair, bool) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "keys with values")
		return nil, false
	}
	var own []pair
	seen := map[string]bool{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind == yaml.AliasNode && key.Alias.Kind == yaml.ScalarNode:
			key = key.Alias
		case key.Kind != yaml.ScalarNode:
			d.errorf(key, "wrong-type", "a key must be a text")
			continue
		}
		switch {
		case key.Tag == "!!merge":
			merged = append(merged, value)
		case seen[key.Value]:
			d.errorf(key, "duplicate-key", "%s is given twice", join(path, key.Value))
		default:
			seen[key.Value] = true
			own = append(own, pair{key, value})
		}
	}
	for _, m := range merged {
		d.merge(m, seen, &own, 0)
	}
	return own, true
}

// merge adds the entries of a merge key's value whose keys are not there yet.
func (d *decoder) merge(n *yaml.Node, seen map[string]bool, into *[]pair, depth int) {
	if d.tooMuch(n, depth) {
		return
	}
	switch n.Kind {
	case yaml.AliasNode:
		d.merge(n.Alias, seen, into, depth+1)
	case yaml.SequenceNode:
		for _, c := range n.Content {
			d.merge(c, seen, into, depth+1)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if key.Tag == "!!merge" {
				d.merge(value, seen, into, depth+1)
			} else if key.Kind == yaml.ScalarNode && !seen[key.Value] {
				seen[key.Value] = true
				*into = append(*into, pair{key, value})
			}
		}
	default:
		d.errorf(n, "wrong-type", "<< takes keys with values, by their anchor")
	}
}

// connection decodes an entry of `connections:`. The keys say which kind of action it is for. It also reports what the
// connection's own check finds.
func (d *decoder) connection(n *yaml.Node, v reflect.Value, path string, depth int) {
	pairs, ok := d.pairs(n, path)
	if !ok {
		return
	}
	var kinds []actions.Kind
	var keys, hints []string
	for _, k := range actions.Kinds() {
		hints = append(hints, fmt.Sprintf("%s (%s)", strings.Join(k.ConnectionKeys, " or "), k.Name))
		keys = append(keys, k.ConnectionKeys...)
		if slices.ContainsFunc(pairs, func(p pair) bool { return slices.Contains(k.ConnectionKeys, p.key.Value) }) {
			kinds = append(kinds, k)
		}
	}
	switch len(kinds) {
	case 0:
		for _, p := range pairs {
			if s := text.Closest(p.key.Value, keys); s != "" {
				d.unknownKey(p.key, path, s, nil)
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
	d.structure(n, reflect.ValueOf(conn).Elem(), path, depth)
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
	if len(d.unresolved) == 0 {
		return false
	}
	seen := map[*yaml.Node]bool{} // an alias can refer to a node around it
	var below func(*yaml.Node) bool
	below = func(n *yaml.Node) bool {
		if n == nil || seen[n] {
			return false
		}
		seen[n] = true
		return d.unresolved[n] || below(n.Alias) || slices.ContainsFunc(n.Content, below)
	}
	return below(n)
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
