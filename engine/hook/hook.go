// Package hook is the public side: it verifies, normalises and hands over webhooks.
package hook

import (
	"context"

	"bellhop/rules"
)

// A Receiver takes one event and returns once it is durable.
type Receiver interface {
	// Receive returns [ErrBusy] (wrapped or not) when the event cannot be stored now and is worth sending again.
	Receive(ctx context.Context, ev *rules.Event) (Receipt, error)
}

// A Receipt is what the sender is told of an event that is durable.
type Receipt struct {
	Event  string `json:"event"` // the event's id; of a duplicate, the id of the first one
	Status Status `json:"status"`
}

// Status says what became of an event.
type Status string

const (
	Accepted  Status = "accepted"
	Duplicate Status = "duplicate"
	Stale     Status = "stale"   // older than what is known of its appointment
	Ignored   Status = "ignored" // nothing Bellhop acts on, such as INSTALL
)
