package lsp

import (
	"path/filepath"
	"strings"
	"testing"
)

// For test files there is the same help as for rule files: findings as of bellhop test, completions and explanations.
func TestFilesOfTests(t *testing.T) {
	t.Parallel()
	const tests = `tests:
  - name: announced
    event: { type: AppointmentCreate, appointment: { id: a1, calendarId: c1, dateAdded: "2026-12-01T09:00:00Z" } }
    state: { appointmentStatus: new }
    expect:
      fires: [desc]
      steps:
        - rule: desk
          slack: { txt: x }
`
	dir := desk(t, map[string]string{"rules/desk.yaml": good, "rules/desk.test.yaml": tests})
	s := newSession(t, dir)
	uri := uriOf(filepath.Join(dir, "rules", "desk.test.yaml"))
	s.open(uri, tests)
	found := s.until(uri, 1)
	var messages []string
	for _, d := range found {
		messages = append(messages, d.Message)
	}
	all := strings.Join(messages, "\n")
	for _, want := range []string{`there is no rule "desc" among those tested; did you mean "desk"?`, `"slack" has no "txt"; did you mean "text"?`} {
		if !strings.Contains(all, want) {
			t.Errorf("the editor is told\n%s\nwithout %s", all, want)
		}
	}
	mended := strings.NewReplacer("[desc]", "[desk]", "txt", "text").Replace(tests)
	s.change(uri, 2, map[string]any{"text": mended})
	if left := s.until(uri, 2); len(left) > 0 {
		t.Error(left)
	}
	for version, c := range []struct{ before, after, want string }{
		{"tests:\n  - name: a\n    ev", "", "event"},
		{"tests:\n  - name: a\n    expect:\n      sk", "", "skipped"},
		{"tests:\n  - name: a\n    expect:\n      fires: [de", "]\n", "desk"},
		{"tests:\n  - name: a\n    expect:\n      held:\n        - rule: desk\n          un", "\n", "until"},
		{"tests:\n  - name: a\n    expect:\n      steps:\n        - rule: desk\n          slack: { te", " }\n", "text"},
		{"tests:\n  - name: a\n    state: { appointmentStatus: con", " }\n", "confirmed"},
		{"tests:\n  - name: a\n    state: { dele", " }\n", "deleted"},
	} {
		s.change(uri, version+3, map[string]any{"text": c.before + c.after})
		at := positionOf(c.before, len(c.before))
		got := string(s.call("textDocument/completion", map[string]any{"textDocument": map[string]any{"uri": uri}, "position": at}))
		if !strings.Contains(got, `"label":"`+c.want+`"`) {
			t.Errorf("behind %q %s is not offered: %s", c.before, c.want, got)
		}
	}
	unsaved := uriOf(filepath.Join(dir, "new", "folder", "x.test.yaml"))
	s.open(unsaved, "rules:\n  - whatever: 1\n")
	if found := s.until(unsaved, 1); len(found) != 1 || !strings.Contains(found[0].Message, `"rules" takes a text`) {
		t.Errorf("of a file in a folder that is not there yet the editor is told %+v", found)
	}
	s.change(uri, 20, map[string]any{"text": mended})
	for _, c := range []struct{ word, want string }{{"event:", "The webhook that is received"}, {"fires:", "The rules that fire"}, {"state:", "What was known"}} {
		at := positionOf(mended, strings.Index(mended, c.word)+1)
		got := string(s.call("textDocument/hover", map[string]any{"textDocument": map[string]any{"uri": uri}, "position": at}))
		if !strings.Contains(got, c.want) {
			t.Errorf("of %s the editor says %s", c.word, got)
		}
	}
}
