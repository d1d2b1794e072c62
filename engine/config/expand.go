package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// minSecret is the shortest value of a ${…}, in bytes, that is hidden wherever it occurs. Shorter values are mostly
// ports and switches. Shorter credentials are hidden too, because the connection or source reports them.
const minSecret = 6

var (
	variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	dollars  = regexp.MustCompile(`\$\$\{|\$\{([^}]*)(\}?)`)               // $${, or a ${…} with its text and its }
	userinfo = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)@`) // of a URL
)

// A part is a part of a scalar: literal text, or one ${…}.
type part struct {
	text      string // the literal, or the text between the braces
	reference bool
	bad       bool // a ${ without its }
	from, to  int  // where a ${…} stands in the scalar
}

// split divides a scalar into literal texts and ${…}. $${ becomes a literal ${.
func split(s string) []part {
	var parts []part
	literal, after := "", 0
	for _, m := range dollars.FindAllStringSubmatchIndex(s, -1) {
		literal += s[after:m[0]]
		after = m[1]
		if m[2] < 0 {
			literal += "${"
			continue
		}
		parts = append(parts, part{text: literal}, part{text: s[m[2]:m[3]], reference: true, bad: m[4] == m[5], from: m[0], to: m[1]})
		literal = ""
	}
	return append(parts, part{text: literal + s[after:]})
}

// expand replaces the ${…} in every scalar below n. Keys stay as they are.
func (d *decoder) expand(n *yaml.Node) {
	switch n.Kind {
	case yaml.DocumentNode, yaml.SequenceNode:
		for _, c := range n.Content {
			d.expand(c)
		}
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			d.expand(n.Content[i])
		}
	case yaml.ScalarNode: // aliases are left out: their scalar is replaced at its anchor
		if strings.Contains(n.Value, "${") {
			d.expandScalar(n)
		}
	}
}

func (d *decoder) expandScalar(n *yaml.Node) {
	parts := split(n.Value)
	left, whole := inUser(parts) // left counts the ${…} that are still to be escaped
	var b strings.Builder
	for _, p := range parts {
		if !p.reference {
			b.WriteString(p.text)
			continue
		}
		left--
		value, err := d.resolve(p)
		if err != nil {
			d.unresolved[n] = true
			add, code := d.doc.Errorf, "missing-secret"
			if errors.Is(err, errReference) {
				code = "bad-reference"
			} else if d.env.Lenient {
				add = d.doc.Warnf
			}
			add(code, d.doc.Written(n).Span(p.from, p.to), "", "%v", err)
			b.WriteString("unset")
			continue
		}
		if len(value) >= minSecret {
			d.cfg.secrets = append(d.cfg.secrets, value)
		}
		if left >= 0 {
			value = escape(value, whole)
		}
		b.WriteString(value)
	}
	d.written[n] = n.Value
	n.Value = b.String() // the tag stays that of a text, even if the value now looks like a number
}

var errReference = errors.New("${…} takes the name of an environment variable, or file: and a path; write $${ for the characters themselves")

// resolve returns the value of one ${…}. Its errors name the variable or the file, but never a value.
func (d *decoder) resolve(p part) (string, error) {
	path, isFile := strings.CutPrefix(p.text, "file:")
	switch {
	case p.bad:
		return "", errReference
	case isFile && strings.TrimSpace(path) != "":
		data, err := readFile(d.relative(strings.TrimSpace(path)))
		if err != nil {
			return "", fmt.Errorf("${%s} cannot be read: %w", p.text, err)
		}
		value := strings.TrimSuffix(string(data), "\n")
		return strings.TrimSuffix(value, "\r"), nil
	case variable.MatchString(p.text):
		value, ok := d.env.Lookup(p.text)
		if !ok {
			return "", fmt.Errorf("the environment variable %s is not set", p.text)
		}
		return value, nil
	}
	return "", errReference
}

// inUser counts the ${…} in the user and password of a URL. A secret there can have any character, so it is escaped.
// A secret in another place, or a URL that is one ${…}, is used as it is. whole says that one ${…} can be both the
// user and the password, because no colon is written between them.
func inUser(parts []part) (references int, whole bool) {
	const mark = "\xff" // for each ${…}; YAML has no such byte
	var text strings.Builder
	for _, p := range parts {
		if p.reference {
			text.WriteString(mark)
		} else {
			text.WriteString(p.text)
		}
	}
	found := userinfo.FindStringSubmatch(text.String())
	if found == nil {
		return 0, false
	}
	return strings.Count(found[1], mark), !strings.Contains(found[1], ":")
}

// escape escapes a value for a URL's user or password. If one value is the whole of both, user:password, its first
// colon stays.
func escape(value string, whole bool) string {
	if user, password, ok := strings.Cut(value, ":"); ok && whole {
		return escapeUser(user) + ":" + escapeUser(password)
	}
	return escapeUser(value)
}

func escapeUser(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
