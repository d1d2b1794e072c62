package rules_test

import (
	"strings"

	"bellhop/rules"
)

func render(findings []rules.Finding, src string) string {
	var b strings.Builder
	if err := rules.Render(&b, findings, func(string) []byte { return []byte(src) }, false); err != nil {
		return err.Error()
	}
	return b.String()
}
