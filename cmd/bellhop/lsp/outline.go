package lsp

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"bellhop/rules/text"
)

// A path leads from the top to a value. It has the keys and the numbers of the list items, from 0.
type path []string

func (p path) with(name string) path { return append(p[:len(p):len(p)], name) }

// A place says where the cursor is in the structure of a file.
type place struct {
	path          path
	key           bool   // a key of the map at path belongs here
	nested        bool   // the value at path can be a map: it is on a line of its own, or an item of a list
	colon         bool   // the key has its colon already
	before, after string // the parts, before and after the cursor, of the text that it is in
	root          *yaml.Node
}

// marker is put into a text at the cursor before the text is read, so that there is a word at the cursor.
const marker = "\uE000"

var (
	loneWord   = regexp.MustCompile(`^[ \t]*(?:- +)*[\w-]*` + marker + `[\w-]*[ \t]*$`)
	colonAfter = regexp.MustCompile(`^[\w-]*["']?[ \t]*:`)
	// unquoted matches a template without quotes, which YAML would read as a map.
	unquoted = regexp.MustCompile(`(?m)((?:[:-][ \t]|[\[,])[ \t]*)(\{\{[^{}\n]*(?:\}\}|$))`)
)

// placeAt finds where the cursor is. It returns false in a comment, or where there is neither a key nor a value. The text
// need not be valid YAML, because people ask for help while a quote is open or a line is half written. It is mended as
// for findings; if that does not help, the lines below the cursor are left out.
func placeAt(content string, offset int) (p place, ok bool) {
	end := len(content)
	if n := strings.IndexAny(content[offset:], "\r\n"); n >= 0 {
		end = offset + n
	}
	head, rest := content[:offset]+marker+content[offset:end], content[end:]
	half := "" // what half a key lacks
	if loneWord.MatchString(head[strings.LastIndexAny(head[:offset], "\r\n")+1:]) {
		half = ":"
	}
	closed := closers(head)
	for _, ends := range [][]string{{rest, half + rest}, {closed + rest, closed, half}} {
		mistakes := 0
		for _, end := range ends {
			doc := text.New("", "file", []byte(unquoted.ReplaceAllString(head+end, "$1'$2'")), nil)
			found := place{root: doc.Root()}
			if found.root != nil && (!ok || doc.Errors() < mistakes) && found.find(found.root, path{}, true) {
				p, ok, mistakes = found, true, doc.Errors()
			}
			if doc.Errors() == 0 {
				break
			}
		}
		if ok {
			break
		}
	}
	p.colon = p.key && colonAfter.MatchString(content[offset:end])
	return p, ok
}

// closers returns what closes the quote and the brackets that are open at the end of a text.
func closers(written string) (closing string) {
	opened := 0 // the indentation of the line in which the first was opened
	quote := byte(0)
	for line := range strings.Lines(written) {
		trimmed := strings.TrimLeft(line, " ")
		if indent := len(line) - len(trimmed); strings.TrimSpace(trimmed) != "" && (closing == "" && quote == 0 || indent <= opened) {
			opened, closing, quote = indent, "", 0
		}
		for i := range len(trimmed) {
			c, begins := trimmed[i], i > 0 && strings.IndexByte(" [{,", trimmed[i-1]) >= 0
			switch {
			case quote != 0:
				if c == quote && (quote == '\'' || trimmed[i-1] != '\\') {
					quote = 0
				}
			case begins && (c == '"' || c == '\''):
				quote = c
			case c == '{' || c == '[':
				closing = string(c+2) + closing // "]" for "[", "}" for "{"
			case closing != "" && c == closing[0]:
				closing = closing[1:]
			}
		}
	}
	if quote != 0 {
		closing = string(quote) + closing
	}
	return closing
}

// find looks for the marker in a value.
func (p *place) find(n *yaml.Node, at path, nested bool) bool {
	for i, c := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			if p.find(c, at.with(strconv.Itoa(i)), true) {
				return true
			}
		case i%2 == 0 && strings.Contains(c.Value, marker):
			p.path, p.key = at, true
			p.before, p.after, _ = strings.Cut(c.Value, marker)
			return true
		case i%2 == 1 && p.find(c, at.with(n.Content[i-1].Value), c.Line > n.Content[i-1].Line):
			return true
		}
	}
	p.path, p.nested = at, nested
	var ok bool
	p.before, p.after, ok = strings.Cut(n.Value, marker)
	return ok && n.Kind == yaml.ScalarNode
}

// keysBelow returns the keys of the map at a path.
func (p *place) keysBelow(at path) (keys []string) {
	n := p.root
	for _, step := range at {
		i, err := strconv.Atoi(step)
		if n.Kind == yaml.MappingNode {
			i = 1 + slices.IndexFunc(n.Content, func(c *yaml.Node) bool { return c.Value == step })
		} else if err != nil {
			i = -1
		}
		if i < 0 || i >= len(n.Content) {
			return nil
		}
		n = n.Content[i]
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if key := n.Content[i].Value; !strings.Contains(key, marker) {
			keys = append(keys, key)
		}
	}
	return keys
}
