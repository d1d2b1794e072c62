// Package record defines the records that the store keeps: events, the deliveries that they cause, and the attempts at
// these.
package record

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"bellhop/actions"
	"bellhop/rules/lang"
)

// A State is the state of a delivery.
type State string

const (
	Waiting   State = "waiting"   // not due yet
	Pending   State = "pending"   // to be sent; not tried yet, or retried by an operator
	Sending   State = "sending"   // claimed; its attempt is under way or about to begin
	Retrying  State = "retrying"  // the last attempt failed; it will be tried again
	Sent      State = "sent"      // sent; nothing is left to do
	Dead      State = "dead"      // given up; an operator can retry it
	Held      State = "held"      // stopped by the brake; an operator can release or cancel it
	Cancelled State = "cancelled" // no longer wanted
	Skipped   State = "skipped"   // not sent, for the reason in the record
	Shadow    State = "shadow"    // not sent, because its rule is in shadow mode
)

// States returns all states, in the order of a delivery's life.
func States() []State {
	return []State{Waiting, Pending, Sending, Retrying, Sent, Dead, Held, Cancelled, Skipped, Shadow}
}

// The number of events or deliveries in a page: the default and the maximum.
const (
	PageSize = 50
	MaxPage  = 500
)

// A Status is the result of receiving an event.
type Status string

const (
	Accepted  Status = "accepted"
	Duplicate Status = "duplicate"
	Stale     Status = "stale"   // older than the known state of its appointment
	Ignored   Status = "ignored" // of a type that Bellhop does not act on, for example INSTALL
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
	Retried     time.Time       `json:"retried,omitzero"` // when an operator last retried it
	Attempts    []Attempt       `json:"attempts"`
	Request     json.RawMessage `json:"request"`

	// Opens is when the hours open that an immediate step waits for, or waited for; zero if it did not.
	Opens time.Time `json:"opens,omitzero"`

	// People is what was looked up for it, a [rules.Directory] as JSON; nil if nothing was.
	People json.RawMessage `json:"people,omitempty"`
	// Wants is what has to be looked up before a claimed delivery can be decided about; nil if nothing has to be.
	Wants *lang.Unknown `json:"-"`

	// These fields are for a step that waits.
	At    time.Time `json:"at,omitzero"`    // when the step is due; zero if the step does not wait
	Until time.Time `json:"until,omitzero"` // the latest time to send it, unless an operator retries it; zero if there is none
	Key   string    `json:"-"`              // finds the step in a newer version of its rule; "" if the step does not wait
	// Follows is true while the delivery follows changes of its appointment. It is false once another delivery has
	// replaced this one, or this one was rendered for a time that no longer holds. An operator's retry can set it
	// again. It has no meaning once the delivery is sent.
	Follows bool `json:"-"`

	// Tells holds the times of the appointment that the request of an immediate message was rendered with, in the
	// format of package decide. It is nil if these are the times of its event.
	Tells []byte `json:"-"`
	// Latest is the mark of the appointment's latest event when the delivery was claimed, as returned by
	// [store.Tx.Memory]. [store.Job.Current] compares it to find out whether another event has come since. It is nil if
	// later events do not matter.
	Latest []byte `json:"-"`

	Turn  int  `json:"-"` // the turn of the job that can claim the delivery; a job of an earlier turn does nothing
	Copy  int  `json:"-"` // the number of copies before it for this event, rule and step; each copy has its own id
	Fresh bool `json:"-"` // rendered by the claim that returned it, and so never sent
	// Allowed is true once the limits and the brake let the delivery pass, or an operator released it.
	Allowed bool `json:"-"`
}

// An Attempt is one try to send a delivery.
type Attempt struct {
	At      time.Time       `json:"at"`
	Millis  int64           `json:"ms"`
	Outcome string          `json:"outcome"` // sent, retry, permanent, [LookedUp] or [Interrupted]
	Error   string          `json:"error,omitempty"`
	Receipt actions.Receipt `json:"receipt,omitzero"`
}

// Interrupted is the outcome of an attempt that a shutdown ended, or whose result was not recorded. It does not count
// towards the limit of attempts.
const Interrupted = "interrupted"

// Open reports whether a delivery in this state is still to be sent, perhaps once an operator releases it, or is being sent.
func (s State) Open() bool {
	return s == Waiting || s == Pending || s == Sending || s == Retrying || s == Held
}

// A ConflictError means that a delivery cannot be cancelled or retried: because of its state, because another delivery
// of its step is open, because it is outdated, or because of the present rules.
type ConflictError struct {
	State State
	Want  []State
	Other string // the id of another open delivery of the same step, which is in State; "" if there is none
	// Outdated is true if the delivery was rendered for a time that no longer holds.
	Outdated bool
	// Why is the reason why the present rules would not send the delivery; "" if that is not the conflict.
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
	On          []string        `json:"on"`      // the names of what happened, for example "booked"
	Changed     []string        `json:"changed"` // the names of the appointment's fields that changed
	Body        json.RawMessage `json:"body,omitempty"`
	After       json.RawMessage `json:"state,omitempty"`    // the appointment after the event
	Before      json.RawMessage `json:"previous,omitempty"` // the appointment before the event
	Rules       string          `json:"rules,omitempty"`    // the id of the rule set in force when it was received, for [store.Store.RuleSet]

	// Dedupe identifies the webhook. Two events with the same key are the same event.
	Dedupe []byte `json:"-"`
}

// LookedUp is the outcome of an attempt that ended before anything was sent: somebody could not be looked up.
const LookedUp = "lookup"

// Tried reports whether an attempt may have been made. If so, the contents that are sent under the delivery's id must
// not change.
func (d *Delivery) Tried() bool {
	return slices.ContainsFunc(d.Attempts, func(a Attempt) bool { return a.Outcome != LookedUp })
}

// Replayed reports whether the delivery was made more than a minute after its event was received.
func (d *Delivery) Replayed() bool {
	return d.Event < FirstID(d.Created.Add(-time.Minute))
}

// TimeOf returns when an identifier was made, in UTC, to the millisecond. The error says that id is no identifier.
func TimeOf(id string) (time.Time, error) {
	u, err := uuid.Parse(id)
	if err != nil {
		return time.Time{}, fmt.Errorf("identifier %q: %w", id, err)
	}
	return time.Unix(u.Time().UnixTime()).UTC(), nil
}

// NewID returns a new identifier for an event or a delivery. It is a UUID of version 7, so identifiers sort by time. It
// is safe for concurrent use.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// FirstID returns a lower bound for the identifiers that are made at t or later, and an upper bound for those made
// before. Identifiers begin with their time in milliseconds, so a span of time is a range of identifiers and needs no
// index of its own.
func FirstID(t time.Time) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], uint64(t.UnixMilli())<<16)
	return id.String()
}

// UnderWay is the end of the reason of a delivery that was cancelled after its claim and before its attempt was
// recorded.
const UnderWay = " while this was being sent"

// A Visitor is a contact at a location, seen from one appointment, which is left out of the contact's others.
type Visitor struct {
	Location, Contact   string
	Source, Appointment string
}
