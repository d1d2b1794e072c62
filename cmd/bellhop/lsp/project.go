package lsp

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bellhop/cmd/bellhop/ruletest"
	"bellhop/engine/config"
	"bellhop/engine/verify"
	"bellhop/rules"
	"bellhop/rules/live"
	"bellhop/rules/text"
)

// A project is one configuration with its folder of rules. It keeps compiled files.
type project struct {
	configPath string // "" if there is none
	root       string // the folder that shown paths are relative to
	lookup     func(string) (string, bool)

	stale atomic.Bool // the folder must be listed again

	mu      sync.Mutex
	config  stamp // of the configuration file that was read
	loaded  bool
	rules   string   // the folder of rules
	folders []string // of people and of locations, which may be missing
	options rules.Options
	guide   *guide
	paths   []string // the rule files of the folder, relative to it; nil before the first look
	files   map[string]*compiled
}

// compiled is the result of compiling a file.
type compiled struct {
	text     string
	stamp    stamp // of the file on the disk; zero if the text is from the editor
	file     *rules.File
	findings []text.Finding
}

// A stamp shows whether a file on the disk has changed.
type stamp struct {
	size     int64
	modified time.Time
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.Size(), info.ModTime()}
}

// kind is what a document is.
type kind uint8

const (
	otherKind  kind = iota // not a file of Bellhop
	rulesKind              // a rule file
	testKind               // a file of tests
	configKind             // a configuration
)

var rulesLine = regexp.MustCompile(`(?m)^rules[ \t]*:[ \t\r]*(?:[\[#].*)?$`)

// kindOf says what a document is. Configurations and test files are known by their names. A rule file is in the folder
// of rules, or looks like a rule file. Other documents of the editor are ignored.
func (p *project) kindOf(d *document) kind {
	base := filepath.Base(d.path)
	ext := strings.ToLower(filepath.Ext(base))
	_, isMember := p.member(d.path)
	switch {
	case d.path != "" && (d.path == p.configPath || base == config.FileName):
		return configKind
	case d.path != "" && live.IsTest(base):
		return testKind
	case d.path != "" && ext != ".yaml" && ext != ".yml":
		return otherKind
	case isMember, rulesLine.MatchString(d.text):
		return rulesKind
	}
	return otherKind
}

// member returns the path of a file that belongs to the folder of rules, relative to it, in the form of [live.Paths].
func (p *project) member(path string) (rel string, ok bool) {
	if path == "" || p.rules == "" {
		return "", false
	}
	rel, err := filepath.Rel(p.rules, path)
	return filepath.ToSlash(rel), err == nil && (filepath.IsLocal(rel) || slices.ContainsFunc(p.folders, func(folder string) bool { return isBelow(folder, path) })) && live.IsRules(filepath.Base(rel))
}

// isBelow says whether a file or folder is in a folder, or is the folder.
func isBelow(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// refresh reads the configuration if it has changed. The caller holds p.mu.
func (p *project) refresh() {
	now := stampOf(p.configPath)
	if p.loaded && now == p.config {
		return
	}
	cfg, _, err := config.Load(p.configPath, config.Env{Lookup: p.lookup, Lenient: true, CheckVerify: verify.Check})
	if err != nil {
		if p.loaded {
			return // the file is probably being written; keep what was read before
		}
		cfg = config.Default()
	}
	p.config, p.loaded = now, true
	p.rules = cfg.Rules
	if !filepath.IsAbs(p.rules) {
		p.rules = filepath.Join(p.root, p.rules)
	}
	p.folders = cfg.Folders()
	for i, folder := range p.folders {
		if !filepath.IsAbs(folder) {
			p.folders[i] = filepath.Join(p.root, folder)
		}
	}
	p.options = cfg.RuleOptions()
	p.guide = &guide{schema: rulesSchema(), connections: p.options.Connections, hours: text.SortedKeys(p.options.Hours), sources: slices.Sorted(maps.Keys(cfg.Sources))}
	p.files, p.paths = map[string]*compiled{}, nil
}

// shown returns the path of the file as people see it.
func (p *project) shown(path string) string {
	if rel, err := filepath.Rel(p.root, path); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return path
}

// compile compiles the text of an open file, or returns the earlier result if the text has not changed.
func (p *project) compile(name, text string) *compiled {
	if c := p.files[name]; c != nil && c.stamp == (stamp{}) && c.text == text {
		return c
	}
	c := &compiled{text: text}
	c.file, c.findings = rules.Compile(name, []byte(text), p.options)
	p.files[name] = c
	return c
}

// fromDisk returns the compiled file on the disk. rel is its path in the folder of rules.
func (p *project) fromDisk(rel string) *compiled {
	full := filepath.Join(p.rules, filepath.FromSlash(rel))
	name, now := p.shown(full), stampOf(full)
	if c := p.files[name]; c != nil && c.stamp == now && now != (stamp{}) {
		return c
	}
	c := &compiled{stamp: now}
	data, findings := live.Read(p.rules, rel)
	if !text.HasErrors(findings) {
		c.file, _ = rules.Compile(name, data, p.options)
	}
	p.files[name] = c
	return c
}

// findings are what is wrong with the open documents, by their URI, as check would say it: each alone, and the
// folder of rules as a whole. What several files have to do with each other is said in the one that was
// changed last.
func (p *project) findings(open []*document) map[string][]text.Finding {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh()
	out := map[string][]text.Finding{}
	uris := map[string]string{}
	opened := map[string]bool{} // by path in the folder
	var files, last []*rules.File
	slices.SortFunc(open, func(a, b *document) int { return a.changed - b.changed })
	for _, d := range open {
		switch p.kindOf(d) {
		case configKind:
			out[d.uri] = p.configFindings(d)
		case testKind:
			out[d.uri] = ruletest.New(ruletest.Options{Rules: p.options}).Check(d.path, []byte(d.text))
		case rulesKind:
			name := d.uri
			if d.path != "" {
				name = p.shown(d.path)
			}
			c := p.compile(name, d.text)
			out[d.uri] = slices.Clone(c.findings)
			if rel, ok := p.member(d.path); ok {
				opened[rel], uris[name] = true, d.uri
				if c.file != nil {
					last = append(last, c.file)
				}
			}
		default:
			out[d.uri] = nil
		}
	}
	if len(opened) == 0 {
		return out
	}
	for _, rel := range p.listed() {
		if !opened[rel] {
			if c := p.fromDisk(rel); c.file != nil {
				files = append(files, c.file)
			}
		}
	}
	_, together := rules.NewSet(append(files, last...))
	for _, f := range together {
		if uri, ok := uris[f.File]; ok {
			out[uri] = append(out[uri], f)
		}
	}
	return out
}

// configFindings are what is wrong with a configuration as it is in the editor.
func (p *project) configFindings(d *document) []text.Finding {
	_, findings, err := config.Load(d.path, config.Env{
		CheckVerify: verify.Check,
		Lookup:      p.lookup, Lenient: true, ReadFile: func(string) ([]byte, error) { return []byte(d.text), nil },
	})
	if err != nil {
		return nil
	}
	return findings
}

// guideFor returns the guide for a rule file or a test file. It returns false for other documents.
func (p *project) guideFor(d *document) (*guide, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh()
	switch p.kindOf(d) {
	case rulesKind:
		return p.guide, true
	case testKind:
		g := &guide{schema: testsSchema(), connections: p.guide.connections, sources: p.guide.sources, ofTests: true}
		for _, rel := range p.listed() {
			if c := p.fromDisk(rel); c.file != nil {
				for _, r := range c.file.Rules {
					g.rules = append(g.rules, r.Name)
				}
			}
		}
		return g, true
	}
	return nil, false
}

// listed returns the rule files of the folder. The caller holds p.mu.
func (p *project) listed() []string {
	if p.stale.Swap(false) || p.paths == nil {
		p.paths, _ = live.Paths(p.rules, p.folders...) // a folder that cannot be read has no files
	}
	return p.paths
}
