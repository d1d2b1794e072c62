// Package record says what is kept of events and of what they cause: an event, a delivery with its state, an attempt.
package record

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"bellhop/actions"
)

// State is where a delivery stands.
type State string

const (
	Waiting   State = "waiting"   // not due yet
	Pending   State = "pending"   // due, not tried yet
	Sending   State = "sending"   // an attempt is under way
	Retrying  State = "retrying"  // failed, to be tried again
	Sent      State = "sent"      // done
	Dead      State = "dead"      // given up; an operator can retry it
	Cancelled State = "cancelled" // no longer wanted
	Skipped   State = "skipped"   // not sent, for the reason it holds
	Shadow    State = "shadow"    // would have been sent, but its rule only watches
)

// States are all states, in the order of a delivery's life.
func States() []State {
	return []State{Waiting, Pending, Sending, Retrying, Sent, Dead, Cancelled, Skipped, Shadow}
}

// How many events or deliveries a page has if none is asked for, and at most.
const (
	PageSize = 50
	MaxPage  = 500
)

// Status says what became of an event.
type Status string

const (
	Accepted  Status = "accepted"
	Duplicate Status = "duplicate"
	Stale     Status = "stale"   // older than what is known of its appointment
	Ignored   Status = "ignored" // nothing Bellhop acts on, such as INSTALL
)

// A Delivery is one step of one rule for one event.
type Delivery struct {
	ID          string          `json:"id"`
	Event       string          `json:"event"`
	Appointment string          `json:"appointment"`
	Source      string          `json:"source"`
	Location    string          `json:"location"`
	Rule        string          `json:"rule"`
	Step        int             `json:"step"` // counted from 1; 0 is the rule's condition
	Action      string          `json:"action"`
	Connection  string          `json:"connection"`
	Destination string          `json:"destination"`
	State       State           `json:"state"`
	Reason      string          `json:"reason"`
	Created     time.Time       `json:"created"`
	Due         time.Time       `json:"due"`
	Retried     time.Time       `json:"retried,omitzero"` // when an operator last asked to try again
	Attempts    []Attempt       `json:"attempts"`
	Request     json.RawMessage `json:"request"`

	// Of a step that waits:
	At    time.Time `json:"at,omitzero"`    // the moment it waits for; zero of a step that does not
	Until time.Time `json:"until,omitzero"` // the last moment at which it may be sent, zero if there is none
	Key   string    `json:"-"`              // finds the step in a newer version of its rule; "" of one that does not wait
	// Follows says that the delivery follows its appointment, as long as it is not sent. Another may do so in its
	// place: then it has ended for good.
	Follows bool `json:"-"`

	// Tells is what the request of an immediate message says of its appointment, which receive alone understands; nil: what
	// its event said.
	Tells []byte `json:"-"`
	// Latest marks the latest event of the appointment that was thought of when the delivery was claimed, see [Tx.State]. With
	// it, [Job.Current] finds out whether another has come since; nil: none matters.
	Latest []byte `json:"-"`

	Turn  int  `json:"-"` // of the job that may claim the delivery; an older one finds nothing to do
	Copy  int  `json:"-"` // how often it was made anew with other contents, each time with an id of its own
	Fresh bool `json:"-"` // rendered by the claim that returned it, and so never sent

	Crashed bool `json:"-"` // the process ended during an attempt, of which nothing is known
}

// An Attempt is one try of a delivery.
type Attempt struct {
	At      time.Time       `json:"at"`
	Millis  int64           `json:"ms"`
	Outcome string          `json:"outcome"` // sent, retry, permanent or interrupted
	Error   string          `json:"error,omitempty"`
	Receipt actions.Receipt `json:"receipt,omitzero"`
}

// Open says whether something is still to be done for a delivery in this state.
func (s State) Open() bool {
	return s == Waiting || s == Pending || s == Sending || s == Retrying
}

// A ConflictError says that a delivery is not in a state that allows what was asked, or that another one stands for
// its step.
type ConflictError struct {
	State State
	Want  []State
	Other string // the delivery that does
	// Outdated says that the delivery tells of what is no longer so.
	Outdated bool
	// Why the present rules would not send it either.
	Why string
}

func (e *ConflictError) Error() string {
	if e.Why != "" {
		return "the rules as they are now would not send it either: " + e.Why
	}
	if e.Outdated {
		return "the appointment was moved, or the rule applied to it again, since this was prepared"
	}
	if e.Other != "" {
		return fmt.Sprintf("delivery %s of the same step is %s for this appointment, and both would be sent; cancel that one first", e.Other, e.State)
	}
	words := make([]string, len(e.Want))
	for i, s := range e.Want {
		words[i] = string(s)
	}
	return fmt.Sprintf("the delivery is %s; this is possible only while it is %s", e.State, strings.Join(words, " or "))
}

// An Event is the record of one webhook.
type Event struct {
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Location    string          `json:"location"`
	Type        string          `json:"type"`
	WebhookID   string          `json:"webhookId,omitempty"`
	Appointment string          `json:"appointment"`
	ReceivedAt  time.Time       `json:"receivedAt"`
	Status      Status          `json:"status"`
	On          []string        `json:"on"`      // what happened
	Changed     []string        `json:"changed"` // the appointment's fields that changed
	Body        json.RawMessage `json:"body,omitempty"`
	After       json.RawMessage `json:"state,omitempty"`    // the appointment after the event
	Before      json.RawMessage `json:"previous,omitempty"` // and before it
	Rules       string          `json:"rules,omitempty"`    // the rule set in force when it was received, see [Store.RuleSet]

	// Dedupe identifies the webhook: an event with the same key is the same event.
	Dedupe []byte `json:"-"`
}

// Tried says that an attempt may have been made: what is sent under the delivery's key can change no more.
func (d *Delivery) Tried() bool { return len(d.Attempts) > 0 || d.Crashed }

// Replayed says that the delivery was made long after its event.
func (d *Delivery) Replayed() bool {
	return d.Event < FirstID(d.Created.Add(-time.Minute))
}

// NewID makes an identifier for an event or a delivery: a UUID of version 7, so that identifiers sort by time.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// FirstID is the smallest identifier made at t or later. Identifiers begin with their time, in milliseconds,
// so a span of time is a range of them and needs no index of its own.
func FirstID(t time.Time) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], uint64(t.UnixMilli())<<16)
	return id.String()
}

// UnderWay ends the reason of a delivery that was cancelled between its claim and its record.
const UnderWay = " while this was being sent"
