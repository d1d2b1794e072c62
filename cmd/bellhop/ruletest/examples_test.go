package ruletest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bellhop/cmd/bellhop/ruletest"
	"bellhop/rules"
	"bellhop/rules/text"
)

const examples = "../../../testdata/rules"

// Every worked example has tests, and they pass. Each of its rules fires in one test and does not fire in another.
func TestWorkedExamples(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(examples, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	paths = slices.DeleteFunc(paths, func(p string) bool { return strings.HasSuffix(p, ".test.yaml") })
	if len(paths) < 12 {
		t.Errorf("there are only %d examples", len(paths))
	}
	runner := ruletest.New(options())
	var files []*rules.File
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file, findings := rules.Compile(path, data, options().Rules)
		if len(findings) > 0 {
			t.Fatal(findings)
		}
		files = append(files, file)
		r := runner.Run(strings.TrimSuffix(path, ".yaml") + ".test.yaml")
		if len(r.Findings) > 0 {
			t.Error(r.Findings)
		}
		fired, spared := map[string]bool{}, map[string]bool{}
		for i := range r.Tests {
			test := &r.Tests[i]
			if test.Status != ruletest.Passed {
				t.Errorf("%s: %s\n%s", r.File, test.Name, test.Report())
			}
			for _, rule := range file.Rules {
				if slices.Contains(test.Fired, rule.Name) {
					fired[rule.Name] = true
				} else {
					spared[rule.Name] = true
				}
			}
		}
		for _, rule := range file.Rules {
			if rule.Description == "" {
				t.Errorf("%s: %s has no description", path, rule.Name)
			}
			if !fired[rule.Name] || !spared[rule.Name] {
				t.Errorf("%s: %s is fired by a test: %v; left alone by a test: %v", path, rule.Name, fired[rule.Name], spared[rule.Name])
			}
		}
	}
	if _, findings := rules.NewSet(files); len(findings) > 0 {
		t.Error("together:", findings)
	}
}

// The tests of the examples notice mistakes in the rules: they fail if one line of the rules is changed.
func TestExamplesNotice(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(examples, "*.test.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no examples", err)
	}
	events, err := filepath.Abs("../../../testdata/events")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			test, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rule, err := os.ReadFile(ruletest.Namesake(path))
			if err != nil {
				t.Fatal(err)
			}
			changed := 0
			for i, line := range strings.Split(string(rule), "\n") {
				trimmed := strings.TrimSpace(line)
				var instead string
				switch indent := line[:len(line)-len(strings.TrimLeft(line, " "))]; {
				case strings.HasPrefix(trimmed, "on:"):
					instead = line + "\n" + indent + "enabled: false"
				case strings.HasPrefix(trimmed, "when:"), strings.HasPrefix(trimmed, "late:"):
					instead = "" // no condition, or no late messages
				case strings.HasPrefix(trimmed, "- at:"):
					instead = indent + `- at: appointment.startTime + duration("7m")`
				case strings.HasPrefix(trimmed, "channel:"), strings.HasPrefix(trimmed, "subject:"), strings.HasPrefix(trimmed, "path:"):
					instead = indent + strings.SplitAfter(trimmed, ":")[0] + " changed"
				default:
					continue
				}
				lines := strings.Split(string(rule), "\n")
				lines[i] = instead
				dir := filepath.Join(t.TempDir(), "rules")
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(events, filepath.Join(dir, "..", "events")); err != nil {
					t.Skip("no symbolic links here:", err)
				}
				for name, data := range map[string]string{"x.yaml": strings.Join(lines, "\n"), "x.test.yaml": string(test)} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				r := ruletest.New(options()).Run(filepath.Join(dir, "x.test.yaml"))
				noticed := text.HasErrors(r.Findings)
				for i := range r.Tests {
					noticed = noticed || r.Tests[i].Status == ruletest.Failed
				}
				if !noticed {
					t.Errorf("no test notices that line %d is changed to %q", i+1, instead)
				}
				changed++
			}
			if changed == 0 {
				t.Error("nothing was changed")
			}
		})
	}
}
