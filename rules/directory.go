package rules

import (
	"cmp"
	"maps"
	"net/mail"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// A Directory holds what files say of people, calendars and locations, by their ids. It is immutable.
type Directory struct {
	Contacts  map[string]Contact  `json:"contacts" noun:"a contact" doc:"People who book, by their ids on the platform."`
	Users     map[string]User     `json:"users" noun:"a user" doc:"The colleagues, by their ids on the platform."`
	Calendars map[string]Calendar `json:"calendars" noun:"a calendar" doc:"The calendars, by their ids on the platform."`
	Locations map[string]Location `json:"locations" noun:"a location" doc:"The locations, by their ids on the platform."`
}

// has reports whether there is an entry for an object, such as a contact.
func (d *Directory) has(object, id string) (ok bool) {
	if d == nil {
		return false
	}
	switch object {
	case "contact":
		_, ok = d.Contacts[id]
	case "user":
		_, ok = d.Users[id]
	case "calendar":
		_, ok = d.Calendars[id]
	case "location":
		_, ok = d.Locations[id]
	}
	return ok
}

// A listed is an entry of the directory, at the place of its id in a file.
type listed struct {
	key, id string // such as "users" and the id
	text.Finding
}

// directoryKeys are the keys of a file with entries of the directory.
var directoryKeys = func() (names []string) {
	for name := range actions.Keys(reflect.TypeFor[Directory]()) {
		names = append(names, name)
	}
	return names
}()

// ReadDirectory reads what a key of another file says of people, with findings in that file.
func ReadDirectory(r *text.Document, n *yaml.Node, what string) *Directory {
	d := &Directory{}
	for _, p := range r.Entries(n, what, directoryKeys) {
		d.read(r, p)
	}
	return d
}

// read adds what stands below a key of a file, such as users, and returns the entries.
func (d *Directory) read(r *text.Document, p text.Pair) (entries []listed) {
	field, ok := reflect.TypeFor[Directory]().FieldByNameFunc(func(name string) bool { return strings.ToLower(name) == p.Name })
	if !ok || text.IsNull(p.Value) {
		return nil
	}
	all := reflect.ValueOf(d).Elem().FieldByIndex(field.Index)
	if all.IsNil() {
		all.Set(reflect.MakeMap(field.Type))
	}
	noun := field.Tag.Get("noun")
	for _, entry := range r.Entries(p.Value, text.Quote(p.Name), nil) {
		at := r.At(entry.Key)
		if strings.TrimSpace(entry.Name) == "" {
			r.Errorf("id", at, "", "the id of %s is empty", noun)
			continue
		}
		v := reflect.New(field.Type.Elem()).Elem()
		v.FieldByName("ID").SetString(entry.Name)
		if !text.IsNull(entry.Value) {
			readEntry(r, entry.Value, v, noun)
		}
		switch who := v.Addr().Interface().(type) {
		case *Contact:
			who.Name = cmp.Or(who.Name, strings.TrimSpace(who.FirstName+" "+who.LastName))
		case *User:
			who.Name = cmp.Or(who.Name, strings.TrimSpace(who.FirstName+" "+who.LastName))
		}
		all.SetMapIndex(reflect.ValueOf(entry.Name), v)
		line, column, endLine, endColumn := r.Lines(at)
		entries = append(entries, listed{p.Name, entry.Name, text.Finding{File: r.Path(), Line: line, Column: column, EndLine: endLine, EndColumn: endColumn}})
	}
	return entries
}

// readEntry reads the fields of one entry. what is the name people have for it.
func readEntry(r *text.Document, n *yaml.Node, to reflect.Value, what string) {
	fields := map[string]reflect.Value{}
	var known []string
	for f := range to.Type().Fields() {
		if name := f.Tag.Get("json"); f.Tag.Get("doc") != "" && name != "id" {
			fields[name] = to.FieldByIndex(f.Index)
			known = append(known, name)
		}
	}
	for _, p := range r.Entries(n, what, known) {
		v, n := fields[p.Name], text.Resolve(p.Value)
		switch {
		case text.IsNull(n):
		case p.Name == "dnd":
			readOptOut(r, n, to.Addr().Interface().(*Contact))
		case v.Kind() == reflect.Map:
			v.Set(reflect.ValueOf(readCustom(r, n)))
		case v.Kind() == reflect.Slice:
			v.Set(reflect.ValueOf(readTexts(r, n, p.Name)))
		default:
			if t, ok := r.Scalar(n, text.Quote(p.Name)); ok && checkField(r, p.Name, t) {
				v.SetString(strings.TrimSpace(t.Value))
			}
		}
	}
}

// readTexts reads a list of texts, or one text with commas.
func readTexts(r *text.Document, n *yaml.Node, name string) (list []string) {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = r.Items(n, text.Quote(name))
	}
	for _, n := range nodes {
		s, _ := r.Text(n, text.Quote(name))
		for _, part := range strings.Split(s, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
	}
	return list
}

// readCustom reads further fields, whatever they are.
func readCustom(r *text.Document, n *yaml.Node) map[string]any {
	m := map[string]any{}
	for _, p := range r.Entries(n, text.Quote("custom"), nil) {
		m[p.Name] = plainValue(r, p.Value)
	}
	return m
}

// plainValue returns a value of YAML as [DecodePayload] returns the same value of JSON.
func plainValue(r *text.Document, n *yaml.Node) any {
	n = text.Resolve(n)
	var number float64
	switch {
	case n.Kind == yaml.MappingNode:
		return readCustom(r, n)
	case n.Kind == yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i := range list {
			list[i] = plainValue(r, n.Content[i])
		}
		return list
	case text.IsNull(n):
		return nil
	case n.ShortTag() == "!!bool":
		return strings.EqualFold(n.Value, "true")
	case (n.ShortTag() == "!!int" || n.ShortTag() == "!!float") && n.Decode(&number) == nil:
		return number
	}
	return n.Value
}

// channels returns the channels by which a contact can refuse messages.
func channels() []string { return []string{"email", "sms", "whatsapp", "call"} }

// readOptOut reads `dnd`: true for all messages, or a list of channels.
func readOptOut(r *text.Document, n *yaml.Node, c *Contact) {
	if all, ok := text.Bool(n); ok {
		c.DND = all
		return
	}
	if n.Kind == yaml.MappingNode {
		r.WrongType(n, text.Quote("dnd"), "true, false or a list of channels")
		return
	}
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = r.Items(n, text.Quote("dnd"))
	}
	for _, n := range nodes {
		t, ok := r.Scalar(n, text.Quote("dnd"))
		switch {
		case !ok:
		case slices.Contains(channels(), t.Value):
			c.OptOuts = append(c.OptOuts, t.Value)
		default:
			suggestion := cmp.Or(text.Closest(t.Value, channels()), channelWords[strings.ToLower(t.Value)])
			r.Mendf(text.Error, "channel", t, t.Span(0, len(t.Value)), suggestion, "dnd is true, false or some of %s; there is no channel %s%s",
				text.OneOf(channels()), text.Quote(t.Value), text.DidYouMean(suggestion))
		}
	}
}

// channelWords are other words for the channels.
var channelWords = map[string]string{"mail": "email", "e-mail": "email", "text": "sms", "phone": "call", "voice": "call"}

// checkField reports a value that cannot be what its field holds.
func checkField(r *text.Document, name string, t *text.Scalar) bool {
	value := strings.TrimSpace(t.Value)
	wrong := func(code, suggestion, format string, args ...any) bool {
		r.Mendf(text.Error, code, t, t.Span(0, len(t.Value)), suggestion, format, args...)
		return false
	}
	switch name {
	case "email":
		if a, err := mail.ParseAddress(value); err != nil || a.Address != value {
			suggestion := ""
			if err == nil {
				suggestion = a.Address
			}
			return wrong("address", suggestion, "%s is not an e-mail address alone%s", text.Quote(value), text.DidYouMean(suggestion))
		}
	case "timezone":
		if _, ok := lang.LoadZone(value); !ok {
			suggestion := lang.ClosestZone(value)
			return wrong("time-zone", suggestion, "%s is not a time zone%s", text.Quote(value), text.DidYouMean(suggestion))
		}
	case "language":
		if !lang.KnownLanguage(value) {
			message, suggestion := lang.NoLanguage(value)
			return wrong("language", suggestion, "%s", message)
		}
	case "slack":
		if !slackID(value) {
			return wrong("slack", "", "slack takes a member id, such as U024BE7LH, not a name; Slack shows it in the member's profile under Copy member ID")
		}
	}
	return true
}

// slackID reports whether a text is the id of a member of Slack.
func slackID(s string) bool {
	return len(s) > 6 && (s[0] == 'U' || s[0] == 'W') && !strings.ContainsFunc(s, func(c rune) bool { return (c < 'A' || c > 'Z') && (c < '0' || c > '9') })
}

// joinDirectories returns what all files say. An id that stands in two files is an error in the later one, and the set
// then lacks that whole file.
func joinDirectories(files []*File) (all *Directory, without []*File, findings []text.Finding) {
	all = &Directory{}
	owner := map[[2]string]string{}
	for _, f := range files {
		taken := false
		for _, l := range f.listed {
			if other, ok := owner[[2]string{l.key, l.id}]; ok {
				found := l.Finding
				found.Severity, found.Code = text.Error, "duplicate-id"
				found.Message = "there is another entry for " + text.Quote(l.id) + " in " + other
				findings, taken = append(findings, found), true
			}
		}
		if taken {
			continue
		}
		without = append(without, f)
		for _, l := range f.listed {
			owner[[2]string{l.key, l.id}] = f.Path
		}
		if f.people != nil {
			add(&all.Contacts, f.people.Contacts)
			add(&all.Users, f.people.Users)
			add(&all.Calendars, f.people.Calendars)
			add(&all.Locations, f.people.Locations)
		}
	}
	return all, without, findings
}

func add[T any](to *map[string]T, from map[string]T) {
	if *to == nil && len(from) > 0 {
		*to = map[string]T{}
	}
	maps.Copy(*to, from)
}
