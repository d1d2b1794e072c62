package main

import (
	"fmt"
	"path/filepath"
	"runtime/debug"

	"github.com/spf13/cobra"

	"bellhop/cmd/bellhop/lsp"
)

func (p *program) lspCommand() *cobra.Command {
	var configPath string
	cmd := &cobra.Command{
		Use:   "lsp",
		Short: "Serve an editor that edits rule files (Language Server Protocol)",
		Long: `Lsp is for editors, which start it and talk to it over its input and output. While a rule file
or a file of tests is edited it tells what check and test would find, completes keys, fields, functions, statuses, event and connection names, also
inside conditions and {{ }}, explains the word under the cursor, and puts suggestions in place.
The names of connections come from the bellhop.yaml nearest above the file, or from --config.`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if configPath != "" {
				abs, err := filepath.Abs(configPath)
				if err != nil {
					return fmt.Errorf("looking for the configuration: %w", err)
				}
				configPath = abs
			}
			debug.SetGCPercent(lsp.GCPercent)
			return lsp.Serve(cmd.Context(), p.stdin, p.stdout, lsp.Options{Config: configPath, Lookup: p.lookup, Version: build().Version})
		},
	}
	cmd.Flags().StringVarP(&configPath, "config", "c", "", "the configuration `file`; without it, the bellhop.yaml nearest above each rule file")
	cmd.Flags().Bool("stdio", true, "talk over input and output, which is the only way there is")
	return cmd
}
