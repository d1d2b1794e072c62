package actions

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	saidLength = 200     // how much of an answer is quoted, in characters
	shortText  = 1 << 10 // bytes; a longer text is a page, not a sentence
)

// saidKeys are the keys under which APIs explain an error to people, the plainest first. RFC 9457 has detail and
// title, RFC 6749 error_description, Slack error.
var saidKeys = []string{"message", "error_description", "error", "errors", "detail", "description", "title", "msg", "reason"}

// said finds the sentence in an answer that explains the error, "" if there is none.
func (a *answer) said() string {
	text := strings.TrimPrefix(string(a.body), "\ufeff")
	var v any
	if json.Unmarshal([]byte(text), &v) == nil {
		// A sentence is better than a code, which has no spaces.
		if text = a.find(v, " ", false); text == "" {
			text = a.find(v, "", false)
		}
	} else if t := bytes.TrimSpace(a.body); len(t) > shortText || !utf8.ValidString(text) || strings.Contains(text, "</") || len(t) > 0 && strings.IndexByte("<{[", t[0]) >= 0 {
		return ""
	}
	// The secret may only show once its encoding is undone.
	return a.plain(a.scrub(text))
}

// plain puts a text on one line and cuts it at a word; "" for a text that holds no word or only repeats the status.
func (a *answer) plain(text string) string {
	text = oneLine(text)
	bare := strings.TrimRight(strings.TrimPrefix(text, strconv.Itoa(a.StatusCode)+" "), ".")
	if !strings.ContainsFunc(text, unicode.IsLetter) || strings.EqualFold(bare, http.StatusText(a.StatusCode)) {
		return ""
	}
	return cut(text, saidLength)
}

// find looks in a JSON value for a text that contains with. If fields, the keys of an object are names of fields with
// mistakes, and the first is taken.
func (a *answer) find(v any, with string, fields bool) string {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, with) && a.plain(v) != "" {
			return v
		}
	case []any:
		for _, element := range v {
			if text := a.find(element, with, fields); text != "" {
				return text
			}
		}
	case map[string]any:
		for _, key := range saidKeys {
			if _, list := v[key].([]any); list && fields {
				continue // here the key is a field's name, which can be title
			}
			if text := a.find(v[key], with, key == "errors"); text != "" {
				return text
			}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if text := a.find(v[key], with, false); fields && text != "" {
				return key + ": " + text
			}
		}
	}
	return ""
}

// oneLine replaces runs of spaces, line breaks, control and format characters with single spaces.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsGraphic(r)
	}), " ")
}
