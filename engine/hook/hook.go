// Package hook is the public side: it takes in webhooks, has them verified and read, and hands them over.
//
// POST /hooks/{source} answers 202 with a [Receipt] once the event is durable. Otherwise it answers
// {"error":"<sentence>"} with 400 (not a JSON object), 401 (verification failed), 403 (location not allowed),
// 404 (no such source), 405, 413 (larger than 1 MiB), or 429 with Retry-After (overloaded, or the event
// cannot be stored now). GET /healthz answers 200 as long as the process runs.
package hook

import (
	"context"
	"errors"

	"bellhop/engine/record"
	"bellhop/rules"
)

// ErrBusy says that an event cannot be stored now: the store cannot write, or too much waits for it already.
var ErrBusy = errors.New("the event cannot be stored now")

// A Receiver takes one event and returns once it is durable.
type Receiver interface {
	// Receive returns [ErrBusy] (wrapped or not) when the event cannot be stored now and is worth sending again.
	Receive(ctx context.Context, ev *rules.Event) (Receipt, error)
}

// A Receipt is what the sender is told of an event that is durable.
type Receipt struct {
	Event  string        `json:"event"` // the event's id; of a duplicate, the id of the first one
	Status record.Status `json:"status"`
}
