package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bellhop/engine/config"
	"bellhop/engine/verify"
	"bellhop/rules"
)

// TestREADME checks that the configuration and the rule in the README have no mistakes.
func TestREADME(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples []string
	for i, part := range strings.Split(string(data), "```") {
		if text, ok := strings.CutPrefix(part, "yaml\n"); ok && i%2 == 1 {
			examples = append(examples, text)
		}
	}
	var configuration, rule string
	for _, text := range examples {
		switch {
		case strings.HasPrefix(text, "rules:\n"):
			rule = text
		case strings.HasPrefix(text, "listen:"):
			configuration = text
		}
	}
	if rule == "" || configuration == "" {
		t.Fatalf("the README lacks a rule or a configuration among its %d examples", len(examples))
	}
	file := filepath.Join(t.TempDir(), "bellhop.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, findings, err := config.Load(file, config.Env{CheckVerify: verify.Check, Lookup: func(name string) (string, bool) { return "a-value-of-" + name, true }})
	if err != nil {
		t.Fatal(err)
	}
	_, more := rules.Compile("README.md", []byte(rule), cfg.RuleOptions())
	for _, f := range append(findings, more...) {
		t.Errorf("%s:%d:%d: %s: %s", f.File, f.Line, f.Column, f.Severity, f.Message)
	}
}
