package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"bellhop/rules/text"
)

// A secret that is written out in a file that others can read gets a warning at its position. The warning does not show
// the secret.
func TestReadableSecret(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("files have other permissions there")
	}
	const secret = "Correct-Horse-7"
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		place      string // of the finding; "" for none
	}{
		{"a bearer token", "connections:\n  crm: { url: \"https://crm.example.com\", bearer: Correct-Horse-7 }\n", 0o644, "2:50"},
		{"for the group", "connections:\n  crm: { url: \"https://crm.example.com\", bearer: Correct-Horse-7 }\n", 0o640, "2:50"},
		{"in an address", "connections:\n  mail: { smtp: \"smtps://desk:Correct-Horse-7@smtp.example.com\", from: desk@example.com }\n", 0o604, "2:17"},
		{"a webhook", "connections:\n  slack: { webhook: \"https://hooks.slack.com/services/T0/B0/Correct-Horse-7\" }\n", 0o644, "2:21"},
		{"of a source", "sources:\n  desk:\n    verify: { token: Correct-Horse-7 }\n", 0o644, "3:22"},
		{"of operators", "admin_token: Correct-Horse-7\n", 0o644, "1:14"},
		{"for its owner", "admin_token: Correct-Horse-7\n", 0o600, ""},
		{"a variable", "connections:\n  crm: { url: \"https://crm.example.com\", bearer: \"${S}\" }\n", 0o644, ""},
		{"a variable in an address", "connections:\n  mail: { smtp: \"smtps://desk:${S}@smtp.example.com\", from: desk@example.com }\n", 0o644, ""},
		{"no password", "connections:\n  mail: { smtp: \"smtps://desk@smtp.example.com\", from: desk@example.com }\n", 0o644, ""},
		{"none", "listen: 127.0.0.1:8080\n", 0o644, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), FileName)
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, findings, err := Load(path, Env{Lookup: func(string) (string, bool) { return secret, true }})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, f := range findings {
				if f.Code != "readable-secret" {
					continue
				}
				got += fmt.Sprintf("%d:%d", f.Line, f.Column)
				if f.Severity != text.Warning || strings.Contains(f.Message, secret) || !strings.Contains(f.Message, "chmod 600 bellhop.yaml") {
					t.Errorf("%+v", f)
				}
			}
			if got != tt.place {
				t.Errorf("found at %q, want %q", got, tt.place)
			}
		})
	}
}
