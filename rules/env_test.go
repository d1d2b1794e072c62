package rules

import (
	"slices"
	"testing"
	"time"
)

// The environment has exactly the names that the checker accepts, and an index reads the same values.
func TestEnvironmentFitsItsTypes(t *testing.T) {
	t.Parallel()
	ev := &Event{People: People{Users: []User{{ID: "u1"}}}}
	env := newRun(ev, time.Time{}).Values
	known := map[string]bool{}
	for name := range world.Variables {
		if known[name] = true; slices.Contains(world.Lazy, name) {
			env[name] = ev.lazyValue(name)
		}
	}
	for name, object := range world.Objects {
		for field := range object.Fields {
			if name+"."+field == historyName {
				if _, ok := ev.lazyValue(historyName).([]any); !ok {
					t.Errorf("%s is not in the environment", historyName)
				}
				continue
			}
			known[name+"."+field] = true
			if valueOf(name+"."+field)(ev) == nil && field != "custom" {
				t.Errorf("an index cannot read %s.%s", name, field)
			}
		}
		if object.Lazy {
			for field, v := range ev.lazyValue(name).(map[string]any) {
				env[name+"."+field] = v
			}
		}
	}
	for name := range env {
		if !known[name] && name[0] != ' ' { // the machine itself
			t.Errorf("%s is in the environment and has no type", name)
		}
	}
	for name := range known {
		if _, ok := env[name]; !ok {
			t.Errorf("%s has a type and is not in the environment", name)
		}
	}
	user := whole(&ev.Users[0], userFieldValues)
	for field := range world.Objects["user"].Fields {
		if _, ok := user[field]; !ok {
			t.Errorf("an element of users lacks %s", field)
		}
	}
}
