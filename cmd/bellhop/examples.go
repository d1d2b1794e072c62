package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"bellhop/engine/config"
	"bellhop/rules"
	"bellhop/rules/text"
	"bellhop/testdata"
)

// An example is one of the worked examples: a rule file with its test.
type example struct {
	name        string
	description string
	rule, test  []byte
}

// embedded returns a file that is a part of this program.
func embedded(files embed.FS, name string) []byte {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it was there when this program was built
	}
	return data
}

// examples returns the worked examples, sorted by name.
func examples() (list []example) {
	paths, _ := fs.Glob(testdata.Files, "rules/*.yaml") // fails only for a bad pattern
	for _, file := range paths {
		if strings.HasSuffix(file, ".test.yaml") {
			continue
		}
		e := example{name: strings.TrimSuffix(path.Base(file), ".yaml"), rule: embedded(testdata.Files, file)}
		e.test = embedded(testdata.Files, "rules/"+e.name+".test.yaml")
		compiled, _ := rules.Compile(file, e.rule, rules.Options{Connections: kindsOf(exampleConnections())})
		e.description = compiled.Rules[0].Description // a test runs them all
		list = append(list, e)
	}
	return list
}

// eventFile matches the file of an event, as the tests of the examples name it.
var eventFile = regexp.MustCompile(`\.\./events/[\w-]+\.json`)

// A connectionLine is a connection and its line in the configuration of the examples.
type connectionLine struct{ name, kind, line string }

// exampleConnections returns the connections that the examples can use.
func exampleConnections() (list []connectionLine) {
	_, below, _ := strings.Cut(string(embedded(testdata.Files, config.FileName)), "\nconnections:\n")
	for line := range strings.Lines(below) {
		name, _, ok := strings.Cut(strings.TrimSpace(line), ":")
		kind := map[string]string{"mail": "email", "slack": "slack", "crm": "http"}[name]
		if ok && kind != "" {
			list = append(list, connectionLine{name, kind, strings.TrimRight(line, "\n")})
		}
	}
	return list
}

func kindsOf(list []connectionLine) map[string]string {
	kinds := map[string]string{}
	for _, c := range list {
		kinds[c.name] = c.kind
	}
	return kinds
}

// needs returns the connections without which the example's rules do not compile.
func (e *example) needs(all []connectionLine) []connectionLine {
	return slices.DeleteFunc(slices.Clone(all), func(c connectionLine) bool {
		rest := kindsOf(all)
		delete(rest, c.name)
		_, findings := rules.Compile(e.name, e.rule, rules.Options{Connections: rest})
		return !text.HasErrors(findings)
	})
}

func (p *program) listExamples() {
	var rows [][]string
	for _, e := range examples() {
		rows = append(rows, []string{e.name, e.description})
	}
	p.table([]string{"EXAMPLE", "WHAT IT DOES"}, rows)
	p.printf("\n%s init --example NAME [DIR] writes one, with its test.\n", p.name)
}

// example writes a worked example into a folder. If the folder has a configuration, the files go into its rules folder.
func (p *program) example(name, dir string) error {
	list := examples()
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].name
	}
	at := slices.Index(names, name)
	if at < 0 {
		hint := fmt.Sprintf("; `%s init --list` shows them", p.name)
		if near := text.Closest(name, names); near != "" {
			hint = text.DidYouMean(near)
		}
		return usagef("there is no example %q%s", name, hint)
	}
	e := &list[at]
	needs := e.needs(exampleConnections())

	configPath, rulesDir := filepath.Join(dir, config.FileName), filepath.Join(dir, "rules")
	options := rules.Options{Connections: kindsOf(needs)}
	switch _, err := os.Stat(configPath); {
	case err == nil:
		cfg, findings, err := p.load(configPath, config.Env{Lenient: true})
		if err != nil {
			return err
		}
		if text.HasErrors(findings) {
			p.printFindings(p.stdout, findings)
			return errReported
		}
		rulesDir, options = cfg.Rules, cfg.RuleOptions()
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("looking for the configuration: %w", err)
	}
	files := []starterFile{
		{configPath, exampleConfig(needs)},
		{filepath.Join(rulesDir, e.name+".yaml"), e.rule},
		{filepath.Join(rulesDir, e.name+".test.yaml"), e.test},
	}
	events := eventFile.FindAllString(string(e.test), -1)
	slices.Sort(events)
	for _, event := range slices.Compact(events) {
		files = append(files, starterFile{filepath.Join(rulesDir, filepath.FromSlash(event)), embedded(testdata.Files, path.Join("rules", event))})
	}
	if err := p.writeFiles("", files); err != nil {
		return err
	}
	if _, findings := rules.Compile(e.name, e.rule, options); text.HasErrors(findings) {
		p.printf("\nThe rule needs what %s lacks. Add under connections:\n", configPath)
		for _, c := range needs {
			if _, ok := options.Connections[c.name]; !ok {
				p.printf("%s\n", c.line)
			}
		}
	}
	p.printf("\nNext:\n  %[1]s test%[2]s\n  %[1]s check%[2]s\n", p.name, flagFor(dir))
	return nil
}

// exampleConfig returns a configuration with the folders and these connections.
func exampleConfig(needs []connectionLine) []byte {
	var b strings.Builder
	b.WriteString("# The configuration of Bellhop. `bellhop init` writes one with all that can be said, in another folder.\n\n")
	b.WriteString("rules: ./rules\nstore: ./data\n\n# ${NAME} is read from the environment.\nconnections:\n")
	for _, c := range needs {
		b.WriteString(c.line + "\n")
	}
	return []byte(b.String())
}
