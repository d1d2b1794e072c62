package actions

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Slack's limits, in characters or entries (https://docs.slack.dev/reference/block-kit/blocks and
// https://docs.slack.dev/reference/methods/chat.postMessage). Slack refuses a whole message that exceeds one.
const (
	slackText     = 40_000
	slackBlocks   = 50
	slackFields   = 10 // of a section
	slackElements = 10 // of a context
	slackActions  = 25
	slackOptions  = 100
)

// blockText is the longest text of a field, in characters, by the type of the block or element and the field's key.
var blockText = map[[2]string]int{
	{"header", "text"}:                150,
	{"section", "text"}:               3000,
	{"section", "fields"}:             2000,
	{"context", "elements"}:           2000,
	{"image", "title"}:                2000,
	{"image", "alt_text"}:             2000,
	{"video", "title"}:                200,
	{"video", "description"}:          200,
	{"video", "author_name"}:          50,
	{"button", "text"}:                75,
	{"button", "value"}:               2000,
	{"button", "accessibility_label"}: 75,
	{"markdown", "text"}:              12_000,
	{"input", "label"}:                2000,
	{"input", "hint"}:                 2000,
	{"", "placeholder"}:               150,
	{"", "text"}:                      75, // of an option
	{"", "description"}:               75,
	{"", "title"}:                     100, // of a confirmation
	{"", "confirm"}:                   30,
	{"", "deny"}:                      30,
}

// confirmText is the longest question of a confirmation, in characters.
const confirmText = 300

// wholeText limits values that cannot be cut, because a shortened one would mean something else.
var wholeText = map[string]int{
	"url": 3000, "image_url": 3000, "thumbnail_url": 3000, "title_url": 3000, "video_url": 3000, "action_id": 255, "block_id": 255,
	"value": 150, // of an option; a button's is cut
}

// tooLong names a value of blocks that exceeds Slack's limit and cannot be cut; nil if there is none.
func tooLong(v any) error {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := tooLong(e); err != nil {
				return err
			}
		}
	case map[string]any:
		kind, _ := v["type"].(string)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			most := wholeText[key]
			if text, ok := v[key].(string); ok && most > 0 && utf8.RuneCountInString(text) > most && (key != "value" || kind == "") {
				return fmt.Errorf("%s in the blocks has %d characters, and Slack takes %d at most", key, utf8.RuneCountInString(text), most)
			}
			if err := tooLong(v[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// listLength is how many entries a list can have, by the type of the block or element and the list's key.
var listLength = map[[2]string]int{
	{"section", "fields"}: slackFields, {"context", "elements"}: slackElements, {"actions", "elements"}: slackActions, {"", "options"}: slackOptions,
}

// cutBlocks makes blocks that fit Slack's limits: texts are cut at a word, and surplus entries are left out, with a
// last block that says so.
func cutBlocks(blocks any) any {
	list, ok := blocks.([]any)
	if !ok {
		return blocks
	}
	rest := len(list) - slackBlocks
	if rest > 0 {
		list = list[: slackBlocks-1 : slackBlocks-1]
	}
	out := make([]any, 0, len(list)+1)
	for _, b := range list {
		out = append(out, cutBlock(b, "", 0))
	}
	if rest > 0 {
		out = append(out, map[string]any{"type": "context", "elements": []any{map[string]any{"type": "plain_text", "text": "…"}}})
	}
	return out
}

// cutBlock cuts the texts of a block, an element or a text object; limit is that of the text object, 0 if there is
// none.
func cutBlock(v any, parent string, limit int) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	kind, _ := m["type"].(string)
	if kind == "mrkdwn" || kind == "plain_text" { // a text object: its limit depends on the field it is in
		if text, ok := m["text"].(string); ok && limit > 0 {
			m = maps.Clone(m)
			m["text"] = cut(text, limit)
		}
		return m
	}
	out := make(map[string]any, len(m))
	_, confirms := m["title"]
	confirms = confirms && kind == ""
	for key, value := range m {
		limit := blockText[[2]string{kind, key}]
		if limit == 0 && (kind == "" || parent != "") {
			limit = blockText[[2]string{"", key}]
		}
		if confirms && key == "text" {
			limit = confirmText
		}
		switch value := value.(type) {
		case string:
			if limit > 0 {
				value = cut(value, limit)
			}
			out[key] = value
		case []any:
			most := cmp.Or(listLength[[2]string{kind, key}], listLength[[2]string{"", key}])
			if most > 0 && len(value) > most {
				value = value[:most:most]
			}
			list := make([]any, len(value))
			for i := range value {
				list[i] = cutBlock(value[i], kind, limit)
			}
			out[key] = list
		default:
			out[key] = cutBlock(value, kind, limit)
		}
	}
	return out
}

// cut shortens a text to at most n characters, the last of which is "…". It cuts at a space if there is one nearby.
func cut(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	runes = runes[:n-1]
	for i := len(runes); i > max(0, len(runes)-100) && i > len(runes)/2; i-- {
		if unicode.IsSpace(runes[i-1]) {
			runes = runes[:i]
			break
		}
	}
	short := string(runes)
	// A link must not be cut: <https://example.com/|the label>.
	if i := strings.LastIndexByte(short, '<'); i > strings.LastIndexByte(short, '>') {
		if end := strings.IndexAny(text[i+1:], "<>"); end >= 0 && text[i+1+end] == '>' {
			short = short[:i]
		}
	}
	// An escaped character must not be cut.
	if i := strings.LastIndexByte(short, '&'); i >= 0 && len(short)-i < len("&amp;") && !strings.Contains(short[i:], ";") {
		short = short[:i]
	}
	return strings.TrimRightFunc(short, unicode.IsSpace) + "…"
}
