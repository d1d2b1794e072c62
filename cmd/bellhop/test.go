package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bellhop/cmd/bellhop/ruletest"
	"bellhop/engine/config"
	"bellhop/rules/text"
)

type testFlags struct {
	config, run, junit string
	update, json       bool
}

func (p *program) testCommand() *cobra.Command {
	var f testFlags
	cmd := &cobra.Command{
		Use:   "test [PATH…]",
		Short: "Run the tests beside the rules",
		Long: `Test runs the *.test.yaml files of the rules folder, or those that the PATHs name: a test file, a rule
file whose tests are meant, or a folder. A test says which event comes, what is known of its appointment and
what time it is, and then which rules fire and what their steps render. Nothing is sent, and no server is
needed.

A file such as desk.test.yaml tests desk.yaml beside it:

    tests:
      - name: a confirmed booking is announced
        event: ../events/confirmed.json
        state: { appointmentStatus: new }
        now: 2026-12-01T09:00:00Z
        expect:
          fires: [desk-new-booking]
          steps:
            - rule: desk-new-booking
              slack: { text: "New: First consultation" }
          held:
            - rule: remind-guest
              until: 2026-12-06T10:00:00Z
              email: { subject: "Tomorrow: First consultation" }

A step that waits is listed under held, with what it renders at its moment if nothing changes before. One that
will not be sent then, because its condition is no longer true for example, fails the test unless held lists it
with then: and the reason.

A test whose expect: is empty fails; --update then writes down what happens, for you to read.
It exits with 1 if a test fails, if a file has a mistake, or if there is nothing to run.`,
		Args: between(0, anyNumber),
		RunE: func(_ *cobra.Command, args []string) error { return p.test(f, args) },
	}
	configFlag(cmd, &f.config)
	cmd.Flags().StringVar(&f.run, "run", "", "only the tests whose names this regular `expression` matches")
	cmd.Flags().BoolVar(&f.update, "update", false, "rewrite the expectations that are not met to what happens")
	cmd.Flags().StringVar(&f.junit, "junit", "", "write the results to this `file` too, as JUnit XML")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the results for programs")
	return cmd
}

// A testReport is what test prints with --json.
type testReport struct {
	Files    int                `json:"files"`
	Tests    int                `json:"tests"`
	Passed   int                `json:"passed"`
	Failed   int                `json:"failed"`
	NotRun   int                `json:"notRun"`
	Updated  int                `json:"updated"`
	Results  []*ruletest.Result `json:"results"`
	Findings []text.Finding     `json:"findings"` // of the configuration and of paths that are not there
}

func (p *program) test(f testFlags, paths []string) error {
	options := ruletest.Options{}
	if f.run != "" {
		var err error
		if options.Select, err = regexp.Compile(f.run); err != nil {
			return usagef("--run takes a regular expression: %w", err)
		}
	}
	if f.config == "" {
		f.config = configAbove(paths)
	}
	cfg, findings, err := p.load(f.config, config.Env{Lenient: true})
	if err != nil {
		return err
	}
	options.Rules, options.Folders = cfg.RuleOptions(), cfg.Folders()
	if len(paths) == 0 {
		paths = []string{cfg.Rules}
	}
	files, missing := ruletest.Files(paths)
	report := testReport{Files: len(files), Results: []*ruletest.Result{}, Findings: append([]text.Finding{}, missing...)}
	for _, f := range findings {
		if f.Severity == text.Error { // doubts are for check
			report.Findings = append(report.Findings, f)
		}
	}
	var failures error
	runner := ruletest.New(options)
	for _, file := range files {
		var result *ruletest.Result
		if f.update {
			if result, err = runner.Update(file); err != nil {
				failures = errors.Join(failures, err)
			}
		} else {
			result = runner.Run(file)
		}
		report.add(result)
	}
	if err := p.show(f.json, report, "", func() { p.printTests(&report, paths, f.run) }); err != nil {
		return err
	}
	if f.junit != "" {
		if err := writeJUnit(f.junit, report.Results); err != nil {
			return errors.Join(failures, err)
		}
	}
	switch {
	case failures != nil:
		return failures
	case !report.good():
		return errReported
	}
	return nil
}

// configAbove returns the configuration in the folder of the first of paths, or in the folder above. It returns ""
// if there is none, or if the working directory has a configuration.
func configAbove(paths []string) string {
	if _, err := os.Stat(config.FileName); err == nil || len(paths) == 0 {
		return ""
	}
	dir := filepath.Clean(paths[0])
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	return config.Nearest(dir, 1)
}

func (r *testReport) add(result *ruletest.Result) {
	r.Results = append(r.Results, result)
	r.Tests += len(result.Tests)
	r.Updated += result.Updated
	for i := range result.Tests {
		switch result.Tests[i].Status {
		case ruletest.Passed:
			r.Passed++
		case ruletest.Failed:
			r.Failed++
		default:
			r.NotRun++
		}
	}
}

// good reports whether there were tests, all of them passed, and no file has a mistake.
func (r *testReport) good() bool {
	bad := func(result *ruletest.Result) bool { return text.HasErrors(result.Findings) }
	return r.Tests > 0 && r.Passed == r.Tests && !text.HasErrors(r.Findings) && !slices.ContainsFunc(r.Results, bad)
}

func writeJUnit(path string, results []*ruletest.Result) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := ruletest.WriteJUnit(file, results); err != nil {
		return fmt.Errorf("writing the results to %s: %w", path, err)
	}
	return nil
}

// printTests prints a line for each file, and below it the tests that did not pass.
func (p *program) printTests(r *testReport, paths []string, selected string) {
	p.printFindings(p.stdout, r.Findings)
	for _, result := range r.Results {
		p.printFindings(p.stdout, result.Findings)
		var of testReport
		of.add(result)
		switch {
		case of.Tests == 0 && selected != "" && !text.HasErrors(result.Findings):
			continue
		case of.Passed == of.Tests && of.Updated > 0:
			p.printf("%s  %s  %s, %d updated\n", p.stdout.paint("33", "updated"), clean(result.File), count(of.Tests, "test"), of.Updated)
		case of.Passed == of.Tests && !text.HasErrors(result.Findings):
			p.printf("%s  %s  %s\n", p.stdout.paint("32", "ok"), clean(result.File), count(of.Tests, "test"))
		default:
			p.printf("%s  %s  %d of %s passed\n", p.stdout.paint("31", "FAIL"), clean(result.File), of.Passed, count(of.Tests, "test"))
		}
		for i := range result.Tests {
			p.printTest(result.File, &result.Tests[i])
		}
	}
	switch {
	case r.Tests == 0 && selected != "" && r.Files > 0:
		p.printf("there is no test whose name matches %s\n", clean(selected))
	case r.Tests == 0 && r.Files == 0 && !text.HasErrors(r.Findings):
		p.printf("there are no tests in %s; `%s test --help` shows how one is written\n", clean(strings.Join(paths, ", ")), p.name)
	default:
		p.printf("%s\n", r.sum(p.stdout))
	}
}

func (p *program) printTest(file string, t *ruletest.Test) {
	colour, open := map[ruletest.Status]string{ruletest.NotRun: "33", ruletest.Failed: "31"}[t.Status]
	if !open {
		return
	}
	p.printf("    %s %s:%d %s\n", p.stdout.paint(colour, string(t.Status)), clean(file), t.Line, p.stdout.bold(clean(t.Name)))
	for line := range strings.Lines(clean(t.Report())) { // nothing of a test that was not run
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "    -"):
			line = p.stdout.paint("31", line)
		case strings.HasPrefix(line, "    +"):
			line = p.stdout.paint("32", line)
		}
		p.printf("      %s\n", line)
	}
}

// sum returns the result of all tests in one line.
func (r *testReport) sum(o *output) string {
	text := fmt.Sprintf("%s, %s: ", count(r.Files, "file"), count(r.Tests, "test"))
	if r.good() {
		return text + o.paint("32", "all passed")
	}
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{{r.Failed, "failed"}, {r.NotRun, "not run"}, {r.Passed, "passed"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing was run"}
	}
	return text + o.paint("31", strings.Join(parts, ", "))
}
