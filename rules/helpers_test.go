package rules_test

import (
	"strings"

	"bellhop/rules/text"
)

func render(findings []text.Finding, src string) string {
	var b strings.Builder
	if err := text.Render(&b, findings, func(string) []byte { return []byte(src) }, false); err != nil {
		return err.Error()
	}
	return b.String()
}
