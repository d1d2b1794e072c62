package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"bellhop/rules/text"
)

// minSecret is the shortest value of a ${…}, in bytes, that is hidden wherever it occurs. Shorter values are mostly
// ports and switches. Shorter credentials are hidden too, because the connection or source reports them.
const minSecret = 6

var (
	variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	scheme   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
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
	rest := s
	literal := func(t string) {
		if t == "" {
			return
		}
		if n := len(parts); n > 0 && !parts[n-1].reference {
			parts[n-1].text += t
			return
		}
		parts = append(parts, part{text: t})
	}
	for rest != "" {
		i := strings.Index(rest, "${")
		switch {
		case i < 0:
			literal(rest)
			return parts
		case i > 0 && rest[i-1] == '$':
			literal(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		literal(rest[:i])
		from := len(s) - len(rest) + i
		name, after, ok := strings.Cut(rest[i+2:], "}")
		rest = after
		parts = append(parts, part{text: name, reference: true, bad: !ok, from: from, to: len(s) - len(rest)})
	}
	return parts
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
	user := userinfo(parts)
	var b strings.Builder
	for i, p := range parts {
		if !p.reference {
			b.WriteString(p.text)
			continue
		}
		value, err := d.resolve(p)
		if err != nil {
			d.unresolved[n] = true
			severity, code := text.Error, "missing-secret"
			if errors.Is(err, errReference) {
				code = "bad-reference"
			} else if d.env.Lenient {
				severity = text.Warning
			}
			if !d.full(severity) {
				d.add(d.doc.Written(n).Span(p.from, p.to), severity, code, err.Error(), "")
			}
			b.WriteString("unset")
			continue
		}
		if len(value) >= minSecret {
			d.cfg.secrets = append(d.cfg.secrets, value)
		}
		if i < user.end {
			value = user.escape(value)
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

// userPart says which parts of a URL are in its user and password.
type userPart struct {
	end   int // the parts before this index are
	whole bool
}

// userinfo finds the parts between a URL's :// and its @. A secret there can have any character, so it is escaped. A
// secret in another place, or a URL that is one ${…}, is used as it is.
func userinfo(parts []part) userPart {
	if len(parts) == 0 || parts[0].reference || !scheme.MatchString(parts[0].text) {
		return userPart{}
	}
	var u userPart
	colon, before := false, false // whether there is a colon before the last @, and in the text read so far
	for i, p := range parts {
		if p.reference {
			continue
		}
		text := p.text
		if i == 0 {
			_, text, _ = strings.Cut(text, "://")
		}
		stop := strings.IndexAny(text, "/?#")
		if stop >= 0 {
			text = text[:stop]
		}
		if at := strings.LastIndexByte(text, '@'); at >= 0 {
			u.end = i
			colon = before || strings.Contains(text[:at], ":")
		}
		before = before || strings.Contains(text, ":")
		if stop >= 0 {
			break
		}
	}
	u.whole = u.end > 0 && !colon
	return u
}

// escape escapes a value for a URL's user or password. If one value is both, user:password, its first colon stays.
func (u userPart) escape(value string) string {
	if user, password, ok := strings.Cut(value, ":"); ok && u.whole {
		return escapeUser(user) + ":" + escapeUser(password)
	}
	return escapeUser(value)
}

func escapeUser(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
