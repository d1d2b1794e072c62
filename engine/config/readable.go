package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"gopkg.in/yaml.v3"

	"bellhop/rules/text"
)

// readable warns if others on this machine can read the file and a secret is written out in it.
func (d *decoder) readable(path string) {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" || info.Mode()&0o044 == 0 {
		return
	}
	var first *yaml.Node
	for _, secret := range d.cfg.credentials() {
		if secret == "" || strings.Contains(secret, "://") { // the secret parts of an address are in the list by themselves
			continue
		}
		for place, n := range d.places {
			holds := place == "admin_token" || strings.HasPrefix(place, "sources.") || strings.HasPrefix(place, "connections.")
			if holds && d.spells(n, secret) && (first == nil || n.Line < first.Line || n.Line == first.Line && n.Column < first.Column) {
				first = n
			}
		}
	}
	if first != nil {
		d.report(first, text.Warning, "readable-secret", fmt.Sprintf("a secret is written out here, and others on this machine can read the file (mode %04o): "+
			"write ${NAME} or ${file:PATH} in its place, or `chmod 600 %s`", info.Mode().Perm(), filepath.Base(path)), "")
	}
}

// spells says whether a secret is written out in the node.
func (d *decoder) spells(n *yaml.Node, secret string) bool {
	if n == nil || n.Kind != yaml.ScalarNode {
		return false
	}
	text, replaced := d.written[n]
	if !replaced {
		return n.Value == secret || len(secret) >= minSecret && strings.Contains(n.Value, secret)
	}
	for _, p := range split(text) {
		if !p.reference && len(secret) >= minSecret && strings.Contains(p.text, secret) {
			return true
		}
	}
	return false
}
