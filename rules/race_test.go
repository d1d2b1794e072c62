//go:build race

package rules_test

// raceEnabled says that the race detector is on, under which times and memory say nothing.
const raceEnabled = true
