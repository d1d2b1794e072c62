package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"bellhop/engine/config"
	"bellhop/engine/store"
	"bellhop/rules"
	"bellhop/rules/live"
	"bellhop/rules/text"
)

func (p *program) checkCommand() *cobra.Command {
	var configPath, format string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [PATH…]",
		Short: "Find every mistake in the configuration and the rules, without starting",
		Long: `Check reads the configuration and the rule files as run would, and says what run would refuse or
warn about. A PATH is a rule file or a folder of them; without one it is the configured folder.
A secret that is not set is only a warning here, so that check runs on any machine.
Where the configured store is there, and all its rules are checked, it says how many waiting steps these would give up.
It exits with 1 if there is a mistake, and with 0 if there are at most warnings.`,
		Args: between(0, anyNumber),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usagef("--format is text or json, not %q", format)
			}
			return p.check(cmd.Context(), configPath, args, asJSON || format == "json")
		},
	}
	configFlag(cmd, &configPath)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&format, "format", "text", "what to print: text or json; --json is short for the latter")
	return cmd
}

// A report is what check found. Its JSON is read by programs.
type report struct {
	Files    int            `json:"files"`
	Rules    int            `json:"rules"`
	Findings []text.Finding `json:"findings"`

	// GivenUp counts, by rule, the deliveries in the store that wait for a step that these rules do not have.
	GivenUp map[string]int `json:"givenUp,omitempty"`
}

func (p *program) check(ctx context.Context, configPath string, paths []string, asJSON bool) error {
	cfg, findings, err := p.load(configPath, config.Env{Lenient: true})
	if err != nil {
		return err
	}
	r := report{Findings: append([]text.Finding{}, findings...)}
	all := len(paths) == 0
	if all {
		paths = []string{cfg.Rules}
		for _, folder := range cfg.Folders() {
			if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
				paths = append(paths, folder)
			}
		}
	}
	set := r.checkRules(cfg, paths)
	if all && !text.HasErrors(r.Findings) {
		r.GivenUp = givenUp(ctx, cfg, set)
	}
	if err := p.show(asJSON, r, "", func() { p.printReport(&r) }); err != nil {
		return err
	}
	if text.HasErrors(r.Findings) {
		return errReported
	}
	return nil
}

// fail adds an error about a whole file.
func (r *report) fail(path, code, message string) {
	r.Findings = append(r.Findings, text.AtStart(path, code, message))
}

// givenUp counts the deliveries in a store that wait for steps that are not in set. It returns nil if there is no store
// that it can read, because check is about rules.
func givenUp(ctx context.Context, cfg *config.Config, set *rules.Set) map[string]int {
	reader, err := store.OpenReader(ctx, cfg.Store, cfg.NodeName())
	if err != nil {
		return nil
	}
	plans, err := reader.Waiting(ctx)
	if err := errors.Join(err, reader.Close()); err != nil {
		return nil
	}
	return store.GivenUp(plans, set)
}

// checkRules compiles every rule file of paths and joins them into one set.
func (r *report) checkRules(cfg *config.Config, paths []string) *rules.Set {
	seen := map[string]bool{}
	again := func(s live.Source) bool {
		real, err := filepath.EvalSymlinks(s.Path)
		if err == nil {
			real, err = filepath.Abs(real)
		}
		was := err == nil && seen[real]
		seen[real] = err == nil
		return was
	}
	sources := slices.DeleteFunc(r.sources(cfg, paths), again)
	r.Files = len(sources)
	named := map[string]bool{}
	for _, s := range sources {
		named[s.Name] = true
	}
	// The rules of some locations are checked against the files of these, which are not told if they are not named.
	if locations, err := live.Sources(cfg.Locations); err == nil {
		sources = append(sources, slices.DeleteFunc(locations, again)...)
	}
	loaded := live.Load(sources, cfg.RuleOptions())
	for _, f := range loaded.Files {
		r.Rules += len(f.Rules)
	}
	r.Findings = append(r.Findings, slices.DeleteFunc(loaded.Findings, func(f text.Finding) bool { return !named[f.File] })...)
	return loaded.Set
}

// sources are the rule files that paths name. What cannot be read is a finding.
func (r *report) sources(cfg *config.Config, paths []string) []live.Source {
	var list []live.Source
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && path == cfg.Rules:
			r.fail(path, "not-found", "there is no such rules folder; `bellhop init` writes one to begin with")
		case errors.Is(err, fs.ErrNotExist):
			r.fail(path, "not-found", "there is no such file or folder")
		case err != nil:
			r.fail(path, "unreadable", "this cannot be read: "+live.WithoutPath(err).Error())
		case info.IsDir():
			sources, err := live.Sources(path)
			if err != nil {
				r.fail(path, "unreadable", err.Error())
			}
			list = append(list, sources...)
		case live.IsTest(filepath.Base(path)), isConfig(cfg, info):
		default:
			list = append(list, live.Source{Name: path, Path: path})
		}
	}
	return list
}

// isConfig reports whether info is of the configuration file, which is checked even if it is not named.
func isConfig(cfg *config.Config, info fs.FileInfo) bool {
	if cfg.Path == "" {
		return false
	}
	of, err := os.Stat(cfg.Path)
	return err == nil && os.SameFile(of, info)
}
