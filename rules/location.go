package rules

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// A LocationFile is what one file describes: a location with connections of its own.
type LocationFile struct {
	Location
	// Connections are its own connections, with their kinds. A rule uses the location's connection in place of a shared one
	// with the same name, and only rules for this location alone can name the others.
	Connections map[string]string
	// Value is whatever the caller wants back from [Set.LocationFile].
	Value any

	file string // its path
	name string // what rules call it: its file without folder and extension
}

// NewLocationFile returns the file that describes l. at is the place of its id.
func NewLocationFile(file string, l *LocationFile, at text.Finding) *File {
	l.file, l.name = file, nameOfLocation(file)
	named := at
	return &File{
		Path: file, people: &Directory{Locations: map[string]Location{l.ID: l.Location}}, location: l,
		listed: []listed{{"locations", l.ID, at}, {"location names", l.name, named}},
	}
}

func nameOfLocation(file string) string {
	base := path.Base(strings.ReplaceAll(file, `\`, "/"))
	return strings.TrimSuffix(base, path.Ext(base))
}

// Location returns what the file says of a location with connections of its own; nil for another file.
func (f *File) Location() *LocationFile { return f.location }

// LocationFile returns the file of a location, nil if it has none.
func (s *Set) LocationFile(id string) *LocationFile { return s.locations[id] }

// forName is the field under which an index looks for the rules of a location. Expressions cannot name it.
const forName = " for"

// names returns what rules call the location of an event.
func (e *Event) locationNames() []string {
	if e.own == nil {
		return []string{e.LocationID}
	}
	return []string{e.LocationID, e.own.name}
}

// isFor reports whether a rule is for the location of an event.
func (rule *Rule) isFor(ev *Event) bool {
	return len(rule.only) == 0 || slices.ContainsFunc(ev.locationNames(), func(name string) bool { return slices.Contains(rule.only, name) })
}

// owns reports whether the location of an event has a connection of its own with a name.
func (e *Event) owns(connection string) bool {
	return e.own != nil && e.own.Connections[connection] != ""
}

// A borrowed is a connection that a rule names and that its locations must have.
type borrowed struct {
	Name, Kind string
	At         text.Finding
}

// A forLocation is a location that a file is for, as it is written.
type forLocation struct {
	Name string
	At   text.Finding
}

var forKeys = []string{"locations"}

// readFor reads `for`, the locations that a file's rules are for.
func readFor(r *text.Document, p text.Pair) (only []forLocation) {
	if p.Value.Kind != yaml.MappingNode {
		r.Errorf("type", r.At(p.Value), "", `"for" takes locations, such as for: { locations: [clinic-north] }, but this is %s`, text.KindName(p.Value))
		return nil
	}
	for _, e := range r.Entries(p.Value, text.Quote("for"), forKeys) {
		items := []*yaml.Node{e.Value}
		if e.Value.Kind == yaml.SequenceNode {
			items = r.Items(e.Value, text.Quote("locations"))
		}
		if len(items) == 0 {
			r.Errorf("empty", r.At(e.Value), "", `"locations" is empty, so the rules of this file would never apply`)
		}
		for _, n := range items {
			if t, ok := r.Scalar(n, text.Quote("locations")); ok {
				only = append(only, forLocation{t.Value, findingAt(r, r.At(n))})
			}
		}
	}
	return only
}

// findingAt returns a finding without words at a place.
func findingAt(r *text.Document, at text.Span) text.Finding {
	line, column, endLine, endColumn := r.Lines(at)
	return text.Finding{File: r.Path(), Line: line, Column: column, EndLine: endLine, EndColumn: endColumn, Severity: text.Error}
}

// joinLocations checks the files that are for certain locations against the files of these. was is the set before: if only the
// file of a location is new, the mistake is there. It returns the files without those that have a mistake.
func joinLocations(files []*File, people *Directory, was *Set) (without []*File, locations map[string]*LocationFile, findings []text.Finding) {
	byName := map[string]*LocationFile{}
	owner := map[*LocationFile]*File{}
	for _, f := range files {
		if l := f.location; l != nil {
			byName[l.ID], byName[l.name], owner[l] = l, l, f
		}
	}
	old := map[*File]bool{}
	for _, f := range was.files {
		old[f] = true
	}
	bad := map[*File]bool{}
	report := func(f *File, at text.Finding, code, suggestion, format string, args ...any) {
		at.Code, at.Suggestion, at.Message = code, suggestion, fmt.Sprintf(format, args...)
		findings, bad[f] = append(findings, at), true
	}
	for _, f := range files {
		for _, only := range f.only {
			l := byName[only.Name]
			if _, listed := people.Locations[only.Name]; l == nil && !listed {
				suggestion := text.Closest(only.Name, text.SortedKeys(byName))
				report(f, only.At, "unknown-location", suggestion, "there is no location %s: neither a file of that name in the folder of locations, nor an id in the directory%s",
					text.Quote(only.Name), text.DidYouMean(suggestion))
				continue
			}
			for _, b := range f.borrowed {
				switch kind := kindOf(l, b.Name); {
				case kind == b.Kind:
				case l != nil && old[f] && !old[owner[l]]:
					report(owner[l], placeOf(owner[l]), "connection", "", "the rules of %s name the connection %s for %s, which this location no longer has", f.Path, text.Quote(b.Name), b.Kind)
				case kind != "":
					report(f, b.At, "connection", "", "the connection %s of the location %s is for %s, not for %s", text.Quote(b.Name), only.Name, kind, b.Kind)
				default:
					report(f, b.At, "connection", "", "there is no connection %s in the configuration, and the location %s has none of its own with this name", text.Quote(b.Name), only.Name)
				}
			}
		}
	}
	locations = map[string]*LocationFile{}
	for _, f := range files {
		if bad[f] {
			continue
		}
		without = append(without, f)
		if f.location != nil {
			locations[f.location.ID] = f.location
		}
	}
	return without, locations, findings
}

func kindOf(l *LocationFile, connection string) string {
	if l == nil {
		return ""
	}
	return l.Connections[connection]
}

// placeOf returns a finding without words at the id of a location's file.
func placeOf(f *File) text.Finding {
	at := f.listed[0].Finding
	at.Severity = text.Error
	return at
}

// forNeeds returns what an index finds the rules of some locations by.
func forNeeds(only []string) []lang.Need {
	if len(only) == 0 {
		return nil
	}
	return lang.NeedOf(lang.Holds, forName, only...)
}
