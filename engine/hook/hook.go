// Package hook is the public side: it takes in webhooks, has them verified and read, and hands them over.
//
// POST /hooks/{source} answers 202 with a [Receipt] once the event is durable. Otherwise it answers
// {"error":"<sentence>"} with 400 (not a JSON object, compressed or incomplete), 401 (verification failed), 403
// (location not allowed), 404 (no such source), 405 (not a POST), 408 (the body took too long), 413 (larger than
// 1 MiB), or 429 with Retry-After (overloaded, or the event cannot be stored now). GET /healthz answers 200 as long
// as the process runs.
package hook

import (
	"context"
	"errors"

	"bellhop/engine/record"
	"bellhop/rules"
)

// ErrBusy says that an event cannot be stored now: the store cannot write, or too many events wait for it already.
var ErrBusy = errors.New("the event cannot be stored now")

// A Receiver stores events. It is safe for concurrent use.
type Receiver interface {
	// Receive returns when ev is durable, or with an error, such as [ErrBusy] if ev cannot be stored now. Every error
	// is answered with 429, so that the sender retries.
	Receive(ctx context.Context, ev *rules.Event) (Receipt, error)
}

// A Receipt tells the sender what became of an event that is durable.
type Receipt struct {
	Event  string        `json:"event"` // the event's id; of a duplicate, the id of the first one
	Status record.Status `json:"status"`
}
