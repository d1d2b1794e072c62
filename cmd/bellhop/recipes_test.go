//go:build !race

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An edit is what a recipe does to a file: it writes the text below a line that ends with after, or into a new file.
type edit struct{ after, text string }

// recipes are the recipes of CONTRIBUTING.md, carried out for something small: the edits of each file.
var recipes = map[string]map[string][]edit{
	"Add an action": {
		"actions/NAME.go":      {{"", pagerAction}},
		"actions/action.go":    {{"func Kinds() []Kind { return []Kind{", "pagerKind, "}},
		"actions/leak_test.go": {{"var leakCases = map[string]func(address string) ([]Connection, []Request){\n", pagerLeak}},
		"README.md":            {{"### Steps\n", "\n`pager` — `to`, `text`, `connection`.\n"}},
	},
	"Add a function to the rule language": {
		"rules/lang/numbers.go": {
			{"var numberFunctions = []function{\n", `	{
		name: "half", doc: "Half of the number.", example: "half(3)", newer: true,
		forms: []form{to(floatType, intType)}, call: fnHalf,
	},
`},
			{"", `
func fnHalf(_ *Machine, args []any) any { return float64(wantInt("half", args[0])) / 2 }
`},
		},
		"README.md": {{"### Expressions\n", "\n`half(n)` is half of a number.\n"}},
	},
	"Add a field to the appointment": {
		"rules/event.go":              {{"doc:\"When it was last changed.\"`\n", "\tRoom string `json:\"room\" doc:\"The room.\"`\n"}},
		"rules/env.go":                {{"return a.DateUpdated }},\n", "\t{\"room\", func(a *Appointment) any { return a.Room }},\n"}},
		"engine/payload/normalise.go": {{"r.setOrEmpty(&a.Title, v, fieldTitle)\n", "\t\tcase \"room\":\n\t\t\tr.setOrEmpty(&a.Room, v, rules.FieldsOf(\"room\"))\n"}},
		"engine/decide/derive.go":     {{"return &a.DateUpdated }),\n", "\ttext(\"room\", func(a *rules.Appointment) *string { return &a.Room }),\n"}},
		"README.md":                   {{"### Expressions\n", "\n`appointment.room` is the room.\n"}},
	},
	"Add a source": {
		"engine/config/config.go": {
			{"None             = \"none\"\n", "\tKnock = \"knock\"\n"},
			{"{None, \"\"},", " {Knock, \"secrets\"},"},
			{"doc:\"highlevel, ", "knock, "},
		},
		"engine/verify/verify.go": {
			{"\t\treturn newToken(v)\n", "\tcase config.Knock:\n\t\treturn knock{Header(v), v.Secrets}, nil\n"},
			{"\t\tconfig.Token:      \"X-Bellhop-Token\",\n", "\t\tconfig.Knock: \"X-Knock\",\n"},
			{"", knockVerifier},
		},
		"engine/verify/verify_test.go": {
			{"return []scheme{\n", "\t\t{\"knock\", config.Verify{Scheme: config.Knock, Secrets: []string{\"come-in\"}}, \"X-Knock\", " +
				"func([]byte) string { return \"come-in\" }, nil, false},\n"},
		},
		"cmd/bellhop/sign.go": {{"case \"\", config.None: // the server refuses a source that is not configured\n",
			"\tcase config.Knock:\n\t\th.Set(header, v.Secrets[0])\n"}},
		"cmd/bellhop/sign_test.go": {
			{"{\"none\", config.Verify{Scheme: config.None}, \"\"},\n",
				"\t\t{\"knock\", config.Verify{Scheme: config.Knock, Secrets: []string{\"come-in\"}}, \"\"},\n"},
			{"case config.None, config.Token", ", config.Knock"},
		},
		"README.md": {{"## Configuration\n", "\n`verify: knock` compares X-Knock.\n"}},
	},
	"Add a migration": {
		"engine/store/migration/bellhop/NNN_name.up.sql":    {{"", "ALTER TABLE events ADD COLUMN note text NOT NULL DEFAULT '';\n"}},
		"engine/store/migration/bellhop/NNN_name.down.sql":  {{"", "ALTER TABLE events DROP COLUMN note;\n"}},
		"engine/store/migration/postgres/NNN_name.up.sql":   {{"", "ALTER TABLE events ADD COLUMN note text NOT NULL DEFAULT '';\n"}},
		"engine/store/migration/postgres/NNN_name.down.sql": {{"", "ALTER TABLE events DROP COLUMN note;\n"}},
	},
}

const pagerAction = `package actions

import "context"

var pagerKind = Kind{
	Name:           "pager",
	Summary:        "Calls a pager.",
	New:            func() Request { return new(Pager) },
	NewConnection:  func() Connection { return new(PagerAccess) },
	ConnectionKeys: []string{"pager"},
}

// Pager is a step's call.
type Pager struct {
	To         string ` + "`json:\"to,omitempty\" required:\"true\" recipient:\"true\" header:\"true\" doc:\"Whom to call.\" example:\"desk\"`" + `
	Text       string ` + "`json:\"text,omitempty\" doc:\"What to say.\" example:\"New: {{ appointment.title }}\"`" + `
	Connection string ` + "`json:\"connection,omitempty\" literal:\"true\" doc:\"The connection to call with.\" example:\"pager\"`" + `
}

// PagerAccess is the connection for pagers.
type PagerAccess struct {
	Address string ` + "`json:\"pager\" yaml:\"pager\" doc:\"Host and port of the service.\" example:\"pager.example.com:444\"`" + `
	Key     string ` + "`json:\"key\" yaml:\"key\" secret:\"true\" doc:\"The key of the service.\" example:\"${PAGER_KEY}\"`" + `
}

var _ Request = (*Pager)(nil)

// Check finds no mistake.
func (p *Pager) Check() []Problem { return nil }

// ConnectionName returns the connection that the step names.
func (p *Pager) ConnectionName() string { return p.Connection }

// NeedsConnection is always true.
func (p *Pager) NeedsConnection() bool { return true }

// Destination is the same for all.
func (p *Pager) Destination(Connection) string { return "pager:" }

// Do makes one call: the service wants no more than a connection.
func (p *Pager) Do(ctx context.Context, d Dispatch) (Receipt, error) {
	conn, err := d.Guard.dialContext(ctx, "tcp", d.Connection.(*PagerAccess).Address)
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{Status: "connected"}, conn.Close()
}

// Check finds no mistake.
func (a *PagerAccess) Check() []Problem { return nil }

// Secrets returns the key.
func (a *PagerAccess) Secrets() []string { return []string{a.Key} }
`

const pagerLeak = `	"pager": func(address string) ([]Connection, []Request) {
		return []Connection{&PagerAccess{Address: address, Key: mark}}, []Request{&Pager{To: "desk"}}
	},
`

const knockVerifier = `
type knock struct {
	header string
	words  []string
}

func (k knock) Verify(h http.Header, _ []byte, _ time.Time) error {
	word, err := only(h, k.header)
	if err != nil {
		return err
	}
	for _, want := range k.words {
		if hmac.Equal([]byte(word), []byte(want)) {
			return nil
		}
	}
	return errToken
}
`

// What the recipes have added is in use in this folder, which the program must find no mistake in.
var recipesInUse = map[string]string{
	"bellhop.yaml": `sources: { desk: { verify: { scheme: knock, secret: come-in } } }
connections: { pager: { pager: "pager.example.com:444", key: a-long-secret } }
`,
	"rules/desk.yaml": `rules:
  - name: desk
    on: booked
    when: appointment.room == "A" && half(len(appointment.title)) > 1.5
    then:
      - pager: { to: desk, text: "{{ appointment.room }}" }
`,
}

// TestRecipes carries out all recipes of CONTRIBUTING.md on one copy of the tree, and runs the tests there that would find
// a forgotten place.
func TestRecipes(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the module")
	}
	t.Parallel()
	guide := readGuide(t)
	dir := t.TempDir()
	copyTree(t, dir)
	number := func(file string) string { // of the next migration in the folder of a file
		there, err := filepath.Glob(filepath.Join(dir, filepath.Dir(file), "0*.up.sql"))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%03d", len(there)+1)
	}
	for name, edits := range recipes {
		lines := stepLine.FindAllString(guide.section(name), -1)
		if len(lines) == 0 || len(lines) > 5 {
			t.Errorf("the recipe %q has %d numbered lines, not one to five", name, len(lines))
		}
		var files []string
		for _, m := range fileName.FindAllStringSubmatch(strings.Join(lines, "\n"), -1) {
			files = append(files, m[1])
		}
		slices.Sort(files)
		if made := slices.Sorted(maps.Keys(edits)); !slices.Equal(files, made) {
			t.Errorf("the recipe %q names the files\n%v, and it takes\n%v", name, files, made)
		}
		numbers := map[string]string{} // the real names, found before any file is written
		for file := range edits {
			numbers[file] = strings.NewReplacer("NAME", "pager", "NNN", number(file)).Replace(file)
		}
		for file, list := range edits {
			file = numbers[file]
			for _, e := range list {
				e.apply(t, filepath.Join(dir, file))
			}
		}
	}
	if t.Failed() {
		return
	}
	folder := t.TempDir()
	for name, data := range recipesInUse {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	goes := func(args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "go", args...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	goes("build", "./...")
	goes("test", "./rules", "-run", "^TestBadFiles$", "-update")
	goes("test", "./engine/payload", "-run", "^TestNormaliseFiles$", "-update")
	goes("test", "./actions", "./rules", "./engine/config", "./engine/payload", "./engine/decide", "./engine/verify", "./engine/store", "./cmd/bellhop", "-run",
		"^Test(EveryFieldIsDescribed|NoActionShowsASecret|BadFiles|EnvironmentFitsItsTypes|WordsMeanSomething|ExamplesOfFunctions|EverySchemeIs.*|"+
			"NormaliseFiles|FieldsAreAll|Verify|SignaturesVerify|Migrate)$")
	goes("run", "./cmd/bellhop", "check", "--config", filepath.Join(folder, "bellhop.yaml"))
}

var (
	stepLine = regexp.MustCompile(`(?m)^\d\. .*$`)
	fileName = regexp.MustCompile("`((?:[\\w.-]+/)*[\\w-]+(?:\\.up|\\.down)?\\.(?:go|md|sql|yaml))`")
)

// apply makes the edit.
func (e edit) apply(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !(errors.Is(err, fs.ErrNotExist) && e.after == "") {
		t.Error(err)
		return
	}
	before, rest, found := bytes.Cut(data, []byte(e.after))
	if e.after == "" { // at the end
		before, rest, found = data, nil, true
	}
	if !found {
		t.Errorf("%s does not contain %q any more: see whether the recipe is still right", path, e.after)
		return
	}
	if err := os.WriteFile(path, slices.Concat(before, []byte(e.after+e.text), rest), 0o644); err != nil {
		t.Error(err)
	}
}

// copyTree copies the files of the working tree that git knows, or would take. Without git it skips the test, or fails it
// if BELLHOP_REQUIRE is set.
func copyTree(t *testing.T, to string) {
	t.Helper()
	root := filepath.Join("..", "..")
	c := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	c.Dir = root
	list, err := c.Output()
	if err != nil {
		if os.Getenv("BELLHOP_REQUIRE") != "" {
			t.Fatal("git ls-files:", err)
		}
		t.Skip("git ls-files: ", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
