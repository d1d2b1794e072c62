package actions

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

var slackKind = Kind{
	Name:              "slack",
	Summary:           "Posts a message to Slack.",
	New:               func() Request { return new(Slack) },
	Message:           true,
	NewConnection:     func() Connection { return new(SlackAccess) },
	ConnectionKeys:    []string{"token", "webhook"},
	ConnectionChoices: []Choice{{tokenOrWebhook, []string{"token", "webhook"}}},
}

// Slack is a step's post. Only two calls of Slack's API are used. They are made as every other call is: through the
// guard, with one limit on the answer, one reading of Retry-After and one redaction. A client library such as
// slack-go/slack would bring all of these a second time.
type Slack struct {
	Channel    string `json:"channel,omitempty" recipient:"true" header:"true" doc:"Where to post: a channel's name or id. A webhook has its own." example:"#front-desk"`
	Text       string `json:"text,omitempty" escape:"slack" doc:"The message, in Slack's mrkdwn; with blocks, what notifications show." example:"New: {{ appointment.title }}"`
	Blocks     any    `json:"blocks,omitempty" escape:"blocks" doc:"The message as Block Kit blocks, written as YAML." example:"[{type: section, text: {type: mrkdwn, text: \"*{{ appointment.title }}*\"}}]"`
	Thread     string `json:"thread,omitempty" header:"true" doc:"The ts of the message to answer in its thread." example:"1718000000.000100"`
	Username   string `json:"username,omitempty" header:"true" doc:"The name to post under, if not the app's." example:"Front desk"`
	Icon       string `json:"icon,omitempty" header:"true" doc:"The emoji to post under, if not the app's icon." example:":bell:"`
	Connection string `json:"connection,omitempty" literal:"true" doc:"The connection to post with, if there are several of this kind." example:"slack"`
}

var _ Request = (*Slack)(nil)

// UnmarshalJSON keeps numbers in blocks as they were written.
func (s *Slack) UnmarshalJSON(data []byte) error {
	type plain Slack
	return decodeNumbers(data, (*plain)(s))
}

// SlackAccess is the connection for Slack posts: a bot's token or an incoming webhook.
type SlackAccess struct {
	Token   string `json:"token" doc:"A bot token with the scope chat:write." example:"${SLACK_BOT_TOKEN}"`
	Webhook string `json:"webhook" like:"^[Hh][Tt][Tt][Pp][Ss]?://" words:"write the webhook's URL, such as https://hooks.slack.com/services/…" doc:"The URL of an incoming webhook." example:"${SLACK_WEBHOOK_URL}"`
	API     string `json:"api" like:"^[Hh][Tt][Tt][Pp][Ss]?://" words:"write a URL, such as https://slack.com/api/" doc:"The address of the Web API, if not Slack's own." example:"https://slack.com/api/"`

	scrub scrubber
}

var _ Connection = (*SlackAccess)(nil)

const tokenOrWebhook = "a Slack connection has a token or a webhook, not both"

const slackAPI = "https://slack.com/api/"

var (
	slackIcon   = regexp.MustCompile(`^:[a-z0-9_+'-]+:(:[a-z0-9_+'-]+:)?$`)
	slackThread = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)
)

// Check finds posts without content and values that Slack would not accept.
func (s *Slack) Check() []Problem {
	var found problems
	if s.Text == "" && s.Blocks == nil {
		found.add("", "a Slack post needs text or blocks", "")
	}
	if _, ok := s.Blocks.([]any); !ok && s.Blocks != nil && !isTemplate(s.Blocks) {
		found.add("blocks", "blocks must be a list", "")
	}
	if known(s.Icon) && !slackIcon.MatchString(s.Icon) {
		guess := ":" + strings.ToLower(strings.Trim(s.Icon, ": ")) + ":"
		if !slackIcon.MatchString(guess) {
			guess = ""
		}
		found.add("icon", fmt.Sprintf("%q is not an emoji's name between colons, such as :bell:", s.Icon), guess)
	}
	if known(s.Thread) && !slackThread.MatchString(s.Thread) {
		found.add("thread", fmt.Sprintf("%q is not the ts of a message, such as 1718000000.000100", s.Thread), "")
	}
	return found
}

// isTemplate reports whether v is a single text whose value is known only when it is rendered.
func isTemplate(v any) bool {
	text, ok := v.(string)
	return ok && strings.Contains(text, "{{")
}

func (s *Slack) ConnectionName() string { return s.Connection }

func (s *Slack) NeedsConnection() bool { return true }

// Destination returns the scheme and host of the API, and a short hash that tells one token or webhook from another.
func (s *Slack) Destination(c Connection) string {
	a, ok := c.(*SlackAccess)
	if !ok {
		return "slack:"
	}
	sum := sha256.Sum256([]byte(a.Token + a.Webhook))
	return destination(a.endpoint()) + "#" + hex.EncodeToString(sum[:4])
}

func (a *SlackAccess) endpoint() string {
	switch {
	case a.Token == "":
		return a.Webhook
	case a.API != "":
		return strings.TrimSuffix(a.API, "/") + "/chat.postMessage"
	default:
		return slackAPI + "chat.postMessage"
	}
}

// Check finds a token, a webhook or an API address that is malformed, and a token and webhook that are both missing or
// both given.
func (a *SlackAccess) Check() []Problem {
	var found problems
	add := func(field, message string) { found.add(field, message, "") }
	switch {
	case a.Token == "" && a.Webhook == "":
		add("", "a Slack connection needs a token or a webhook")
	case a.Token != "" && a.Webhook != "":
		add("webhook", tokenOrWebhook)
	case strings.ContainsFunc(a.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		add("token", "the token holds a character that no token has, such as a space or a line break")
	}
	for _, address := range []struct{ key, url string }{{"webhook", a.Webhook}, {"api", a.API}} {
		if _, err := parseHTTP(address.url); address.url != "" && err != nil {
			add(address.key, address.key+" "+err.Error())
		}
	}
	return found
}

// Secrets returns the token and the webhook, and also the path of the webhook, which is its secret part.
func (a *SlackAccess) Secrets() []string {
	secrets := []string{a.Token, a.Webhook}
	if u, err := parseHTTP(a.Webhook); err == nil {
		path := strings.TrimPrefix(strings.Trim(u.Path, "/"), "services/")
		secrets = append(secrets, path, path[strings.LastIndexByte(path, '/')+1:])
	}
	return slices.DeleteFunc(secrets, func(s string) bool { return s == "" })
}

// Slack's errors that a retry of the same message cannot mend.
// https://docs.slack.dev/reference/methods/chat.postMessage lists them.
var slackPermanent = []string{
	"access_denied", "account_inactive", "action_prohibited", "as_user_not_supported", "cannot_reply_to_message",
	"channel_is_archived", "channel_not_found", "channel_type_not_supported", "deprecated_endpoint", "ekm_access_denied",
	"enterprise_is_restricted", "invalid_arg_name", "invalid_arguments", "invalid_array_arg", "invalid_attachments",
	"invalid_auth", "invalid_blocks", "invalid_blocks_format", "invalid_charset", "invalid_form_data", "invalid_icon_emoji",
	"invalid_json", "invalid_metadata_format", "invalid_metadata_schema", "invalid_payload", "invalid_post_type",
	"invalid_scopes", "invalid_thread_ts", "invalid_token", "is_archived", "is_bot", "json_not_object",
	"messages_tab_disabled", "metadata_must_be_sent_from_app", "metadata_too_large", "method_deprecated",
	"method_not_supported_for_channel_type", "missing_charset", "missing_post_type", "missing_scope", "missing_text_or_fallback_or_attachments",
	"msg_blocks_too_long", "msg_too_long", "no_active_hooks", "no_permission", "no_service", "no_service_id", "no_team",
	"no_text", "not_allowed_token_type", "not_authed", "not_in_channel", "posting_to_general_channel_denied",
	"restricted_action", "restricted_action_non_threadable_channel", "restricted_action_read_only_channel",
	"restricted_action_thread_locked", "restricted_action_thread_only_channel", "team_access_not_granted", "team_disabled",
	"team_not_found", "thread_not_found", "token_expired", "token_revoked", "too_many_attachments", "too_many_contact_cards",
	"two_factor_setup_required", "unknown_method", "user_not_found", "user_not_in_channel",
}

// Do posts the message once.
func (s *Slack) Do(ctx context.Context, d Dispatch) (Receipt, error) {
	const doing = "posting to Slack"
	a, ok := d.Connection.(*SlackAccess)
	switch {
	case !ok:
		return Receipt{}, Own(errors.New("there is no Slack connection"))
	case a.Token != "" && s.Channel == "":
		return Receipt{}, Own(errors.New("posting to Slack with a token needs a channel"))
	}
	message := map[string]any{}
	for key, value := range map[string]string{
		"channel": s.Channel, "text": cut(s.Text, slackText), "thread_ts": s.Thread, "username": s.Username, "icon_emoji": s.Icon,
	} {
		if key != "text" && strings.ContainsAny(value, "\r\n\x00") {
			return Receipt{}, Own(fmt.Errorf("%s must not contain a line break", key))
		}
		if value != "" {
			message[key] = value
		}
	}
	if s.Blocks != nil {
		if err := tooLong(s.Blocks); err != nil {
			return Receipt{}, Own(err)
		}
		message["blocks"] = cutBlocks(s.Blocks)
	}
	if a.Token != "" {
		// Slack has no idempotency key. This id lets readers of the channel recognise a repetition.
		message["metadata"] = map[string]any{"event_type": "bellhop_delivery", "event_payload": map[string]any{"id": d.ID}}
	}
	body, err := compactJSON(message)
	if err != nil {
		return Receipt{}, Own(fmt.Errorf("composing the post: %w", err))
	}
	ctx, cancel := context.WithTimeout(ctx, usualTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.endpoint(), bytes.NewReader(body))
	if err != nil {
		return Receipt{}, Own(errors.New("the address of the Slack connection is not a URL"))
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "bellhop")
	if a.Token != "" {
		r.Header.Set("Authorization", "Bearer "+a.Token)
	}
	ans, err := exchange(d.Guard, r, doing, a.scrub.of(a), drainedBody)
	if err != nil {
		return Receipt{}, err
	}
	if a.Token == "" {
		return ans.slackWebhook(doing)
	}
	return ans.slackAPI(doing)
}

// slackWebhook reads the answer of an incoming webhook: a status, and one word.
func (a *answer) slackWebhook(doing string) (Receipt, error) {
	receipt := a.receipt()
	word := strings.TrimSpace(receipt.Body)
	switch {
	case a.StatusCode == http.StatusOK && word == "ok":
		receipt.Status = "ok"
		return receipt, nil
	case slices.Contains(slackPermanent, word):
		return receipt, Permanent(fmt.Errorf("%s: Slack says %s", doing, word))
	case a.StatusCode == http.StatusOK:
		return receipt, fmt.Errorf("%s: the answer is not one of Slack's", doing)
	default:
		return receipt, a.failure(doing)
	}
}

// slackAPI reads the answer of the Web API: mostly 200, with the outcome in the body.
func (a *answer) slackAPI(doing string) (Receipt, error) {
	receipt := a.receipt()
	var said struct {
		OK     bool   `json:"ok"`
		Error  string `json:"error"`
		Needed string `json:"needed"`
		TS     string `json:"ts"`
		More   struct {
			Messages []string `json:"messages"`
		} `json:"response_metadata"`
	}
	understood := json.Unmarshal(a.body, &said) == nil && (said.OK || said.Error != "")
	switch {
	case a.StatusCode == http.StatusTooManyRequests:
		return receipt, a.failure(doing)
	case !understood && a.StatusCode == http.StatusOK:
		return receipt, fmt.Errorf("%s: the answer is not one of Slack's", doing)
	case !understood:
		return receipt, a.failure(doing)
	case said.OK && a.StatusCode == http.StatusOK:
		receipt.Status, receipt.ID = "ok", head(a.scrub(said.TS), 64)
		return receipt, nil
	case said.OK:
		return receipt, a.failure(doing)
	}
	receipt.Status = head(a.scrub(said.Error), 100)
	err := fmt.Errorf("%s: Slack says %s", doing, receipt.Status)
	if len(said.More.Messages) > 0 {
		if text := a.plain(a.scrub(said.More.Messages[0])); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
	}
	if said.Needed != "" {
		err = fmt.Errorf("%w (the app needs the scope %s)", err, head(a.scrub(said.Needed), 100))
	}
	switch {
	case slices.Contains(slackPermanent, said.Error):
		return receipt, Permanent(err)
	case a.Header.Get("Retry-After") != "":
		return receipt, RetryAfter(err, retryAfter(a.Header))
	default:
		return receipt, err
	}
}
