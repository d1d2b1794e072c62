package live

import (
	"strings"
	"sync"

	"bellhop/rules"
)

var (
	fakeMu   sync.Mutex
	fakeSets = map[*rules.Set][]string{}
)

func compile(path string, data []byte) (*rules.File, []rules.Finding) {
	f := &rules.File{Path: path}
	for i, line := range strings.Split(string(data), "\n") {
		if strings.Contains(line, "bookd") {
			return nil, []rules.Finding{{File: path, Line: i + 1, Column: 9, EndLine: i + 1, EndColumn: 14, Severity: rules.Error, Message: `there is no event "bookd"`, Suggestion: "booked"}}
		}
		if _, name, ok := strings.Cut(line, "- name: "); ok {
			f.Rules = append(f.Rules, &rules.Rule{Name: name})
		}
	}
	return f, nil
}

func fakeSet(files []*rules.File) (*rules.Set, []rules.Finding) {
	var out []rules.Finding
	seen := map[string]string{}
	var names []string
next:
	for _, f := range files {
		for i, r := range f.Rules {
			if o, ok := seen[r.Name]; ok {
				out = append(out, rules.Finding{File: f.Path, Line: 2 + 4*i, Column: 11, Severity: rules.Error, Message: "the name is taken by " + o})
				continue next
			}
		}
		for _, r := range f.Rules {
			seen[r.Name] = f.Path
			names = append(names, r.Name)
		}
	}
	// Padding, so that sets are told apart by their address.
	type padded struct {
		s rules.Set
		_ int
	}
	s := &(&padded{}).s
	fakeMu.Lock()
	fakeSets[s] = names
	fakeMu.Unlock()
	return s, out
}

func namesOf(s *rules.Set) []string {
	fakeMu.Lock()
	defer fakeMu.Unlock()
	return fakeSets[s]
}

var newSet = fakeSet
