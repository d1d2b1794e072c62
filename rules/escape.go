package rules

import (
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"

	"bellhop/rules/lang"
)

// An escape says how a value is escaped for the place where it is used.
type escape uint8

const (
	escapeNone     escape = iota
	escapeHTML            // between tags, and in quoted attributes
	escapeURL             // at the beginning of a quoted attribute that holds a URL
	escapeURLQuery        // inside such a URL, after ? or #
	escapeSlack
	escapeSegment   // a segment of the path of an http step's URL
	escapeInSegment // a part of a segment
	escapeQuery     // in the query of the URL

	// In e-mail addresses, see addressee:
	escapeMailbox     // a whole address
	escapeAddress     // between < and >
	escapeName        // the name before <
	escapeQuoted      // the name inside quotes
	escapeAddressPart // a part of the address, such as the part before @

	escapeJSON       // a value in JSON written as text
	escapeJSONString // inside a JSON string
)

// putValue is put for a value of any type. In JSON it keeps its type, so that a text stays a text, whatever it looks
// like.
func (e escape) putValue(v any) (string, error) {
	if e == escapeJSON {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(lang.JSON(v)); err != nil {
			return "", lang.Errorf("the value cannot be written as JSON")
		}
		return strings.TrimSuffix(b.String(), "\n"), nil
	}
	return e.put(lang.Print(v))
}

// put escapes a value for its place, or says why it cannot be used there.
func (e escape) put(s string) (string, error) {
	switch e {
	case escapeMailbox:
		return oneAddress(lang.ValidText(s), true)
	case escapeAddress:
		return oneAddress(lang.ValidText(s), false)
	case escapeAddressPart:
		return addressPart(lang.ValidText(s))
	case escapeSegment, escapeInSegment:
		if s == "" && e == escapeSegment || s == "." || s == ".." {
			return "", &unusable{"a value in the path is " + empty[s]}
		}
	}
	return e.apply(s), nil
}

var empty = map[string]string{"": "empty", ".": `"."`, "..": `".."`}

// unusable says why a step cannot be done with the values it has. This is a recorded skip, not a mistake.
type unusable struct{ why string }

func (e *unusable) Error() string { return e.why }

func (e escape) apply(s string) string {
	s = lang.ValidText(s)
	switch e {
	case escapeHTML:
		return html.EscapeString(s)
	case escapeURL:
		return html.EscapeString(safeURL(s))
	case escapeURLQuery:
		return html.EscapeString(url.QueryEscape(s))
	case escapeSlack:
		return slackEscaper.Replace(s)
	case escapeSegment, escapeInSegment:
		return url.PathEscape(s)
	case escapeQuery:
		return url.QueryEscape(s)
	case escapeName:
		return displayName(s)
	case escapeQuoted:
		return quotedText.Replace(oneLine(s))
	case escapeJSONString:
		quoted := jsonText(s)
		return quoted[1 : len(quoted)-1]
	case escapeJSON:
		return jsonText(s)
	}
	return s
}

var slackEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// safeURL returns URLs of web pages, mailboxes and telephones, and those without a scheme, unchanged. Others
// (javascript:, data:) become "#": the payload must not decide what a click runs.
func safeURL(s string) string {
	trimmed := strings.TrimSpace(s)
	scheme, _, found := strings.Cut(trimmed, ":")
	if !found || strings.ContainsAny(scheme, "/?#") {
		if strings.ContainsAny(trimmed, "\n\r\t\x00") {
			return "#"
		}
		return trimmed
	}
	switch strings.ToLower(scheme) {
	case "http", "https", "mailto", "tel":
		return trimmed
	}
	return "#"
}

// A context follows the literal parts of a text to find out where its expressions are used.
type context struct {
	mode string // one of escapeModes, or ""

	literals string // the literal text before the expression
	rest     string // and the literal text after it

	state   htmlState
	tag     string // the tag being read or open: the content of script and style is not HTML
	attr    string
	quote   byte
	value   string // the literal beginning of the attribute's value
	dynamic bool   // an expression occurred in the attribute's value
}

type htmlState uint8

const (
	inText htmlState = iota
	inTagName
	inTag
	inAttrName
	afterAttrName
	beforeValue
	inValue
	inComment
	inRaw // inside script or style, up to the end tag
)

// escapeModes are the values of the escape tag of an action's field.
var escapeModes = map[string]bool{"": true, "html": true, "slack": true, "address": true, "path": true, "mailbox": true, "json": true, "blocks": true}

// newContext panics for an unknown mode: then an action's tag is wrong.
func newContext(mode string) *context {
	if !escapeModes[mode] {
		panic(fmt.Sprintf("no field can be escaped for %q", mode))
	}
	return &context{mode: mode}
}

// inJSONString reports whether a JSON text ends inside a string.
func inJSONString(text string) bool {
	inside := false
	for i := 0; i < len(text); i++ {
		switch {
		case inside && text[i] == '\\':
			i++
		case text[i] == '"':
			inside = !inside
		}
	}
	return inside
}

func jsonText(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a text can always be encoded
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// literal reads the next literal part.
func (c *context) literal(s string) {
	c.literals += s
	if c.mode != "html" {
		return
	}
	for i := 0; i < len(s); i++ {
		b := s[i]
		space := b == ' ' || b == '\t' || b == '\n' || b == '\r' || b == '\f'
		switch c.state {
		case inText:
			if strings.HasPrefix(s[i:], "<!--") {
				c.state = inComment
				i += 3
			} else if b == '<' && i+1 < len(s) && (isLetter(s[i+1]) || s[i+1] == '/' || s[i+1] == '!') {
				c.state, c.tag = inTagName, ""
			} else if b == '<' && i+1 == len(s) {
				c.state, c.tag = inTagName, "" // an expression follows "<" directly
			}
		case inTagName:
			switch {
			case b == '>':
				c.endTag()
			case space || b == '/' && c.tag != "":
				c.state = inTag
			default:
				c.tag += strings.ToLower(string(b))
			}
		case inTag:
			switch {
			case b == '>':
				c.endTag()
			case !space && b != '/':
				c.state, c.attr = inAttrName, strings.ToLower(string(b))
			}
		case inAttrName:
			switch {
			case b == '=':
				c.state = beforeValue
			case b == '>':
				c.endTag()
			case space:
				c.state = afterAttrName
			default:
				c.attr += strings.ToLower(string(b))
			}
		case afterAttrName:
			switch {
			case b == '=':
				c.state = beforeValue
			case b == '>':
				c.endTag()
			case !space:
				c.state, c.attr = inAttrName, strings.ToLower(string(b))
			}
		case beforeValue:
			switch {
			case b == '"' || b == '\'':
				c.state, c.quote, c.value, c.dynamic = inValue, b, "", false
			case b == '>':
				c.endTag()
			case !space:
				c.state, c.quote, c.value, c.dynamic = inValue, 0, string(b), false
			}
		case inValue:
			switch {
			case c.quote != 0 && b == c.quote, c.quote == 0 && space:
				c.state = inTag
			case c.quote == 0 && b == '>':
				c.endTag()
			default:
				c.value += string(b)
			}
		case inComment:
			if strings.HasPrefix(s[i:], "-->") {
				c.state = inText
				i += 2
			}
		case inRaw:
			end := "</" + c.tag
			if len(s)-i >= len(end) && strings.EqualFold(s[i:i+len(end)], end) {
				c.state, c.tag = inTagName, "/"+c.tag
				i += len(end) - 1
			}
		}
	}
}

func isLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

func (c *context) endTag() {
	c.state = inText
	if c.tag == "script" || c.tag == "style" {
		c.state = inRaw
	}
}

// addressAttributes hold a URL that a reader's program opens.
var addressAttributes = map[string]bool{
	"href": true, "src": true, "action": true, "formaction": true, "background": true, "cite": true, "poster": true, "data": true, "longdesc": true, "xlink:href": true,
}

// expression says how the value of the next expression is escaped, or why no value can be used there.
func (c *context) expression() (escape, string) {
	switch c.mode {
	case "slack":
		return escapeSlack, ""
	case "mailbox":
		return addressee(c.literals, c.rest), ""
	case "json":
		switch text := strings.TrimSpace(c.literals); {
		case !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "["):
			return escapeNone, ""
		case inJSONString(text):
			return escapeJSONString, ""
		}
		return escapeJSON, ""
	case "address", "path":
		// A value fills a segment or a parameter. It must not add levels to the path, nor parameters. At the very
		// beginning it is the URL itself, which the egress guard judges, or, on its own, the whole path.
		switch {
		case c.literals == "" && (c.mode == "address" || c.rest == ""):
			c.literals = " "
			return escapeNone, ""
		case strings.ContainsAny(c.literals, "?#"):
			return escapeQuery, ""
		case c.literals != "" && !strings.HasSuffix(c.literals, "/") || c.rest != "" && !strings.ContainsAny(c.rest[:1], "/?#"):
			return escapeInSegment, ""
		}
		return escapeSegment, ""
	case "html":
	default:
		return escapeNone, ""
	}
	switch c.state {
	case inText:
		return escapeHTML, ""
	case inComment:
		return 0, "a value cannot stand in a comment of the HTML"
	case inRaw:
		return 0, "a value cannot stand in <" + c.tag + ">: nothing would keep the sender of the event from writing the page"
	case beforeValue:
		return 0, `the value of an attribute must be in quotes: ` + c.attr + `="{{ … }}"`
	case inValue:
		first := c.value == "" && !c.dynamic
		c.dynamic = true
		switch {
		case c.quote == 0:
			return 0, `the value of an attribute must be in quotes: ` + c.attr + `="{{ … }}"`
		case strings.HasPrefix(c.attr, "on") || c.attr == "style" || c.attr == "srcdoc" || c.attr == "srcset":
			return 0, "a value cannot stand in " + c.attr + "=: nothing would keep the sender of the event from writing the page"
		case addressAttributes[c.attr] && first:
			return escapeURL, ""
		case addressAttributes[c.attr] && !wholeScheme(c.value):
			return 0, "the address must begin with its scheme, such as https://, or with / before a value can follow"
		case addressAttributes[c.attr] && strings.ContainsAny(c.value, "?#"):
			return escapeURLQuery, ""
		}
		return escapeHTML, ""
	}
	return 0, "a value cannot stand inside a tag; only between tags and in attributes with quotes"
}

// wholeScheme reports whether the literal beginning of a URL decides where it leads.
func wholeScheme(s string) bool {
	s = strings.ToLower(strings.TrimSpace(s))
	if strings.HasPrefix(s, "javascript:") || strings.HasPrefix(s, "data:") || strings.HasPrefix(s, "vbscript:") {
		return false
	}
	return s == "" || strings.ContainsAny(s, ":/?#")
}
