package live

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bellhop/rules"
)

// greeting returns what the rule sends about an appointment of a colleague.
func greeting(s Snapshot) string {
	ev := &rules.Event{ID: "e", Type: rules.Create, On: []string{rules.Booked}, Appointment: rules.Appointment{ID: "a", AssignedUserID: "u1"}}
	matches := s.Set.Match(ev, time.Time{})
	if len(matches) != 1 || len(matches[0].Steps) != 1 {
		return ""
	}
	return string(matches[0].Steps[0].Request)
}

// A folder of people beside the rules is watched, checked and kept as they are.
func TestFolderOfPeople(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir, people := filepath.Join(root, "rules"), filepath.Join(root, "directory")
	const path = "../directory/users.yaml"
	write(t, dir, "desk.yaml", "rules:\n  - name: desk\n    on: booked\n    then:\n      - slack: { channel: \"#desk\", text: \"For {{ user.name ?? 'nobody' }}\" }\n")
	shelf := newShelf()
	o := Options{Dir: dir, Also: []string{people}, Good: shelf}
	b := watch(t, o)
	says := func(text string) func(Snapshot) bool {
		return func(s Snapshot) bool { return greeting(s) == `{"channel":"#desk","text":"For `+text+`"}` }
	}
	b.until("without a folder", says("nobody"))
	write(t, people, "users.yaml", "users:\n  u1: { name: First }\n")
	s := b.until("a new folder", says("First"))
	if f := status(s, path); f.Status != OK || f.People != 1 || len(s.Files) != 2 {
		t.Errorf("files are\n%s", show(s))
	}
	write(t, people, "users.yaml", "users:\n  u1: { nam: Second }\n")
	s = b.until("a mistake", failed(path))
	if f := status(s, path); !says("First")(s) || !f.InForce || f.Findings[0].Place() != path+":2:9" {
		t.Errorf("says %s; %+v", greeting(s), f)
	}
	b.stop()

	b = watch(t, o) // the good version is kept over a restart
	s = b.until("after a restart", failed(path))
	if !says("First")(s) {
		t.Errorf("after a restart, it says %s", greeting(s))
	}
	write(t, people, "users.yaml", "users:\n  u1: { name: Third }\n")
	b.until("mended", says("Third"))
	do(t, os.RemoveAll(people))
	s = b.until("the folder is gone", failed(path))
	if f := status(s, path); !says("Third")(s) || !strings.Contains(f.Error, "the folder "+people+" is gone; if that is meant, leave an empty one") {
		t.Errorf("says %s; %+v", greeting(s), f)
	}
	do(t, os.Mkdir(people, 0o755))
	b.until("an empty folder", says("nobody"))
}

// A folder inside the folder of rules is read once.
func TestFolderOfPeopleWithin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "desk.yaml", ruleFile("desk"))
	write(t, dir, "directory/users.yaml", "users:\n  u1: { name: First }\n")
	b := watch(t, Options{Dir: dir, Also: []string{filepath.Join(dir, "directory")}})
	if s := b.f.Snapshot(); len(s.Files) != 2 || status(s, "directory/users.yaml").Status != OK {
		t.Errorf("files are\n%s", show(s))
	}
}
