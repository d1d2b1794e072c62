package actions

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing in this package leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
