//go:build !linux

package rules_test

import "time"

// took returns how long f runs.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
