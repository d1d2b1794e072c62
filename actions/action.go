// Package actions sends what rules decide: e-mails, Slack posts and HTTP calls.
//
// An action is a struct. Its fields are the keys that a rule's step can have, its struct tags say how each
// is checked, templated and described, and its Do method makes one attempt. Parsing, validation and
// documentation are derived from the struct. A new action needs one file, its test, and one entry in [Kinds].
//
// The tags of a request's field:
//
//	json:"name"        the key in the rule file and in the stored request
//	doc:"…"            one sentence for people
//	example:"…"        a value as it would be written in a rule file
//	required:"true"    a step without it is an error
//	literal:"true"     fixed when the rule is loaded: no {{ }}
//	escape:"html"      values are escaped for HTML; escape:"slack" for Slack's & < >;
//	                   escape:"address" for a segment of a URL's path, or a parameter of its query; escape:"path"
//	                   is the same, but a value at the beginning is a segment too, unless it is the only text;
//	                   escape:"mailbox" for a display name or an e-mail address, by its position;
//	                   escape:"json" for JSON, if the text begins with { or [;
//	                   escape:"blocks" for the texts and URLs of Slack blocks
//	header:"true"      line breaks in values become a space
//	recipient:"true"   rendering to nothing skips the step ("unresolved recipient")
//	internal:"true"    not a key of the rule file; filled by Prepare
//
// and its Go type says what YAML it takes: string (one text), [List] (a list of texts, or one text with
// commas), bool, [Duration], []int, map[string]string, any (a tree whose texts are templates).
//
// A connection's fields have the tags json, doc and example. The tag like is a regular expression for the text, and
// words is what an editor says about a text that does not match.
package actions

import (
	"context"
	"strings"
	"time"
)

// Kinds lists every action, in the order documentation shows them.
func Kinds() []Kind { return []Kind{emailKind, slackKind, httpKind} }

// Lookup finds a kind by the key that rule files use.
func Lookup(name string) (Kind, bool) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// A Kind describes one action to the packages that parse rules and configuration.
type Kind struct {
	Name    string         // the step's key in a rule file, such as "email"
	Summary string         // one sentence for people
	New     func() Request // a pointer to a zero request

	// Message says that it writes to people, who must not be told what is out of date. Any other action is a call: it
	// tells a program of one event, and calls keep the order of their events.
	Message bool

	// NewConnection returns a pointer to a zero connection, to decode an entry of `connections:` in bellhop.yaml
	// into. An entry is of this kind if it has one of the ConnectionKeys.
	NewConnection  func() Connection
	ConnectionKeys []string

	// Choices are sets of keys; a step can have at most one key of each. ConnectionChoices are the same for a connection.
	Choices, ConnectionChoices []Choice
}

// A Choice is a set of keys that exclude each other, and the message for a step that has two of them.
type Choice struct {
	Words string
	Keys  []string
}

// A Request is what one step sends, after rendering. It is stored as JSON with the delivery before the first
// attempt, and every attempt sends the same content.
type Request interface {
	// Check finds mistakes that need no event to be seen. Texts still hold their {{ }} source then, so a text that
	// contains "{{" must be treated as unknown.
	Check() []Problem

	// ConnectionName is the connection the request names, "" for the only one of its kind.
	ConnectionName() string

	// NeedsConnection is false where the request can be sent without one (an http step with a url).
	NeedsConnection() bool

	// Destination names where the request goes, so that destinations can be isolated from each other: scheme and
	// host, and an account where one host serves many. It holds no secret. c is nil if there is no connection.
	Destination(c Connection) string

	// Do makes one attempt within ctx. A nil error means sent. Other errors are read with [Classify]: wrap
	// them with [Permanent], [Own] or [RetryAfter] where one applies. The receipt is kept in both cases.
	// Several goroutines call Do at once, on different requests.
	Do(ctx context.Context, d Dispatch) (Receipt, error)
}

// An Addressed is a request that goes to addresses of people.
type Addressed interface {
	Request
	// Addresses returns the channel, such as "email", and the addresses, as [Address] writes them.
	Addresses() (channel string, list []string)
	// Without leaves out the addresses for which no returns true, and reports whether the request still has a recipient.
	Without(no func(address string) bool) (left bool)
}

// Address returns an address of a channel as all that mean the same are written, without a name; "" if it is none.
func Address(channel, text string) string {
	if channel != emailKind.Name {
		return strings.TrimSpace(text)
	}
	list, err := addresses(List{text})
	if err != nil || len(list) != 1 {
		return ""
	}
	return strings.ToLower(list[0].Address)
}

// A Preparer is a request that needs more facts about the appointment than its templates give, such as an e-mail with
// a calendar invitation. Prepare is called once, after rendering and before the request is stored.
type Preparer interface {
	Prepare(f Facts) error
}

// Facts are what a Preparer may use. Times are zero and texts "" where the platform did not say.
type Facts struct {
	Now           time.Time // when the event was received
	AppointmentID string
	Title         string
	Address       string
	Notes         string
	Start, End    time.Time
	AllDay        bool // Start is a date, given as its first moment in its own time zone
	Cancelled     bool
	Updated       time.Time // dateUpdated, else Now; rises with every change
}

// A Connection says where to send and with which credentials. It comes from one entry of `connections:` in
// bellhop.yaml. It is decoded once and shared by all attempts, so it can cache, for example OAuth2 tokens.
type Connection interface {
	// Check finds mistakes in the entry; Field of a problem is its key.
	Check() []Problem
	// Secrets are texts of the entry that must never appear in a log, an error, a receipt or an answer.
	Secrets() []string
}

// A Closer is a connection that keeps something open between attempts. Close is called after the last attempt.
type Closer interface{ Close() }

// A Problem is one mistake in a request or a connection.
type Problem struct {
	Field      string // the key it is about, "" for no single key
	Message    string // a plain sentence
	Suggestion string // the text to put there instead, "" if none
}

// problems collects what a Check finds.
type problems []Problem

func (p *problems) add(field, message, suggestion string) {
	*p = append(*p, Problem{field, message, suggestion})
}

// known reports whether a text is given and known before it is rendered.
func known(text string) bool { return text != "" && !strings.Contains(text, "{{") }

// A Dispatch is what an attempt needs besides the request.
type Dispatch struct {
	ID         string     // the delivery's id: the idempotency key, the same for every attempt
	Connection Connection // nil if the request needs none
	Guard      *Guard     // makes every connection to the outside
	Earlier    []Receipt  // the receipts of earlier attempts, oldest first
}

// A Receipt is the other side's answer: proof of sending, or a clue after a failure.
type Receipt struct {
	Status   string    `json:"status,omitempty"`   // "201 Created", "250 2.0.0 OK", "ok"
	ID       string    `json:"id,omitempty"`       // Message-ID, or the ts of a Slack message
	Body     string    `json:"body,omitempty"`     // the beginning of the answer, at most 1 KiB of valid UTF-8
	Accepted []string  `json:"accepted,omitempty"` // recipients that the server took the e-mail for
	Refused  []Refusal `json:"refused,omitempty"`  // recipients that the server refused for good
}

// A Refusal is a recipient whom the mail server refused for good, with its answer.
type Refusal struct {
	Recipient string `json:"recipient"`
	Answer    string `json:"answer"`
}
