package receive_test

import (
	"os"
	"testing"

	"bellhop/engine/store/storetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	storetest.Stop()
	os.Exit(code) //nolint:forbidigo // TestMain must
}
