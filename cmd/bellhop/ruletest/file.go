package ruletest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"bellhop/engine/config"
	"bellhop/engine/decide"
	"bellhop/engine/payload"
	"bellhop/rules"
	"bellhop/rules/live"
	"bellhop/rules/text"
)

// A file is one test file after reading.
type file struct {
	path  string
	data  []byte
	doc   *text.Document
	zone  *time.Location
	rules []ruleRef // the value of `rules:`
	cases []*testCase
}

// A ruleRef is a rule file or a folder that a test file names.
type ruleRef struct {
	path string
	node *yaml.Node
}

// A testCase is one test. A broken one has mistakes, and is not run.
type testCase struct {
	name         string
	line, column int
	node         *yaml.Node
	broken       bool

	event  *rules.Event
	state  *decide.Memory
	now    time.Time
	expect expectation
}

// read reads a test file. Its mistakes are among the findings of the file's document.
func (r *Runner) read(path string, data []byte) *file {
	doc, root := text.Read(path, "test file", data, nil)
	f := &file{path: path, data: data, doc: doc, zone: cmp.Or(r.options.Rules.Zone, time.UTC)}
	if root == nil {
		return f
	}
	names := map[string]int{}
	for _, e := range doc.Entries(root, "a test file", namesOf(fileKeys(), nil)) {
		switch e.Name {
		case "rules":
			f.readRefs(e.Value)
		case "tests":
			if text.IsNull(e.Value) {
				continue
			}
			for _, n := range doc.Items(e.Value, `"tests"`) {
				if c := f.readCase(n, names); c != nil {
					f.cases = append(f.cases, c)
				}
			}
		}
	}
	return f
}

func (f *file) readRefs(n *yaml.Node) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = f.doc.Items(n, `"rules"`)
	}
	for _, item := range items {
		if path, ok := f.doc.Text(item, `"rules"`); ok {
			f.rules = append(f.rules, ruleRef{f.beside(path), item})
		}
	}
}

// beside returns a path that is relative to the test file, as a path relative to the working directory.
func (f *file) beside(path string) string {
	path = filepath.FromSlash(path)
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(f.path), path)
}

// underTest returns the paths of the rule files that the file tests. If one cannot be found, it adds a finding and ok is
// false.
func (f *file) underTest() (paths []string, ok bool) {
	refs := f.rules
	if len(refs) == 0 {
		if namesake := Namesake(f.path); namesake != "" {
			return []string{namesake}, true
		}
		refs = []ruleRef{{path: filepath.Dir(f.path)}}
	}
	before := f.doc.Errors()
	for _, ref := range refs {
		info, err := os.Stat(ref.path)
		switch {
		case err != nil && ref.node == nil: // the folder of a file that an editor has not saved yet
			return nil, false
		case err != nil:
			f.doc.ErrorAt("not-found", ref.node, "", "there is no file or folder %s", text.Quote(ref.path))
		case info.IsDir():
			names, err := live.Paths(ref.path)
			if err != nil {
				f.doc.ErrorAt("unreadable", ref.node, "", "%v", err)
			}
			for _, name := range names {
				paths = append(paths, filepath.Join(ref.path, filepath.FromSlash(name)))
			}
		default:
			paths = append(paths, ref.path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), f.doc.Errors() == before
}

// Namesake returns the rule file that a test file is named after, such as desk.yaml in the folder of desk.test.yaml. It
// returns "" if there is no such file.
func Namesake(test string) string {
	base := strings.TrimSuffix(test, filepath.Ext(test))
	base = base[:len(base)-len(filepath.Ext(base))]
	for _, ext := range []string{".yaml", ".yml"} {
		if info, err := os.Stat(base + ext); err == nil && info.Mode().IsRegular() {
			return base + ext
		}
	}
	return ""
}

func (f *file) readCase(n *yaml.Node, names map[string]int) *testCase {
	doc := f.doc
	before := doc.Errors()
	c := &testCase{node: n}
	c.line, c.column = doc.Position(n)
	if n.Kind != yaml.MappingNode {
		doc.WrongType(n, "a test", "name, event and expect")
		return nil
	}
	at := map[string]text.Pair{}
	for _, e := range doc.Entries(n, "a test", namesOf(testKeys(), nil)) {
		at[e.Name] = e
	}
	if e, ok := at["name"]; ok {
		if c.name, ok = doc.Text(e.Value, `"name"`); ok {
			line, _ := doc.Position(e.Value)
			if first, taken := names[c.name]; taken {
				doc.ErrorAt("duplicate-test", e.Value, "", "there is another test named %s, in line %d", text.Quote(c.name), first)
			} else {
				names[c.name] = line
			}
		}
	}
	missing := func(key, why string) {
		if _, ok := at[key]; !ok && doc.Errors() == before { // a misspelt key is already reported
			where := n
			if e, ok := at["name"]; ok {
				where = e.Value
			}
			doc.ErrorAt("missing-key", where, "", "this test has no %q%s", key, why)
		}
	}
	missing("name", "; every test needs one of its own")
	missing("event", ", which is the file of an event or the event itself")
	f.readEvent(c, at)
	if e, ok := at["state"]; ok && c.event != nil {
		f.readState(c, e)
	}
	if e, ok := at["people"]; ok && c.event != nil && !text.IsNull(e.Value) {
		c.event.Answers = rules.ReadDirectory(doc, e.Value, text.Quote("people"))
	}
	if e, ok := at["history"]; ok && c.event != nil && !text.IsNull(e.Value) {
		list := f.readHistory(e)
		c.event.History = func(string) ([]rules.Appointment, error) { return list, nil }
	}
	if e, ok := at["expect"]; ok {
		c.expect.key = e.Key
		c.expect.read(f, e.Value)
	}
	c.broken = doc.Errors() > before
	return c
}

// readEvent builds the event, as the server would from what `event` and `with` say.
func (f *file) readEvent(c *testCase, at map[string]text.Pair) {
	e, ok := at["event"]
	if !ok {
		return
	}
	source := config.DefaultSource
	if s, ok := at["source"]; ok {
		if source, ok = f.doc.Text(s.Value, `"source"`); !ok {
			return
		}
	}
	body, ok := f.payload(e.Value, `"event"`)
	if !ok {
		return
	}
	if with, ok := at["with"]; ok && !text.IsNull(with.Value) {
		if body, ok = f.override(body, with.Value); !ok {
			return
		}
	}
	ev, err := payload.Normalise(source, body, time.Time{}, f.zone)
	if err != nil {
		f.doc.ErrorAt("event", e.Value, "", "%v", err)
		return
	}
	if n, ok := at["now"]; ok {
		if c.now, ok = f.moment(n.Value, `"now"`); !ok {
			return
		}
	} else if c.now = cmp.Or(ev.SentAt, ev.Appointment.DateUpdated, ev.Appointment.DateAdded); c.now.IsZero() {
		f.doc.ErrorAt("missing-key", e.Value, "", `this event does not say when it was sent, so the test needs "now", such as now: 2026-12-01T09:00:00Z`)
		return
	}
	ev.ReceivedAt = c.now
	c.event = ev
}

// payload returns the body of an event. The node has the name of a file, or the body itself.
func (f *file) payload(n *yaml.Node, what string) ([]byte, bool) {
	if n.Kind == yaml.MappingNode {
		body, err := json.Marshal(plain(n))
		if err != nil {
			f.doc.ErrorAt("event", n, "", "this event cannot be written as JSON")
		}
		return body, err == nil
	}
	name, ok := f.doc.Text(n, what)
	if !ok {
		return nil, false
	}
	path := f.beside(name)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.doc.ErrorAt("not-found", n, suggestFile(path, name), "there is no file %s%s", text.Quote(path), text.DidYouMean(suggestFile(path, name)))
		return nil, false
	case err == nil && !info.Mode().IsRegular():
		err = errors.New("it is not a regular file")
	case err == nil && info.Size() > maxEvent:
		err = fmt.Errorf("it is larger than %d MiB", maxEvent>>20)
	}
	var body []byte
	if err == nil {
		body, err = os.ReadFile(path)
	}
	if err != nil {
		f.doc.ErrorAt("unreadable", n, "", "%s cannot be read: %v", text.Quote(path), live.WithoutPath(err))
		return nil, false
	}
	return body, true
}

// maxEvent is the largest size of an event file, in bytes. It is the same as for a webhook.
const maxEvent = 1 << 20

// suggestFile returns the file that a misspelt name was probably meant to be, with the same folder as name. It returns
// "" if there is none.
func suggestFile(path, name string) string {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	near := text.Closest(filepath.Base(path), names)
	if near == "" {
		return ""
	}
	return name[:len(name)-len(filepath.Base(filepath.FromSlash(name)))] + near
}

// override changes the payload at the paths in `with`.
func (f *file) override(body []byte, with *yaml.Node) ([]byte, bool) {
	var root map[string]any
	if err := decode(body, &root); err != nil || root == nil {
		return body, true // not an object, which is reported when it is normalised
	}
	before := f.doc.Errors()
	for _, e := range f.doc.Entries(with, `"with"`, nil) {
		if problem, suggestion := set(root, strings.Split(e.Name, "."), plain(e.Value)); problem != "" {
			f.doc.ErrorAt("path", e.Key, suggestion, "%s%s", problem, text.DidYouMean(suggestion))
		}
	}
	changed, err := json.Marshal(root)
	return changed, err == nil && f.doc.Errors() == before
}

// set puts a value into the payload. If the path is probably a mistake, it returns the problem and, if there is one, a
// path to suggest.
func set(in map[string]any, path []string, value any) (problem, suggestion string) {
	whole := strings.Join(path, ".")
	for i, key := range path {
		if key == "" {
			return text.Quote(whole) + " is not a path such as appointment.title", ""
		}
		if _, ok := in[key]; !ok {
			if near := misplaced(in, key, i == 0); near != "" {
				return "the event has no " + text.Quote(whole), strings.Join(slices.Concat(path[:i], []string{near}, path[i+1:]), ".")
			}
		}
		if i == len(path)-1 {
			in[key] = value
			return "", ""
		}
		switch next := in[key].(type) {
		case map[string]any:
			in = next
		case nil:
			fresh := map[string]any{}
			in[key] = fresh
			in = fresh
		default:
			return fmt.Sprintf("%s holds no fields in this event", text.Quote(strings.Join(path[:i+1], "."))), ""
		}
	}
	return "", ""
}

// misplaced returns the key that was probably meant by a key that an object of the payload lacks. It returns "" if the
// key is probably right: new keys are allowed, because payloads leave out empty fields.
func misplaced(in map[string]any, key string, top bool) string {
	fields := rules.AppointmentFields()
	if top && slices.Contains(fields, key) {
		for _, wrapper := range []string{"appointment", "data", "body", "calendar"} {
			if _, ok := in[wrapper].(map[string]any); ok {
				return wrapper + "." + key
			}
		}
	}
	known := slices.Sorted(maps.Keys(in))
	if _, ok := in["calendarId"]; ok { // an appointment, which can lack some of its fields
		if slices.Contains(fields, key) {
			return ""
		}
		known = append(known, fields...)
	}
	return text.Closest(key, known)
}

// moment reads a time. A time without an offset is in the configured zone.
func (f *file) moment(n *yaml.Node, what string) (time.Time, bool) {
	written, ok := f.doc.Text(n, what)
	if !ok {
		return time.Time{}, false
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, written); err == nil {
			return t, true
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, written, f.zone); err == nil {
			return t, true
		}
	}
	f.doc.ErrorAt("time", n, "", "%s is not a time, such as 2026-12-01T09:00:00Z", text.Quote(written))
	return time.Time{}, false
}
