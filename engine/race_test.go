//go:build race

package engine_test

// raceEnabled says that the race detector is on, with which everything takes many times as long.
const raceEnabled = true
