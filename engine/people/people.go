// Package people looks up contacts, colleagues, calendars and locations through the platform's API. client.go asks for one
// and keeps the answers, highlevel.go knows the API, and token.go finds the token for a location.
package people

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"bellhop/actions"
	"bellhop/engine/store"
)

// ErrNotFound is the error for an id that the platform does not know.
var ErrNotFound = errors.New("the platform does not know this id")

// A Wait is the error of a look-up that was not tried, because the platform takes no more requests for a while.
type Wait struct{ For time.Duration }

func (w *Wait) Error() string {
	return fmt.Sprintf("the platform's API takes no more requests for the next %s", w.For.Round(time.Second))
}

// A Store keeps what all processes share. Its methods are safe for concurrent use.
type Store interface {
	// Count counts a request, and returns 0, if that keeps to the quota. Otherwise it counts nothing, and returns how long
	// to wait.
	Count(ctx context.Context, q store.Quota, now time.Time) (wait time.Duration, err error)

	// Token returns what was kept under a name by SetToken; "" if nothing was.
	Token(ctx context.Context, name string) (string, error)
	// SetToken keeps a text. It is durable when SetToken returns.
	SetToken(ctx context.Context, name, token string) error
	// Turn reports whether it is this process's turn to do what only one may do, for a length of time.
	Turn(ctx context.Context, what string, every time.Duration) (bool, error)
}

// Options are the parts of a Client. API, Guard and Store are required.
type Options struct {
	API    *actions.HTTPAPI
	Guard  *actions.Guard
	Store  Store
	Tokens map[string][]string // by location: private tokens, of which the one that works is used
	App    *App                // an agency's app; nil if there is none
	Keep   time.Duration       // how long an answer is used; 0 is an hour
	Stale  time.Duration       // how long an older answer is used while the API does not answer; 0 is not at all
	Logger *slog.Logger
	Now    func() time.Time // nil is time.Now
}

// The limits of the platform for each location. The span is longer than the platform's, because requests arrive later than
// they are counted.
const (
	limit = 100
	span  = 11 * time.Second
)
