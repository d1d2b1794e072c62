package lsp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain runs the server instead of the tests if the editor has started this program.
func TestMain(m *testing.M) {
	if os.Getenv("BELLHOP_SERVER") != "" && len(os.Args) == 2 && os.Args[1] == "lsp" {
		if err := Serve(context.Background(), os.Stdin, os.Stdout, Options{}); err != nil {
			panic(err)
		}
		return
	}
	m.Run()
}

// TestNeovim runs a session with the language client of a real editor: a mistake, its correction, explanations, and
// completion while the file is not valid YAML. With BELLHOP_REQUIRE, it fails if the editor is not installed.
func TestNeovim(t *testing.T) {
	t.Parallel()
	editor, err := exec.LookPath("nvim")
	if err != nil {
		if os.Getenv("BELLHOP_REQUIRE") != "" {
			t.Fatal("nvim is not installed (Debian: apt-get install neovim)")
		}
		t.Skip("nvim is not installed")
	}
	server, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs(filepath.Join("testdata", "editor.lua"))
	if err != nil {
		t.Fatal(err)
	}
	dir := desk(t, map[string]string{"rules/desk.yaml": `rules:
  - name: desk
    on: booked
    when: weekday(appointment.startTme) == "Monday"
    then:
      - slack: { channel: "#desk", text: "New: {{ appointment.title }}" }
        at: appointment.startTime - duration("24h")
`})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, editor, "--headless", "--clean", "-n", "-c", "luafile "+script)
	cmd.Env = append(os.Environ(), "BELLHOP_SERVER="+server, "BELLHOP_FILE="+filepath.Join(dir, "rules", "desk.yaml"),
		"HOME="+dir, "XDG_STATE_HOME="+dir, "XDG_CACHE_HOME="+dir, "XDG_DATA_HOME="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, &stderr)
	}
	var seen []string
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var line struct {
			What  string          `json:"what"`
			Value json.RawMessage `json:"value"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.What != "" {
			seen = append(seen, line.What+" "+string(line.Value))
		}
	}
	for i, want := range [][]string{
		{"diagnostics ", `"line":3`, `"from":30`, `"to":38`, `"severity":1`, `"code":"unknown-field"`, `"source":"bellhop"`, `did you mean \"startTime\"?`},
		{`action "Replace with startTime"`},
		{`line "    when: weekday(appointment.startTime) == \"Monday\""`},
		{"hover ", "weekday(time) → text", "day of the week"},
		{"hover ", "Where to post"},
		{"hover ", "When the step is done"},
		{"completion ", `"count":15`, `"detail":"a text"`},
		{"line ", `Grüße 😀 {{ appointment.title }}`},
		{"done true"},
	} {
		if i >= len(seen) {
			t.Fatalf("the session ends early:\n%s\n%s", strings.Join(seen, "\n"), &stderr)
		}
		for _, part := range want {
			if !strings.Contains(strings.ReplaceAll(seen[i], `\/`, "/"), part) {
				t.Errorf("step %d: %s\nlacks %s", i+1, seen[i], part)
			}
		}
	}
}
