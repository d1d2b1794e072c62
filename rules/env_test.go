package rules

import (
	"testing"
	"time"
)

// The environment has exactly the names that the checker accepts.
func TestEnvironmentFitsItsTypes(t *testing.T) {
	t.Parallel()
	env := newRun(&Event{}, time.Time{}).Values
	known := map[string]bool{}
	for name := range world.Variables {
		known[name] = true
	}
	for name, object := range world.Objects {
		for field := range object.Fields {
			known[name+"."+field] = true
		}
	}
	known["raw"] = false // decoded on first use
	for name := range env {
		if !known[name] && name[0] != ' ' { // the machine itself
			t.Errorf("%s is in the environment and has no type", name)
		}
	}
	for name, wanted := range known {
		if _, ok := env[name]; wanted && !ok {
			t.Errorf("%s has a type and is not in the environment", name)
		}
	}
	for _, field := range AppointmentFields() {
		if _, ok := env["appointment."+field]; !ok {
			t.Errorf("appointment.%s is missing", field)
		}
	}
}
