package config

import (
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules"
	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// A Location is one file of the folder of locations: a business of its own, with connections of its own.
type Location struct {
	ID          string                `json:"id" doc:"The platform's id of the location." example:"0007BWpSzSwfiuSl0tR2"`
	Name        string                `json:"name" doc:"What the location is called." example:"Clinic North"`
	Timezone    string                `json:"timezone" doc:"The location's time zone." example:"Europe/London"`
	Language    string                `json:"language" doc:"The location's language, such as de." example:"de"`
	Email       string                `json:"email" doc:"The location's e-mail address." example:"north@example.com"`
	Phone       string                `json:"phone" doc:"The location's telephone number." example:"+442079460000"`
	Address     string                `json:"address" doc:"Where the location is." example:"1 Harbour Street"`
	Connections map[string]Connection `json:"connections" doc:"Its own connections. One with the name of a shared connection takes its place for this location."`

	secrets []string
}

// Connection returns a connection of the location's own; nil if it has none with this name.
func (l *Location) Connection(name string) actions.Connection { return l.Connections[name].Connection }

// Secrets returns the texts that must never appear in a log, an error, a receipt or an answer.
func (l *Location) Secrets() []string {
	secrets := l.secrets
	for _, conn := range l.Connections {
		secrets = append(secrets, conn.Secrets()...)
	}
	return secrets
}

// locationFile compiles a file of the folder of locations; ok is false for another file. path is as it is, or relative to the
// folder of rules.
func (c *Config) locationFile(path string, data []byte) (f *rules.File, findings []text.Finding, ok bool) {
	at := path
	if !isIn(c.Locations, at) {
		if at = filepath.Join(c.Rules, filepath.FromSlash(path)); !isIn(c.Locations, at) {
			return nil, nil, false
		}
	}
	l := &Location{}
	d := &decoder{
		env: c.env, cfg: &Config{}, dir: filepath.Dir(at), doc: text.New(path, "location file", data, nil),
		places: map[string]*yaml.Node{}, written: map[*yaml.Node]string{}, unresolved: map[*yaml.Node]bool{},
	}
	root := d.doc.Root()
	if root != nil && !text.IsNull(root) {
		d.expand(root)
		d.value(root, reflect.ValueOf(l).Elem(), "")
	}
	l.secrets = d.cfg.secrets
	d.location(c, l)
	redactor := actions.NewRedactor(l.Secrets())
	findings = d.doc.Findings()
	for i, f := range findings {
		findings[i].Message, findings[i].Suggestion = redactor.Redact(f.Message), redactor.Redact(f.Suggestion)
	}
	if d.doc.Errors() > 0 {
		return nil, findings, true
	}
	line, column := d.doc.Position(d.place("id"))
	kinds := map[string]string{}
	for name, conn := range l.Connections {
		kinds[name] = conn.Kind
	}
	f = rules.NewLocationFile(path, &rules.LocationFile{
		Location:    rules.Location{ID: l.ID, Name: l.Name, Timezone: l.Timezone, Language: l.Language, Email: l.Email, Phone: l.Phone, Address: l.Address},
		Connections: kinds, Value: l,
	}, text.Finding{File: path, Line: line, Column: column, EndLine: line, EndColumn: column + len(l.ID)})
	return f, findings, true
}

// location checks what a file says of a location.
func (d *decoder) location(c *Config, l *Location) {
	if strings.TrimSpace(l.ID) == "" && d.doc.Errors() == 0 {
		d.doc.Errorf("missing-key", text.Span{}, "", "this file does not say which location it is about: id: and the platform's id of the location")
	}
	if l.Timezone != "" && !d.skip("timezone") {
		if _, err := time.LoadLocation(l.Timezone); err != nil || strings.EqualFold(l.Timezone, "local") {
			suggestion := lang.ClosestZone(l.Timezone)
			d.report(d.place("timezone"), text.Error, "time-zone", text.Quote(l.Timezone)+" is not a time zone"+text.DidYouMean(suggestion), suggestion)
		}
	}
	if l.Language != "" && !lang.KnownLanguage(l.Language) && !d.skip("language") {
		message, suggestion := lang.NoLanguage(l.Language)
		d.report(d.place("language"), text.Error, "language", message, suggestion)
	}
	for _, name := range text.SortedKeys(l.Connections) {
		if shared, ok := c.Connections[name]; ok && shared.Kind != l.Connections[name].Kind {
			d.find("connections."+name, "wrong-kind", "the shared connection %s is for %s, and this one is for %s; rules could not tell which is meant", name, shared.Kind, l.Connections[name].Kind)
		}
	}
}

// isIn reports whether a path is below a folder.
func isIn(folder, path string) bool {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return false
	}
	if path, err = filepath.Abs(path); err != nil {
		return false
	}
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != "." && filepath.IsLocal(rel)
}
