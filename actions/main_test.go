package actions

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain checks that nothing in this package leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
