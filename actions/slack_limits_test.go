package actions

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestSlackLimits checks that a text that is too long for Slack is cut at a word, in every field that has a limit.
func TestSlackLimits(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("many words ", 5000)
	text := func(kind string) map[string]any { return map[string]any{"type": kind, "text": long} }
	many := func(n int) (list []any) {
		for range n {
			list = append(list, text("mrkdwn"))
		}
		return list
	}
	blocks := []any{
		map[string]any{"type": "header", "text": text("plain_text")},
		map[string]any{"type": "section", "text": text("mrkdwn"), "fields": many(12), "accessory": map[string]any{
			"type": "button", "text": text("plain_text"), "value": long, "url": "https://example.com/",
		}},
		map[string]any{"type": "context", "elements": many(12)},
		map[string]any{"type": "actions", "elements": []any{map[string]any{"type": "button", "text": text("plain_text"), "value": "v", "action_id": "a"}}},
	}
	for range 60 {
		blocks = append(blocks, map[string]any{"type": "divider"})
	}
	before, err := json.Marshal(blocks)
	if err != nil {
		t.Fatal(err)
	}
	got := cutBlocks(blocks).([]any)
	if after, _ := json.Marshal(blocks); string(after) != string(before) {
		t.Error("the stored blocks were changed")
	}
	if len(got) != slackBlocks {
		t.Errorf("%d blocks", len(got))
	}
	at := func(v any, path ...any) any {
		for _, p := range path {
			switch p := p.(type) {
			case int:
				v = v.([]any)[p]
			case string:
				v = v.(map[string]any)[p]
			}
		}
		return v
	}
	for _, tt := range []struct {
		most int
		path []any
	}{
		{150, []any{0, "text", "text"}}, {3000, []any{1, "text", "text"}}, {2000, []any{1, "fields", 9, "text"}},
		{75, []any{1, "accessory", "text", "text"}}, {2000, []any{1, "accessory", "value"}}, {2000, []any{2, "elements", 0, "text"}},
		{75, []any{3, "elements", 0, "text", "text"}},
	} {
		s := at(any(got), tt.path...).(string)
		if n := utf8.RuneCountInString(s); n > tt.most || n < tt.most-20 || !strings.HasSuffix(s, "words…") && !strings.HasSuffix(s, "many…") {
			t.Errorf("%v: %d characters, ending in %q", tt.path, n, s[max(0, len(s)-20):])
		}
	}
	if n := len(at(any(got), 1, "fields").([]any)); n != slackFields {
		t.Errorf("%d fields", n)
	}
	if n := len(at(any(got), 2, "elements").([]any)); n != slackElements {
		t.Errorf("%d elements", n)
	}
	if url := at(any(got), 1, "accessory", "url"); url != "https://example.com/" {
		t.Errorf("the URL is %v", url)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		n    int
		want string
	}{
		{"see <https://example.com/|the whole label> now", 20, "see…"}, {"see <https://example.com/|it> and more of it", 32, "see <https://example.com/|it>…"},
		{"a < b and so on and on", 12, "a < b and…"}, {"short", 5, "short"}, {"one two three", 9, "one two…"}, {"onetwothree", 5, "onet…"}, {"äöüäöü", 4, "äöü…"}, {"a &amp; b", 6, "a…"}, {"ab&amp;cd", 6, "ab…"},
	} {
		if got := cut(tt.text, tt.n); got != tt.want {
			t.Errorf("%q at %d: %q, want %q", tt.text, tt.n, got, tt.want)
		}
	}
}

// TestSlackLimitsOfInputs checks that the limits apply to inputs, options and confirmations too. A value that must not be
// cut is an error before anything is sent.
func TestSlackLimitsOfInputs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("many words ", 500)
	text := func() map[string]any { return map[string]any{"type": "plain_text", "text": long} }
	got := cutBlocks([]any{map[string]any{
		"type": "input", "label": text(), "hint": text(),
		"element": map[string]any{
			"type": "static_select", "placeholder": text(), "options": []any{map[string]any{"text": text(), "description": text(), "value": "v"}},
			"confirm": map[string]any{"title": text(), "text": text(), "confirm": text(), "deny": text()},
		},
	}}).([]any)[0].(map[string]any)
	element := got["element"].(map[string]any)
	confirm, option := element["confirm"].(map[string]any), element["options"].([]any)[0].(map[string]any)
	for _, tt := range []struct {
		what any
		most int
	}{
		{got["label"], 2000}, {got["hint"], 2000}, {element["placeholder"], 150}, {confirm["title"], 100}, {confirm["text"], 300},
		{confirm["confirm"], 30}, {confirm["deny"], 30}, {option["text"], 75}, {option["description"], 75},
	} {
		s := tt.what.(map[string]any)["text"].(string)
		if n := utf8.RuneCountInString(s); n > tt.most || n < tt.most-20 || !strings.HasSuffix(s, "…") {
			t.Errorf("%d characters of %d, ending in %q", n, tt.most, s[max(0, len(s)-20):])
		}
	}
	for key, most := range map[string]int{"url": 3000, "image_url": 3000, "action_id": 255, "block_id": 255} {
		block := func(n int) any {
			return []any{map[string]any{"type": "actions", "elements": []any{map[string]any{"type": "button", key: strings.Repeat("x", n)}}}}
		}
		if err := tooLong(block(most)); err != nil {
			t.Error(err)
		}
		if err := tooLong(block(most + 1)); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	option["value"] = strings.Repeat("x", 151)
	if err := tooLong(element); err == nil || !strings.Contains(err.Error(), "value") {
		t.Error(err)
	}
	// The action returns the error before it sends anything.
	_, err := (&Slack{Channel: "#desk", Blocks: []any{element}}).Do(t.Context(), Dispatch{Connection: &SlackAccess{Token: "xoxb-1"}})
	if f := Classify(err); err == nil || !f.Permanent || !f.Own {
		t.Errorf("%v, %+v", err, f)
	}
}
