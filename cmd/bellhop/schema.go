package main

import (
	"github.com/spf13/cobra"

	"bellhop/cmd/bellhop/ruletest"
	"bellhop/engine/config"
	"bellhop/rules"
)

func (p *program) schemaCommand() *cobra.Command {
	var ofConfig, ofTests bool
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print a JSON Schema of rule files, for editors",
		Long: `Schema prints a JSON Schema (2020-12) of rule files, with which editors complete and explain their keys
and mark the wrong ones. What stands in conditions and between {{ }} only check and lsp can judge.`,
		Args: between(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if ofConfig && ofTests {
				return usagef("--config and --tests are of different files; give one of the two")
			}
			schema := rules.Schema()
			switch {
			case ofConfig:
				schema = config.Schema()
			case ofTests:
				schema = ruletest.Schema()
			}
			return p.writeJSON(schema, "  ")
		},
	}
	cmd.Flags().BoolVar(&ofConfig, "config", false, "of bellhop.yaml instead")
	cmd.Flags().BoolVar(&ofTests, "tests", false, "of *.test.yaml instead")
	return cmd
}
