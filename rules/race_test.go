//go:build race

package rules_test

// raceEnabled says that the race detector is on, which distorts times and memory.
const raceEnabled = true
