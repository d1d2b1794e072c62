package rules

import (
	"testing"

	"bellhop/actions"
)

// An unknown escape tag is found here, before a rule uses its field.
func TestEscapeTagsAreKnown(t *testing.T) {
	t.Parallel()
	for _, kind := range actions.Kinds() {
		for _, f := range actions.Fields(kind) {
			if !escapeModes[f.Escape] {
				t.Errorf("%s.%s: escape:%q is not known", kind.Name, f.Name, f.Escape)
			}
		}
	}
}
