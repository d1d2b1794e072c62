package rules_test

import (
	"strings"

	"bellhop/rules/text"
)

func render(findings []text.Finding, src string) string {
	var b strings.Builder
	for _, f := range findings {
		if err := f.Render(&b, []byte(src), false); err != nil {
			return err.Error()
		}
	}
	return b.String()
}
